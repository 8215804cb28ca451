#include "train/expert_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/json.h"
#include "base/log.h"

namespace flanmoe::train {

ExpertStatistics::Layer& ExpertStatistics::find_layer(const std::string& name,
                                                      int64_t num_experts) {
  const auto found = std::find_if(layers_.begin(), layers_.end(),
                                  [&](const Layer& layer) { return layer.name == name; });
  if (found != layers_.end()) return *found;
  const std::vector<int64_t> zeros(static_cast<size_t>(num_experts), 0);
  layers_.push_back({name, zeros, zeros});
  return layers_.back();
}

void ExpertStatistics::record(const std::string& name, const ops::Routing& routing) {
  Layer& layer = find_layer(name, routing.num_experts);
  Watched& watched = watched_[name];
  watched.load.resize(layer.load.size());
  watched.requested.resize(layer.load.size());
  watched.num_tokens += routing.num_tokens;
  for (size_t e = 0; e < layer.load.size(); ++e) {
    const int64_t load = routing.expert_offsets[e + 1] - routing.expert_offsets[e];
    layer.load[e] += load;
    watched.load[e] += load;
    layer.requested[e] += routing.requested[e];
    watched.requested[e] += routing.requested[e];
  }
  if (!is_logged_) return;
  const ops::RoutingStatistics statistics = ops::compute_statistics(routing);
  layer.details["entropy"] = statistics.entropy;
  layer.details["fraction_unserved"] = statistics.fraction_unserved;
  layer.details["mean_combine_weight"] = statistics.mean_combine_weight;
}

namespace {

// "expert 3" or "experts 3, 5"; the first few.
std::string name_experts(const std::vector<int64_t>& experts) {
  constexpr size_t kShown = 8;
  std::string text = experts.size() == 1 ? "expert " : "experts ";
  for (size_t i = 0; i < experts.size() && i < kShown; ++i)
    text += (i ? ", " : "") + std::to_string(experts[i]);
  return experts.size() > kShown ? text + ", ..." : text;
}

}  // namespace

void ExpertStatistics::watch(int64_t step) {
  if (num_watched_steps_++ == 0) first_watched_step_ = step;
  if (num_watched_steps_ < kWatchedSteps) return;
  num_watched_steps_ = 0;
  for (auto& [name, layer] : watched_) {
    std::vector<int64_t> dead, wanted;
    bool is_some_unwanted = false;
    for (size_t e = 0; e < layer.load.size(); ++e) {
      const double share = static_cast<double>(layer.requested[e]) /
                           static_cast<double>(std::max<int64_t>(1, layer.num_tokens));
      if (layer.load[e] == 0) dead.push_back(static_cast<int64_t>(e));
      if (share > 0.9) wanted.push_back(static_cast<int64_t>(e));
      is_some_unwanted |= share < 0.1;
    }
    const std::string steps = fmt::format("{}: in steps {} to {}", name, first_watched_step_, step);
    const bool is_collapsed = !wanted.empty() && is_some_unwanted;
    if (!layer.is_told && is_collapsed)
      log::warn(
          "[train] {} nearly every token asked for {} of {}: the router has collapsed (told once a "
          "layer; the loads are in metrics.jsonl)",
          steps, name_experts(wanted), layer.load.size());
    if (!layer.is_told && !dead.empty())
      log::warn(
          "[train] {} {} of {} took no token (told once a layer; the loads are in metrics.jsonl)",
          steps, name_experts(dead), layer.load.size());
    layer.is_told |= is_collapsed || !dead.empty();
    layer.load.assign(layer.load.size(), 0);
    layer.requested.assign(layer.requested.size(), 0);
    layer.num_tokens = 0;
  }
}

Json ExpertStatistics::take() {
  Json result = Json::object();
  for (const Layer& layer : layers_) {
    const int64_t kept = std::accumulate(layer.load.begin(), layer.load.end(), int64_t{0});
    const int64_t requested =
        std::accumulate(layer.requested.begin(), layer.requested.end(), int64_t{0});
    Json& entry = result[layer.name];
    entry["load"] = layer.load;
    entry["load_variation"] = ops::load_variation(layer.load);
    entry["fraction_dropped"] =
        requested > 0 ? 1.0 - static_cast<double>(kept) / static_cast<double>(requested) : 0.0;
    entry.update(layer.details);
  }
  layers_.clear();
  return result;
}

Json ExpertStatistics::to_json() const {
  Json saved = Json::array();
  for (const Layer& layer : layers_)
    saved.push_back({{"layer", layer.name}, {"load", layer.load}, {"requested", layer.requested}});
  return saved;
}

void ExpertStatistics::restore(const Json& saved) {
  layers_.clear();
  for (const Json& entry : saved)
    layers_.push_back({entry.at("layer"), entry.at("load").get<std::vector<int64_t>>(),
                       entry.at("requested").get<std::vector<int64_t>>()});
}

}  // namespace flanmoe::train
