#include "train/metrics.h"

#include <ATen/ops/stack.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/memory.h"

namespace flanmoe::train {
namespace {

// Index of `name`, at the end where it is missing.
size_t find_name(const StepValues& values, const std::string& name) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return static_cast<size_t>(found - values.begin());
}

}  // namespace

void accumulate(StepValues& sums, const std::string& name, double value) {
  const size_t index = find_name(sums, name);
  if (index == sums.size()) sums.emplace_back(name, 0.0);
  sums[index].second += value;
}

void Counts::add(const Counts& other) {
  step += other.step;
  num_examples += other.num_examples;
  num_input_tokens += other.num_input_tokens;
  num_target_tokens += other.num_target_tokens;
  num_cut_inputs += other.num_cut_inputs;
  num_cut_targets += other.num_cut_targets;
  num_skipped_steps += other.num_skipped_steps;
  train_flops += other.train_flops;
}

Json to_json(const Counts& counts) {
  return {{"step", counts.step},
          {"examples", counts.num_examples},
          {"input_tokens", counts.num_input_tokens},
          {"target_tokens", counts.num_target_tokens},
          {"cut_inputs", counts.num_cut_inputs},
          {"cut_targets", counts.num_cut_targets},
          {"skipped_steps", counts.num_skipped_steps},
          {"train_flops", counts.train_flops}};
}

Counts parse_counts(const Json& json) {
  return {json.at("step"),          json.at("examples"),   json.at("input_tokens"),
          json.at("target_tokens"), json.at("cut_inputs"), json.at("cut_targets"),
          json.at("skipped_steps"), json.at("train_flops")};
}

StepValues read_losses(const model::LossOutput& output) {
  std::vector<at::Tensor> losses{output.loss, output.cross_entropy};
  for (const nn::AuxiliaryLoss& loss : output.auxiliary.losses) losses.push_back(loss.value);
  for (at::Tensor& loss : losses) loss = loss.detach().to(at::kDouble);
  const at::Tensor read = at::stack(losses).cpu();  // waits for a device once
  const double* value = read.const_data_ptr<double>();

  StepValues values{{"loss", value[0]}, {"cross_entropy", value[1]}};
  std::map<std::string, int64_t> num_layers;
  value += values.size();
  for (const nn::AuxiliaryLoss& loss : output.auxiliary.losses) {
    accumulate(values, loss.name, *value++);
    ++num_layers[loss.name];
  }
  for (auto& [name, sum] : values)
    if (num_layers.count(name)) sum /= static_cast<double>(num_layers[name]);
  return values;
}

void Window::add(const StepValues& values) {
  for (const auto& [name, value] : values) {
    accumulate(sums_, name, value);
    num_values_.resize(sums_.size());
    ++num_values_[find_name(sums_, name)];
  }
}

void Window::add_seconds(double seconds, double data_wait_s, const Counts& of_step) {
  seconds_ += seconds;
  data_wait_s_ += data_wait_s;
  timed_steps_ += static_cast<double>(of_step.step);
  timed_tokens_ += static_cast<double>(of_step.num_input_tokens + of_step.num_target_tokens);
  timed_flops_ += of_step.train_flops;
}

bool Window::has(const std::string& name) const {
  return find_name(sums_, name) < sums_.size();
}

double Window::mean(const std::string& name) const {
  const size_t index = find_name(sums_, name);
  return index == sums_.size() ? 0.0
                               : sums_[index].second / static_cast<double>(num_values_[index]);
}

Json Window::to_line(const Counts& counts, double learning_rate) const {
  Json line{{"step", counts.step}};
  for (size_t i = 0; i < sums_.size(); ++i)
    line[sums_[i].first] = sums_[i].second / static_cast<double>(num_values_[i]);
  line["learning_rate"] = learning_rate;
  line.update(train::to_json(counts));
  return line;
}

Json Window::machine(double matmul_flops_per_s) const {
  Json figures = Json::object();
  if (seconds_ > 0) {
    figures["tokens_per_s"] = timed_tokens_ / seconds_;
    figures["flops_per_s"] = timed_flops_ / seconds_;
    if (matmul_flops_per_s > 0) {
      figures["matmul_flops_per_s"] = matmul_flops_per_s;
      figures["fraction_of_matmul"] = timed_flops_ / seconds_ / matmul_flops_per_s;
    }
    figures["data_wait_s"] = data_wait_s_ / timed_steps_;
  }
  if (checkpoint_wait_s_ > 0) figures["checkpoint_wait_s"] = checkpoint_wait_s_;
  figures["peak_memory_bytes"] = peak_memory_bytes();
  return figures;
}

Json Window::to_json() const {
  Json saved = Json::array();
  for (size_t i = 0; i < sums_.size(); ++i)
    saved.push_back(
        {{"name", sums_[i].first}, {"sum", sums_[i].second}, {"num_values", num_values_[i]}});
  return saved;
}

Window Window::parse(const Json& saved) {
  Window window;
  for (const Json& entry : saved) {
    window.sums_.emplace_back(entry.at("name"), entry.at("sum"));
    window.num_values_.push_back(entry.at("num_values"));
  }
  return window;
}

}  // namespace flanmoe::train
