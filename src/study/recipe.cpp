#include "study/recipe.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/file.h"
#include "study/sections.h"
#include "study/sweep.h"

namespace flanmoe::study {

void read(const ConfigNode& node, const std::string& path, StageTables& tables) {
  config_detail::expect_kind(node, path, ConfigNode::Kind::Table);
  tables.node = node;
}

ConfigNode write(const StageTables& tables) {
  return tables.node;
}

const Stage* RecipeStage::model_stage() const {
  for (const auto& resolved : inputs)
    if (resolved.input.name == "model") return resolved.stage;
  return nullptr;
}

const RecipeStage& Recipe::find(const std::string& stage_name) const {
  auto found = std::find_if(stages.begin(), stages.end(),
                            [&](const RecipeStage& s) { return s.stage->name() == stage_name; });
  FLANMOE_ASSERT(found != stages.end());
  return *found;
}

namespace {

std::string in_brackets(const std::string& where) {
  return where.empty() ? "" : " (" + where + ")";
}

ConfigNode load_with_includes(const std::string& path, std::vector<std::string>& chain) {
  const std::string canonical = std::filesystem::weakly_canonical(path).string();
  if (std::find(chain.begin(), chain.end(), canonical) != chain.end())
    fail(ErrorCode::InvalidConfig, "[include] {} includes itself, by way of {}", path,
         chain.back());
  chain.push_back(canonical);
  ConfigNode node = load_toml(path);
  const ConfigNode* include = node.find("include");
  if (!include) return node;
  std::string file;
  config_detail::read(*include, "include", file);
  std::filesystem::path target = file;
  if (target.is_relative()) target = std::filesystem::path(path).parent_path() / target;
  if (!is_file(target.string()))
    fail(ErrorCode::NotFound, "[include] no such file: {}{}", target.string(),
         in_brackets(include->where));
  std::erase_if(node.entries, [](const auto& entry) { return entry.first == "include"; });
  ConfigNode base = load_with_includes(target.string(), chain);
  merge_into(base, node);
  return base;
}

// Defaults that hang on other keys are put in before the tables are read.
Sections parse_sections(const ConfigNode& node, const std::string& where) {
  Sections sections;
  const ConfigNode* seed = node.find("seed");
  if (!seed)
    fail(ErrorCode::InvalidConfig, "[seed] missing: every recipe has a seed, a number ({})", where);
  int64_t seed_value = 0;
  config_detail::read(*seed, "seed", seed_value);
  sections.train.seed = sections.eval.options.seed = seed_value;
  sections.model.shape.vocab_size = 0;
  if (const ConfigNode* section = node.find("model"))
    if (const ConfigNode* size = section->find("size");
        size && size->kind == ConfigNode::Kind::String && !size->text.empty())
      sections.model.shape = model::named_size(size->text);
  parse_config(node, "", sections);
  if (const ConfigNode* train = node.find("train")) sections.given_train = *train;
  return sections;
}

const std::string& read_kind(const std::string& name, const ConfigNode& table,
                             const std::string& where) {
  const std::string place = "stages." + name;
  config_detail::expect_kind(table, place, ConfigNode::Kind::Table);
  const std::string& at = table.where.empty() ? where : table.where;
  const ConfigNode* kind = table.find("kind");
  const auto names = stage_registry().names();
  if (!kind)
    fail(ErrorCode::InvalidConfig, "[{}.kind] missing{} ({})", place, suggestion("", names), at);
  config_detail::expect_kind(*kind, place + ".kind", ConfigNode::Kind::String);
  if (!stage_registry().contains(kind->text))
    fail(ErrorCode::InvalidConfig, "[{}.kind] unknown kind of stage '{}'{}{}", place, kind->text,
         suggestion(kind->text, names), in_brackets(kind->where));
  return kind->text;
}

void check_name(const std::string& name, const ConfigNode& table) {
  const bool is_plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
  if (!is_plain)
    fail(ErrorCode::InvalidConfig,
         "[stages] '{}' cannot be a stage's name: expected letters, digits, '_' or '-'{}", name,
         in_brackets(table.where));
}

bool is_path(const std::string& value) {
  return value.find('/') != std::string::npos || value.front() == '.' || is_folder(value);
}

std::string expected_text(const StageInput& input) {
  if (input.only_trained) return "one that trains (pretrain, adapt, tune, finetune)";
  return input.output == StageOutput::Vocabulary
             ? "one that makes a vocabulary (vocabulary)"
             : "one that makes a model (init, pretrain, adapt, upcycle, tune, finetune)";
}

ResolvedInput resolve(const StageInput& input, const std::vector<RecipeStage>& stages,
                      const std::string& where) {
  std::vector<std::string> candidates;
  for (const auto& [stage, inputs] : stages) {
    const bool fits = stage->output() == input.output && (stage->trains() || !input.only_trained);
    if (fits) candidates.push_back(stage->name());
    if (stage->name() != input.value) continue;
    if (!fits)
      fail(ErrorCode::InvalidConfig, "[{}] '{}' is a stage of kind {}, expected {} ({})",
           input.place, input.value, stage->kind(), expected_text(input), where);
    return {input, stage.get()};
  }
  if (!input.only_trained && is_path(input.value)) {
    if (!is_folder(input.value))
      fail(ErrorCode::NotFound, "[{}] no such folder: {} ({})", input.place, input.value, where);
    return {input, nullptr};
  }
  fail(ErrorCode::InvalidConfig, "[{}] unknown stage '{}'{} ({})", input.place, input.value,
       candidates.empty() ? "" : suggestion(input.value, candidates), where);
}

// Depth first, in the order of the file.
class Sorter {
 public:
  explicit Sorter(std::vector<RecipeStage>& stages, const std::string& where)
      : stages_(stages), where_(where) {}
  std::vector<RecipeStage> sort() {
    for (auto& stage : stages_) visit(stage.stage.get());
    std::vector<RecipeStage> sorted;
    for (const Stage* stage : order_) sorted.push_back(std::move(*find(stage)));
    return sorted;
  }

