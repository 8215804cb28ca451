#include "study/plan.h"

#include <map>

#include "base/file.h"
#include "base/hash.h"
#include "study/data_spec.h"
#include "train/stage_folder.h"

namespace flanmoe::study {
namespace {

// Goes up when a stage gives another result than before from the same config and inputs.
constexpr int64_t kStageVersion = 1;

void erase(ConfigNode& node, std::string_view key) {
  std::erase_if(node.entries, [&](const auto& entry) { return entry.first == key; });
}

// What of a folder a stage reads: config, weights, tokenizer.
std::string hash_model_folder(const std::string& folder) {
  Hasher hasher;
  for (const auto& path : list_files(folder)) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const bool is_read = name.ends_with(".safetensors") || name.ends_with(".bin") ||
                         name.ends_with(".json") || name == "spiece.model";
    if (is_read) hasher.add(name).add("\n").add(hash_file(path)).add("\n");
  }
  return hasher.hex();
}

class Planner {
 public:
  explicit Planner(const Recipe& recipe) {
    for (const auto& stage : recipe.stages) {
      check(*stage.stage);
      plan(stage);
    }
  }
  std::vector<PlannedStage> take() { return std::move(planned_); }

 private:
  static void check(const Stage& stage) {
    for (const auto& data : stage.data()) check_paths_exist(data.spec, data.place);
    stage.check();
  }

  void plan(const RecipeStage& stage) {
    PlannedStage planned{.stage = &stage};
    for (const auto& resolved : stage.inputs) planned.inputs.push_back(record_input(resolved));
    for (const auto& data : stage.stage->data())
      planned.inputs.push_back(
          {"data", "", data.spec, remember(data.spec, [&] { return hash_specs(data.spec); })});
    planned.key = make_key(*stage.stage, planned.inputs);
    if (const Stage* from = stage.model_stage())
      planned.num_earlier_trainings = depth_[from->name()];
    depth_[stage.stage->name()] = planned.num_earlier_trainings + (stage.stage->trains() ? 1 : 0);
    keys_[stage.stage->name()] = planned.key;
    planned_.push_back(std::move(planned));
  }

  InputRecord record_input(const ResolvedInput& resolved) {
    if (resolved.stage)
      return {resolved.input.name, resolved.stage->name(), "", keys_.at(resolved.stage->name())};
    const std::string& folder = resolved.input.value;
    return {resolved.input.name, "", folder,
            remember(folder, [&] { return hash_model_folder(folder); })};
  }

  template <class Compute>
  const std::string& remember(const std::string& what, Compute compute) {
    auto found = hashes_.find(what);
    if (found == hashes_.end()) found = hashes_.emplace(what, compute()).first;
    return found->second;
  }

  static std::string make_key(const Stage& stage, const std::vector<InputRecord>& inputs) {
    ConfigNode config = stage.config();
    for (const char* label : {"arm", "replicate"}) erase(config, label);
    for (const auto& input : stage.inputs()) erase(config, input.name);
    if (ConfigNode* train = config.find("train"))
      for (const char* key : train::kKeysBesideTheResult) erase(*train, key);
    Hasher hasher;
    hasher.add(std::to_string(kStageVersion))
        .add("\n")
        .add(stage.kind())
        .add("\n")
        .add(to_json(config).dump())
        .add("\n");
    for (const auto& input : inputs) hasher.add(input.name).add("\n").add(input.key).add("\n");
    return hasher.hex();
  }

  std::map<std::string, std::string> keys_, hashes_;
  std::map<std::string, int64_t> depth_;
  std::vector<PlannedStage> planned_;
};

}  // namespace

std::vector<PlannedStage> make_plan(const Recipe& recipe) {
  return Planner(recipe).take();
}

}  // namespace flanmoe::study
