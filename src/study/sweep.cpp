#include "study/sweep.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/config.h"
#include "base/error.h"

namespace flanmoe::study {
namespace {

using Kind = ConfigNode::Kind;

// Keys of a stage's table that name another stage.
constexpr const char* kInputKeys[] = {"model", "vocabulary", "match_train_flops"};

// One decision of a version.
struct Choice {
  std::string dimension;  // "tune.arms", "tune.grid.train.learning_rate", "tune.seeds"
  std::string slug;       // in the stage's name
  std::string label;      // in the arm; "": the choice is a seed
  std::string seed;
  bool operator==(const Choice& other) const = default;
};

struct Version {
  std::vector<Choice> choices;  // those of what it takes something from first
  ConfigNode table;
  size_t num_inherited = 0;  // choices that are not its own
  size_t num_of_model = 0;   // of those, the ones of its model
};

[[noreturn]] void fail_at(const ConfigNode& node, const std::string& place,
                          const std::string& message) {
  fail(ErrorCode::InvalidConfig, "[{}] {}{}", place, message,
       node.where.empty() ? "" : " (" + node.where + ")");
}

std::string slug_of(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  return text;
}

// As the recipe writes it, strings without quotes.
std::string text_of(const ConfigNode& value) {
  if (value.kind == Kind::String) return value.text;
  ConfigNode table;
  table["v"] = value;
  std::string text = to_toml(table).substr(4);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

bool is_scalar(const ConfigNode& node) {
  return node.kind != Kind::Table && node.kind != Kind::Array;
}

const ConfigNode& expect_list(const ConfigNode& node, const std::string& place) {
  if (node.kind != Kind::Array || node.elements.empty())
    fail_at(node, place,
            "expected a list of at least one value, found " +
                std::string(node.kind == Kind::Array ? "an empty one" : to_string(node.kind)));
  return node;
}

// The value at "train.learning_rate" or "adapter.components[0].num_experts"; tables are made on the
// way, elements of arrays must be there.
void set_value(ConfigNode& table, const std::string& path, const ConfigNode& value,
               const std::string& place) {
  ConfigNode* node = &table;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    std::string key = path.substr(begin, end - begin);
    begin = end + 1;
    std::vector<size_t> indices;
    for (size_t open; key.ends_with(']') && (open = key.rfind('[')) != key.npos;) {
      const std::string digits = key.substr(open + 1, key.size() - open - 2);
      if (digits.empty() || digits.size() > 6 ||
          !std::all_of(digits.begin(), digits.end(),
                       [](unsigned char c) { return std::isdigit(c); }))
        fail_at(value, place, "expected a number in the brackets of '" + key + "'");
      indices.insert(indices.begin(), std::stoul(digits));
      key.resize(open);
    }
    if (node->kind != Kind::Table)
      fail_at(value, place, "'" + key + "' would stand in what is no table");
    node = &(*node)[key];
    for (const size_t index : indices) {
      if (node->kind != Kind::Array || index >= node->elements.size())
        fail_at(value, place, fmt::format("'{}' has no element {}", key, index));
      node = &node->elements[index];
    }
  }
  *node = value;
}

class Expander {
 public:
  explicit Expander(const ConfigNode& stages) : stages_(stages) {}

  ConfigNode expand() {
    ConfigNode result = stages_;
    result.entries.clear();
    std::map<std::string, std::string> origin;
    for (const auto& [name, table] : stages_.entries)
      for (const Version& version : versions_of(name)) {
        const std::string version_name = name_of(name, version.choices);
        if (const auto [other, is_new] = origin.insert({version_name, name}); !is_new)
          fail_at(table, "stages." + name,
                  fmt::format("two stages would be called '{}', of '{}' and of '{}'", version_name,
                              other->second, name));
        result.entries.emplace_back(version_name, version.table);
      }
    return result;
  }

 private:
  static std::string name_of(std::string name, const std::vector<Choice>& choices) {
    for (const Choice& choice : choices) name += "-" + choice.slug;
    return name;
  }

  const std::vector<Version>& versions_of(const std::string& name) {
    if (const auto found = versions_.find(name); found != versions_.end()) return found->second;
    // a cycle is left as it stands, for the recipe's parser to name
    if (!begun_.insert(name).second) return versions_[name] = {{{}, *stages_.find(name)}};
    const ConfigNode& table = *stages_.find(name);
    std::vector<Version> versions = {{{}, table}};
    if (table.kind == Kind::Table) {
      add_arms(versions, name);
      add_grid(versions, name);
      add_seeds(versions, name);
      for (const char* key : kInputKeys) join_input(versions, key);
      for (Version& version : versions) label(version);
    }
    return versions_[name] = std::move(versions);
  }

  // One version for every one of the stage that `key` names, where their choices agree.
  void join_input(std::vector<Version>& versions, const char* key) {
    std::vector<Version> joined;
    for (Version& version : versions) {
      const ConfigNode* input = version.table.find(key);
      if (!input || input->kind != Kind::String || !stages_.find(input->text)) {
        joined.push_back(std::move(version));
        continue;
      }
      const std::string source = input->text;
      for (const Version& from : versions_of(source))
        if (std::optional<Version> both = join(version, from)) {
          both->table.find(key)->text = name_of(source, from.choices);
          if (key == kInputKeys[0]) both->num_of_model = both->num_inherited;
          joined.push_back(std::move(*both));
        }
    }
    versions = std::move(joined);
  }

