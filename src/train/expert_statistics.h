// Which expert took how many tokens, over a window of steps.
#pragma once

#include <map>
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

  // The window as {layer: {...}}, which then starts anew.
  Json take();
  // After the pass of a step. Every kWatchedSteps it warns, once a layer, of dead experts, which
  // took no token in all that time, and of collapse: an expert that nine of ten tokens ask for
  // while others are asked for by less than one of ten.
  void watch(int64_t step);
  static constexpr int64_t kWatchedSteps = 20;

  // An unfinished window, for a checkpoint.
  Json to_json() const;
  void restore(const Json& saved);

 private:
  struct Layer {
    std::string name;
    std::vector<int64_t> load, requested;
    Json details = Json::object();  // of the logged step
  };
  struct Watched {
    std::vector<int64_t> load, requested;
    int64_t num_tokens = 0;
    bool is_told = false;
  };
  Layer& find_layer(const std::string& name, int64_t num_experts);

  std::vector<Layer> layers_;               // in the order of the forward pass
  std::map<std::string, Watched> watched_;  // by layer
  int64_t first_watched_step_ = 0, num_watched_steps_ = 0;
  bool is_logged_ = false;
};

}  // namespace flanmoe::train
