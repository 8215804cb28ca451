#include "train/expert_statistics.h"

#include <algorithm>
#include <numeric>

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
  for (size_t e = 0; e < layer.load.size(); ++e) {
    layer.load[e] += routing.expert_offsets[e + 1] - routing.expert_offsets[e];
    layer.requested[e] += routing.requested[e];
  }
  if (!is_logged_) return;
  const ops::RoutingStatistics statistics = ops::compute_statistics(routing);
  layer.details["entropy"] = statistics.entropy;
  layer.details["fraction_unserved"] = statistics.fraction_unserved;
  layer.details["mean_combine_weight"] = statistics.mean_combine_weight;
}

void ExpertStatistics::warn_about_idle(const Layer& layer, const std::string& steps) {
  std::string idle;
  int64_t num_idle = 0;
  for (size_t e = 0; e < layer.load.size(); ++e) {
    if (layer.load[e] > 0) continue;
    if (++num_idle <= 8) idle += (idle.empty() ? "" : ", ") + std::to_string(e);
  }
  if (num_idle == 0 || !warned_.insert(layer.name).second) return;
  if (num_idle > 8) idle += ", ...";
  log::warn(
      "[train] {}: {} of {} experts took no token in steps {} (expert {}); told once a layer, the "
      "loads are in metrics.jsonl",
      layer.name, num_idle, layer.load.size(), steps, idle);
}

Json ExpertStatistics::take(const std::string& steps) {
  Json result = Json::object();
  for (const Layer& layer : layers_) {
    warn_about_idle(layer, steps);
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