 private:
  std::vector<RecipeStage>::iterator find(const Stage* stage) {
    return std::find_if(stages_.begin(), stages_.end(),
                        [&](const auto& s) { return s.stage.get() == stage; });
  }
  void visit(const Stage* stage) {
    if (done_.count(stage)) return;
    auto entered = std::find(path_.begin(), path_.end(), stage);
    if (entered != path_.end()) {
      std::string cycle;
      for (; entered != path_.end(); ++entered) cycle += (*entered)->name() + " -> ";
      fail(ErrorCode::InvalidConfig, "[stages] a stage waits for itself: {}{} ({})", cycle,
           stage->name(), where_);
    }
    path_.push_back(stage);
    for (const auto& input : find(stage)->inputs)
      if (input.stage) visit(input.stage);
    path_.pop_back();
    done_.insert(stage);
    order_.push_back(stage);
  }
  std::vector<RecipeStage>& stages_;
  const std::string& where_;
  std::vector<const Stage*> path_, order_;
  std::set<const Stage*> done_;
};

void inherit_arms(Recipe& recipe) {
  for (auto& stage : recipe.stages) {
    if (!stage.stage->arm.empty()) continue;
    if (const Stage* from = stage.model_stage()) stage.stage->arm = from->arm;
    const StageOutput output = stage.stage->output();
    const bool is_measured = output == StageOutput::Evaluation || output == StageOutput::Routing;
    if (is_measured && stage.stage->arm.empty())
      stage.stage->arm = stage.model_stage() ? stage.model_stage()->name() : stage.stage->name();
  }
}

// Two evaluations of one arm on one suite, from one seed, would stand in one cell of the table.
void check_cells(const Recipe& recipe, const std::string& where) {
  std::map<std::vector<std::string>, std::string> cells;
  for (const auto& [stage, inputs] : recipe.stages) {
    if (stage->output() != StageOutput::Evaluation) continue;
    for (const auto& data : stage->data())
      if (auto [cell, is_new] =
              cells.insert({{stage->arm, stage->replicate, data.spec}, stage->name()});
          !is_new)
        fail(ErrorCode::InvalidConfig,
             "[{}] stages '{}' and '{}' both evaluate arm '{}' on {}: give one another arm ({})",
             stage->place("arm"), cell->second, stage->name(), stage->arm, data.spec, where);
  }
}

// "mov-10 against ia3", both arms that are evaluated.
std::vector<std::pair<std::string, std::string>> parse_comparisons(
    const std::vector<std::string>& texts, const Recipe& recipe, const std::string& where) {
  static constexpr std::string_view kBetween = " against ";
  std::vector<std::string> arms;
  for (const auto& [stage, inputs] : recipe.stages)
    if (stage->output() == StageOutput::Evaluation) arms.push_back(stage->arm);
  std::vector<std::pair<std::string, std::string>> comparisons;
  for (const auto& text : texts) {
    const size_t at = text.find(kBetween);
    if (at == text.npos)
      fail(ErrorCode::InvalidConfig, "[comparisons] '{}': expected 'ARM against ARM' ({})", text,
           where);
    comparisons.emplace_back(text.substr(0, at), text.substr(at + kBetween.size()));
    for (const auto& arm : {comparisons.back().first, comparisons.back().second})
      if (std::find(arms.begin(), arms.end(), arm) == arms.end())
        fail(ErrorCode::InvalidConfig, "[comparisons] '{}': no arm '{}' is evaluated{} ({})", text,
             arm, suggestion(arm, arms), where);
  }
  return comparisons;
}

}  // namespace

ConfigNode load_recipe_node(const std::string& path, const std::vector<std::string>& overrides) {
  if (!is_file(path)) fail(ErrorCode::NotFound, "[study] no such recipe: {}", path);
  std::vector<std::string> chain;
  ConfigNode node = load_with_includes(path, chain);
  for (const auto& assignment : overrides) apply_override(node, assignment);
  return node;
}

Recipe parse_recipe(const ConfigNode& node, const std::string& where) {
  Sections sections = parse_sections(node, where);
  expand_sweeps(sections.stages.node);
  Recipe recipe;
  recipe.name =
      sections.name.empty() ? std::filesystem::path(where).stem().string() : sections.name;
  recipe.description = sections.description;
  recipe.seed = *sections.seed;
  recipe.threads = sections.threads;
  if (recipe.threads < 0)
    fail(ErrorCode::InvalidConfig, "[threads] is {}, expected 0 or more ({})", recipe.threads,
         where);
  sections.name = recipe.name;

  std::vector<RecipeStage> stages;
  for (const auto& [name, table] : sections.stages.node.entries) {
    check_name(name, table);
    const std::string& kind = read_kind(name, table, where);
    stages.push_back({stage_registry().get(kind)(name, table, sections), {}});
    recipe.file_order.push_back(name);
  }
  if (stages.empty())
    fail(ErrorCode::InvalidConfig,
         "[stages] missing: a recipe needs at least one [stages.NAME] table ({})", where);
  for (auto& stage : stages)
    for (const auto& input : stage.stage->inputs())
      stage.inputs.push_back(resolve(input, stages, where));

  sections.stages.node = ConfigNode{};
  for (const auto& stage : stages)
    sections.stages.node[stage.stage->name()] = stage.stage->config();
  recipe.resolved = to_config_node(sections);
  recipe.stages = Sorter(stages, where).sort();
  inherit_arms(recipe);
  check_cells(recipe, where);
  recipe.comparisons = parse_comparisons(sections.comparisons, recipe, where);
  return recipe;
}

Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_recipe(load_recipe_node(path, overrides), path);
}

}  // namespace flanmoe::study
