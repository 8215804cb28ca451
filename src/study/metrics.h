// What the report draws of a stage's metrics.jsonl.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flanmoe::study {

// Of one sparse layer, a value a kept line.
struct ExpertCurves {
  std::vector<double> load_variation, entropy, fraction_dropped;
  std::vector<double> load_share;  // [E] share of the assignments, over the last lines of the file
};

struct Curves {
  std::vector<int64_t> steps;
  std::vector<double> cross_entropy, loss, train_flops;  // train_flops: of the stage so far
  std::vector<std::string> layers;                       // in the order of the file
  std::map<std::string, ExpertCurves> experts;           // by layer; empty: a dense model
  double mean_flops_per_s = 0;
};

// Long files are thinned to about `max_points` lines, the last one kept. A missing file gives
// nothing, a broken last line (of a run that is being written) is left out.
Curves load_curves(const std::string& path, size_t max_points = 400);

}  // namespace flanmoe::study
