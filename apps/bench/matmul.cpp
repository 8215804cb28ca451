#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "bench/bench.h"
#include "ops/products.h"

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

namespace {

// [size, size]. On a CPU it is mapped by itself: what is freed to the heap stays with the process
// (base/memory.h) and would count in the peak memory of what is measured beside.
at::Tensor make_matrix(int64_t size, const Common& common) {
  const auto options =
      at::TensorOptions().dtype(common.scalar_type()).device(common.torch_device());
  if (!options.device().is_cpu()) return at::empty({size, size}, options);
  const auto bytes = static_cast<size_t>(size * size) * c10::elementSize(common.scalar_type());
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    fail(ErrorCode::Io, "[bench] no memory for a matrix of {} bytes", bytes);
  return at::from_blob(
      memory, {size, size}, [bytes](void* data) { munmap(data, bytes); }, options);
}

// Random values; a block of rows is repeated, which takes less time than drawing all.
at::Tensor make_operand(int64_t size, const Common& common) {
  constexpr int64_t kDrawnRows = 256;
  at::Tensor matrix = make_matrix(size, common);
  const at::Tensor drawn = at::randn({kDrawnRows, size}, matrix.options());
  for (int64_t row = 0; row < size; row += kDrawnRows)
    matrix.narrow(0, row, kDrawnRows).copy_(drawn);
  return matrix;
}

double measure_own_product(int64_t size, const Common& common, int64_t repeats) {
  const auto options = at::TensorOptions().dtype(common.scalar_type());
  const at::Tensor a = at::randn({size, size}, options), b = at::randn({size, size}, options),
                   c = at::empty({size, size}, options);
  std::vector<double> seconds;
  for (int64_t i = 0; i <= repeats; ++i)
    seconds.push_back(seconds_of([&] { ops::multiply_own(a, b, c); }));
  const auto n = static_cast<double>(size);
  return 2 * n * n * n / median({seconds.begin() + 1, seconds.end()});
}

}  // namespace

void MatmulRate::measure() {
  const at::NoGradGuard no_grad;
  for (const int64_t size : {2048, 4096}) {
    const at::Tensor a = make_operand(size, common_), b = make_operand(size, common_);
    at::Tensor c = make_matrix(size, common_);
    c.zero_();
    seconds_[size].push_back(seconds_of([&] {
      at::mm_out(c, a, b);
      (void)c[0][0].item<double>();  // waits for an accelerator
    }));
  }
}

double MatmulRate::flops_per_s() const {
  double best = 0;
  for (const auto& [size, seconds] : seconds_) {
    const auto n = static_cast<double>(size);
    best = std::max(best, 2 * n * n * n / median({seconds.begin() + 1, seconds.end()}));
  }
  return best;
}

Json bench_matmul(const BenchSettings& settings) {
  MatmulRate rate(settings.common);
  for (int64_t i = 0; i <= settings.repeats; ++i) rate.measure();
  Json json{{"shape", "2048, 4096"},
            {"flops_per_s", rate.flops_per_s()},
            {"matmul_flops_per_s", rate.flops_per_s()},
            {"fraction_of_matmul", 1.0}};
  if (settings.common.torch_device().is_cpu()) {
    json["own_flops_per_s"] = measure_own_product(2048, settings.common, settings.repeats);
    json["prefers_own_product"] = ops::prefers_own_product(settings.common.scalar_type());
  }
  return json;
}

}  // namespace flanmoe::apps
