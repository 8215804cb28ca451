#include "train/optimizers/optimizer.h"

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/json.h"
#include "base/memory.h"
#include "bench/bench.h"
#include "model/model.h"

namespace flanmoe::apps {
namespace {

// STREAM's triad over arrays beyond any cache, and its form with two arrays, which has no line
// fetched only to be overwritten; the better one counts.
class MemoryRate {
 public:
  MemoryRate() : a_(at::zeros({kSize})), b_(at::zeros({kSize})), c_(at::zeros({kSize})) {}

  void measure() {
    float* a = a_.data_ptr<float>();
    const float* b = b_.const_data_ptr<float>();
    const float* c = c_.const_data_ptr<float>();
    triad_s_.push_back(seconds_of([&] {
#pragma omp parallel for simd schedule(static)
      for (int64_t i = 0; i < kSize; ++i) a[i] = b[i] + 3.0f * c[i];
    }));
    update_s_.push_back(seconds_of([&] {
#pragma omp parallel for simd schedule(static)
      for (int64_t i = 0; i < kSize; ++i) a[i] += 3.0f * b[i];
    }));
  }

  // The first measurement is the warm-up.
  double bytes_per_s() const {
    const auto rate = [](const std::vector<double>& seconds) {
      return 3.0 * sizeof(float) * static_cast<double>(kSize) /
             median({seconds.begin() + 1, seconds.end()});
    };
    return std::max(rate(triad_s_), rate(update_s_));
  }

 private:
  static constexpr int64_t kSize = int64_t{1} << 25;
  at::Tensor a_, b_, c_;
  std::vector<double> triad_s_, update_s_;
};

int64_t size_in_bytes(const at::Tensor& tensor) {
  return tensor.numel() * tensor.element_size();
}

}  // namespace

Json bench_optimizer(const BenchSettings& settings) {
  const model::ModelConfig config = bench_model_config(settings);
  const at::ScalarType dtype = settings.common.scalar_type();
  const model::Model model(config, 0, dtype, settings.common.torch_device());
  train::OptimizerConfig optimizer_config;
  optimizer_config.name = settings.optimizer;
  if (settings.optimizer == "sgd") optimizer_config.momentum = 0.9;
  const auto optimizer = train::make_optimizer(model.parameters(), optimizer_config);

  int64_t num_parameters = 0, bytes_touched = 0;
  for (const nn::Parameter& parameter : model.parameters()) {
    at::Tensor tensor = parameter.tensor;
    tensor.mutable_grad() = at::randn(tensor.sizes(), tensor.options().requires_grad(false));
    num_parameters += tensor.numel();
    bytes_touched += 2 * size_in_bytes(tensor) + size_in_bytes(tensor.grad());
  }
  for (const auto& [name, tensor] : optimizer->state()) {
    bytes_touched += 2 * size_in_bytes(tensor);
    if (!name.ends_with(".row")) continue;
    // no update before the whole matrix's averages: its gradient is read twice
    const std::string parameter = name.substr(0, name.rfind('.'));
    for (const nn::Parameter& p : model.parameters())
      if (p.name == parameter) bytes_touched += size_in_bytes(p.tensor.grad());
  }

  MemoryRate memory;
  std::vector<double> seconds;
  for (int64_t i = 0; i <= settings.repeats; ++i) {
    memory.measure();
    const double s = seconds_of([&] { optimizer->step(i + 1, 1e-4, 0.5); });
    if (i > 0) seconds.push_back(s);
  }
  const double median_s = median(seconds);
  const double bytes_per_s = static_cast<double>(bytes_touched) / median_s;
  return {{"shape", settings.shape},
          {"optimizer", settings.optimizer},
          {"num_parameters", num_parameters},
          {"median_s", median_s},
          {"min_s", *std::min_element(seconds.begin(), seconds.end())},
          {"max_s", *std::max_element(seconds.begin(), seconds.end())},
          {"bytes_touched", bytes_touched},
          {"bytes_per_s", bytes_per_s},
          {"memory_bytes_per_s", memory.bytes_per_s()},
          {"fraction_of_memory", bytes_per_s / memory.bytes_per_s()},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

}  // namespace flanmoe::apps