  static std::optional<Version> join(const Version& version, const Version& from) {
    Version both = version;
    for (const Choice& choice : from.choices) {
      const auto same =
          std::find_if(both.choices.begin(), both.choices.end(),
                       [&](const Choice& other) { return other.dimension == choice.dimension; });
      if (same == both.choices.end())
        both.choices.insert(
            both.choices.begin() + static_cast<std::ptrdiff_t>(both.num_inherited++), choice);
      else if (*same != choice)
        return std::nullopt;
    }
    return both;
  }

  static ConfigNode take(std::vector<Version>& versions, const std::string& key) {
    ConfigNode taken;
    if (versions.empty()) return taken;
    if (const ConfigNode* found = versions.front().table.find(key)) taken = *found;
    for (Version& version : versions)
      std::erase_if(version.table.entries, [&](const auto& entry) { return entry.first == key; });
    return taken;
  }

  template <class Alternatives, class Apply>
  static void cross(std::vector<Version>& versions, const Alternatives& alternatives, Apply apply) {
    std::vector<Version> crossed;
    for (const Version& version : versions)
      for (const auto& alternative : alternatives) {
        crossed.push_back(version);
        apply(crossed.back(), alternative);
      }
    versions = std::move(crossed);
  }

  static void add_arms(std::vector<Version>& versions, const std::string& name) {
    const std::string place = "stages." + name + ".arms";
    const ConfigNode arms = take(versions, "arms");
    if (arms.kind != Kind::Table) fail_at(arms, place, "expected a table of arms");
    if (arms.entries.empty()) return;
    cross(versions, arms.entries, [&](Version& version, const auto& arm) {
      if (arm.second.kind != Kind::Table)
        fail_at(arm.second, place + "." + arm.first, "expected a table of keys of the stage");
      version.choices.push_back({"arms of " + name, slug_of(arm.first), arm.first, ""});
      merge_into(version.table, arm.second);
    });
  }

  static void add_grid(std::vector<Version>& versions, const std::string& name) {
    const ConfigNode grid = take(versions, "grid");
    if (grid.kind != Kind::Table)
      fail_at(grid, "stages." + name + ".grid", "expected a table of lists");
    add_grid_below(versions, name, grid, "");
  }
  static void add_grid_below(std::vector<Version>& versions, const std::string& name,
                             const ConfigNode& node, const std::string& path) {
    const std::string place = "stages." + name + ".grid" + (path.empty() ? "" : "." + path);
    if (node.kind == Kind::Table) {
      for (const auto& [key, below] : node.entries)
        add_grid_below(versions, name, below, path.empty() ? key : path + "." + key);
      return;
    }
    const std::string last = path.substr(path.rfind('.') + 1);
    cross(versions, expect_list(node, place).elements,
          [&](Version& version, const ConfigNode& value) {
            if (!is_scalar(value))
              fail_at(value, place, "expected numbers, strings or booleans in the list");
            const std::string text = text_of(value);
            version.choices.push_back({"grid." + path + " of " + name, slug_of(last + "-" + text),
                                       last + " " + text, ""});
            set_value(version.table, path, value, place);
          });
  }

  static void add_seeds(std::vector<Version>& versions, const std::string& name) {
    const std::string place = "stages." + name + ".seeds";
    const ConfigNode seeds = take(versions, "seeds");
    if (seeds.kind == Kind::Table && seeds.entries.empty()) return;
    std::set<int64_t> given;
    for (const ConfigNode& seed : expect_list(seeds, place).elements) {
      if (seed.kind != Kind::Integer) fail_at(seed, place, "expected a list of integers");
      if (!given.insert(seed.integer).second)
        fail_at(seed, place, fmt::format("names {} twice", seed.integer));
    }
    cross(versions, seeds.elements, [&](Version& version, const ConfigNode& seed) {
      const std::string text = std::to_string(seed.integer);
      version.choices.push_back({"seeds of " + name, "seed-" + text, "", text});
      set_value(version.table, seed_key(version.table), seed, place);
    });
  }

  static std::string seed_key(const ConfigNode& table) {
    const ConfigNode* kind = table.find("kind");
    const std::string text = kind ? kind->text : "";
    if (text == "evaluate" || text == "routing") return "options.seed";
    return text == "init" || text == "upcycle" ? "seed" : "train.seed";
  }

  // What all its choices are in the model already is left to the model's arm.
  static void label(Version& version) {
    std::string arm, replicate;
    for (const Choice& choice : version.choices) {
      if (!choice.label.empty()) arm += (arm.empty() ? "" : ", ") + choice.label;
      if (!choice.seed.empty()) replicate += (replicate.empty() ? "" : "-") + choice.seed;
    }
    const ConfigNode* given = version.table.find("arm");
    const std::string own = given && given->kind == Kind::String ? given->text : "";
    const bool has_own_label = std::any_of(
        version.choices.begin() + static_cast<std::ptrdiff_t>(version.num_of_model),
        version.choices.end(), [](const Choice& choice) { return !choice.label.empty(); });
    if (!arm.empty() && (has_own_label || !own.empty()))
      version.table["arm"] = ConfigNode::make_string(own.empty() ? arm : own + ", " + arm);
    if (!replicate.empty()) version.table["replicate"] = ConfigNode::make_string(replicate);
  }

  const ConfigNode& stages_;
  std::map<std::string, std::vector<Version>> versions_;
  std::set<std::string> begun_;
};

}  // namespace

void expand_sweeps(ConfigNode& stages) {
  stages = Expander(stages).expand();
}

}  // namespace flanmoe::study
