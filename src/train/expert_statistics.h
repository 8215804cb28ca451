// Which expert took how many tokens, over a window of steps.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "nn/context.h"

namespace flanmoe::train {

// Loads and drops are those of every step of the window; entropy, fraction_unserved and
// mean_combine_weight, which cost a pass over the probabilities, are those of its last step alone.
class ExpertStatistics : public nn::RoutingSink {
 public:
  // Before a forward pass; `is_logged` on the last one of a window.
  void begin_step(bool is_logged) { is_logged_ = is_logged; }
  void record(const std::string& layer, const ops::Routing& routing) override;

  // The window as {layer: {...}}, which then starts anew. Warns once a layer about experts that
  // took no token; `steps` ("11 to 20") is for that text.
  Json take(const std::string& steps);

  // An unfinished window, for a checkpoint.
  Json to_json() const;
  void restore(const Json& saved);

 private:
  struct Layer {
    std::string name;
    std::vector<int64_t> load, requested;
    Json details = Json::object();  // of the logged step
  };
  Layer& find_layer(const std::string& name, int64_t num_experts);
  void warn_about_idle(const Layer& layer, const std::string& steps);

  std::vector<Layer> layers_;  // in the order of the forward pass
  std::set<std::string> warned_;
  bool is_logged_ = false;
};

}  // namespace flanmoe::train
