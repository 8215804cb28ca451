#include "train/parameter_sets.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/progress.h"
#include "train/gradients.h"

namespace flanmoe::train {
namespace {

using Tags = nn::ParameterTags;

bool is_moe(const Tags& tags) {
  return tags.is_router || tags.is_expert();
}

struct NamedSet {
  const char* name;
  bool (*has_tags)(const Tags&);
};

constexpr NamedSet kNamedSets[] = {
    {"gate", [](const Tags& tags) { return tags.is_router; }},
    {"expert", [](const Tags& tags) { return tags.is_expert(); }},
    {"moe", is_moe},
    {"non-moe", [](const Tags& tags) { return !is_moe(tags); }},
    {"embedding", [](const Tags& tags) { return tags.is_embedding; }},
    {"adapter", [](const Tags& tags) { return tags.is_adapter; }},
    {"all", [](const Tags&) { return true; }},
};

constexpr NamedSet kGroups[] = {
    kNamedSets[0],
    kNamedSets[1],
    {"embedding", [](const Tags& tags) { return tags.is_embedding && !is_moe(tags); }},
    {"adapter", [](const Tags& tags) { return tags.is_adapter && !is_moe(tags); }},
    {"rest",
     [](const Tags& tags) { return !tags.is_embedding && !tags.is_adapter && !is_moe(tags); }},
};

bool is_regex(const std::string& name) {
  return name.size() >= 2 && name.front() == '/' && name.back() == '/';
}

const NamedSet& find_named_set(const std::string& name, const std::string& key) {
  std::vector<std::string> known;
  for (const NamedSet& set : kNamedSets) {
    if (set.name == name) return set;
    known.emplace_back(set.name);
  }
  fail(ErrorCode::InvalidConfig, "[{}] unknown set of parameters '{}'{}; or /regex/", key, name,
       suggestion(name, known));
}

std::regex parse_regex(const std::string& name, const std::string& key) {
  try {
    return std::regex(name.substr(1, name.size() - 2));
  } catch (const std::regex_error& error) {
    fail(ErrorCode::InvalidConfig, "[{}] {} is not a regular expression: {}", key, name,
         error.what());
  }
}

int64_t count_group(const NamedSet& group, const nn::Parameters& parameters) {
  int64_t count = 0;
  for (const nn::Parameter& parameter : parameters)
    if (group.has_tags(parameter.tags)) count += parameter.tensor.numel();
  return count;
}

}  // namespace

ParameterSets::ParameterSets(const std::vector<std::string>& names, std::string key)
    : key_(std::move(key)) {
  for (const std::string& name : names) {
    if (is_regex(name))
      sets_.push_back({name, nullptr, parse_regex(name, key_)});
    else
      sets_.push_back({name, find_named_set(name, key_).has_tags, {}});
  }
}

bool ParameterSets::Set::contains(const nn::Parameter& parameter) const {
  return has_tags ? has_tags(parameter.tags) : std::regex_search(parameter.name, pattern);
}

bool ParameterSets::contains(const nn::Parameter& parameter) const {
  return std::any_of(sets_.begin(), sets_.end(),
                     [&](const Set& set) { return set.contains(parameter); });
}

void ParameterSets::check_matches(const nn::Parameters& parameters) const {
  for (const Set& set : sets_) {
    if (std::any_of(parameters.begin(), parameters.end(),
                    [&](const nn::Parameter& parameter) { return set.contains(parameter); }))
      continue;
    if (!set.has_tags)
      fail(ErrorCode::InvalidConfig,
           "[{}] {} is found in no parameter's name; names are like '{}' and '{}'", key_, set.name,
           parameters.front().name, parameters[parameters.size() / 2].name);
    log::warn("[{}] the model has no parameters in the set '{}'", key_, set.name);
  }
}

Selection::Selection(const nn::Parameters& parameters, const Config& config,
                     const nn::Parameters& fixed)
    : frozen_(fixed) {
  const ParameterSets trainable(config.trainable, "train.trainable"),
      frozen(config.frozen, "train.frozen");
  trainable.check_matches(parameters);
  frozen.check_matches(parameters);
  for (const nn::Parameter& parameter : parameters) {
    const bool is_selected = trainable.contains(parameter) && !frozen.contains(parameter);
    const bool needs_gradient = parameter.tensor.requires_grad();
    (is_selected && needs_gradient ? trained_ : frozen_).push_back(parameter);
    if (!is_selected && needs_gradient) switched_off_.push_back(parameter);
  }
  for (const nn::Parameter& parameter : fixed)
    if (parameter.tensor.requires_grad()) switched_off_.push_back(parameter);
  if (trained_.empty())
    fail(ErrorCode::InvalidConfig,
         "[train] every parameter is frozen: there is nothing to train (trainable: {}; frozen: {})",
         fmt::join(config.trainable, ", "), fmt::join(config.frozen, ", "));
  for (const nn::Parameter& parameter : switched_off_)
    at::Tensor(parameter.tensor).requires_grad_(false);
}

Selection::~Selection() {
  for (const nn::Parameter& parameter : switched_off_)
    at::Tensor(parameter.tensor).requires_grad_(true);
}

std::string Selection::summary() const {
  std::string text;
  for (const NamedSet& group : kGroups) {
    const int64_t num_trained = count_group(group, trained_),
                  num_frozen = count_group(group, frozen_);
    if (num_trained + num_frozen == 0) continue;
    text += fmt::format("{}{}", text.empty() ? "" : "; ", group.name);
    if (num_trained > 0)
      text += fmt::format(" {} trained", format_count(static_cast<double>(num_trained)));
    if (num_frozen > 0)
      text += fmt::format("{} {} frozen", num_trained > 0 ? "," : "",
                          format_count(static_cast<double>(num_frozen)));
  }
  return text;
}

std::vector<std::string> find_groups_without_gradient(const nn::Parameters& trained) {
  std::vector<std::string> names;
  for (const NamedSet& group : kGroups) {
    nn::Parameters members;
    for (const nn::Parameter& parameter : trained)
      if (group.has_tags(parameter.tags) &&
          !(parameter.tags.is_adapter && parameter.tags.is_router))
        members.push_back(parameter);
    if (!members.empty() && compute_gradient_norm(members) == 0) names.emplace_back(group.name);
  }
  return names;
}

}  // namespace flanmoe::train
