// A recipe: one TOML file that holds a whole run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/config_node.h"
#include "study/stage.h"

namespace flanmoe::study {

// A StageInput that was looked up.
struct ResolvedInput {
  StageInput input;
  const Stage* stage = nullptr;  // null: `input.value` is a folder outside the run
};

struct RecipeStage {
  std::unique_ptr<Stage> stage;
  std::vector<ResolvedInput> inputs;
  const Stage* model_stage() const;  // whose model it takes; null where that comes from outside
};

struct Recipe {
  std::string name;
  std::string description;
  int64_t seed = 0;
  int64_t threads = 0;              // 0: the physical cores
  std::vector<RecipeStage> stages;  // every stage after those it takes something from; otherwise in
                                    // the order of the file
  std::vector<std::string> file_order;                           // names in the order of the file
  std::vector<std::pair<std::string, std::string>> comparisons;  // of arms; none: the usual ones
  ConfigNode resolved;  // every key with its value; parses to the same recipe

  const RecipeStage& find(const std::string& stage_name) const;
};

// The recipe's file merged over the one it includes (`include = "other.toml"`, relative to it, and
// so on), then the overrides
// ("a.b.c=value"). Throws InvalidConfig and NotFound with file, line or key.
ConfigNode load_recipe_node(const std::string& path,
                            const std::vector<std::string>& overrides = {});
// Throws InvalidConfig on an unknown or missing key, an unknown stage, a stage of the wrong kind or
// a cycle.
Recipe parse_recipe(const ConfigNode& node, const std::string& where);
Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides = {});

}  // namespace flanmoe::study
