#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "bench/bench.h"

namespace flanmoe::apps {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

MatmulRate::MatmulRate(const Common& common) {
  const auto options =
      at::TensorOptions().dtype(common.scalar_type()).device(common.torch_device());
  for (int64_t size : {2048, 4096})
    operands_.push_back({at::randn({size, size}, options), at::randn({size, size}, options), {}});
}

void MatmulRate::measure() {
  const at::NoGradGuard no_grad;
  for (Operands& o : operands_) o.seconds.push_back(seconds_of([&] { (void)at::mm(o.a, o.b); }));
}

double MatmulRate::flops_per_s() const {
  double best = 0;
  for (const Operands& o : operands_) {
    const double n = static_cast<double>(o.a.size(0));
    best = std::max(best, 2 * n * n * n / median({o.seconds.begin() + 1, o.seconds.end()}));
  }
  return best;
}

Json bench_matmul(const BenchSettings& settings) {
  MatmulRate rate(settings.common);
  for (int64_t i = 0; i <= settings.repeats; ++i) rate.measure();
  return {{"shape", "2048, 4096"},
          {"flops_per_s", rate.flops_per_s()},
          {"matmul_flops_per_s", rate.flops_per_s()},
          {"fraction_of_matmul", 1.0}};
}

}  // namespace flanmoe::apps
