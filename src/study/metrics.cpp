#include "study/metrics.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace flanmoe::study {
namespace {

constexpr size_t kLinesOfLoad = 10;

std::vector<Json> load_lines(const std::string& path) {
  std::vector<Json> lines;
  if (!is_file(path)) return lines;
  LineReader reader(path);
  std::string text;
  try {
    while (reader.next(text))
      if (!text.empty()) {
        Json line = parse_json(text, reader.where());
        if (!line.contains("evaluation")) lines.push_back(std::move(line));
      }
  } catch (const Error& error) {
    log::warn("[report] {}: the rest of the file is left out", error.what());
  }
  return lines;
}

// Not-a-number is written as null.
double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

// Of the line's object for what hangs on the machine.
double machine_number(const Json& line, const char* key) {
  const auto machine = line.find("machine");
  return machine != line.end() && machine->is_object() ? number(*machine, key) : 0.0;
}

void append_experts(const Json& line, Curves& curves) {
  const auto experts = line.find("experts");
  if (experts == line.end() || !experts->is_object()) return;
  for (const auto& [layer, values] : experts->items()) {
    if (!curves.experts.count(layer)) curves.layers.push_back(layer);
    ExpertCurves& of_layer = curves.experts[layer];
    of_layer.load_variation.push_back(number(values, "load_variation"));
    of_layer.entropy.push_back(number(values, "entropy"));
    of_layer.fraction_dropped.push_back(number(values, "fraction_dropped"));
  }
}

void add_load(const Json& line, Curves& curves) {
  const auto experts = line.find("experts");
  if (experts == line.end() || !experts->is_object()) return;
  for (const auto& [layer, values] : experts->items()) {
    const auto load = values.find("load");
    if (load == values.end() || !load->is_array()) continue;
    auto& share = curves.experts[layer].load_share;
    share.resize(std::max(share.size(), load->size()));
    for (size_t e = 0; e < load->size(); ++e)
      if ((*load)[e].is_number()) share[e] += (*load)[e].get<double>();
  }
}

void normalise(std::vector<double>& share) {
  double sum = 0;
  for (double x : share) sum += x;
  if (sum > 0)
    for (double& x : share) x /= sum;
}

}  // namespace

Curves load_curves(const std::string& path, size_t max_points) {
  const std::vector<Json> lines = load_lines(path);
  Curves curves;
  const size_t stride = lines.size() / max_points + 1;
  double speed = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    speed += machine_number(lines[i], "flops_per_s") / static_cast<double>(lines.size());
    const bool is_kept = (lines.size() - 1 - i) % stride == 0;
    if (is_kept) {
      curves.steps.push_back(static_cast<int64_t>(number(lines[i], "step")));
      curves.loss.push_back(number(lines[i], "loss"));
      curves.cross_entropy.push_back(number(lines[i], "cross_entropy"));
      curves.train_flops.push_back(number(lines[i], "train_flops"));
      append_experts(lines[i], curves);
    }
    if (i + kLinesOfLoad >= lines.size()) add_load(lines[i], curves);
  }
  for (auto& [layer, experts] : curves.experts) normalise(experts.load_share);
  curves.mean_flops_per_s = speed;
  return curves;
}

}  // namespace flanmoe::study
