#include "train/matmul_rate.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace flanmoe::train {

double measure_matmul_rate(c10::ScalarType dtype, c10::Device device) {
  constexpr int64_t kSize = 2048;
  const c10::AutoGradMode no_grad(false);
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  // As uneven as real operands, which a processor multiplies more slowly than constants; not drawn,
  // so that the generator of random numbers stays where it is.
  const auto make_operand = [&](double step) {
    return at::arange(kSize * kSize, options.dtype(at::kFloat))
        .mul(step)
        .sin()
        .to(dtype)
        .view({kSize, kSize});
  };
  const at::Tensor a = make_operand(0.37), b = make_operand(0.73);
  at::Tensor c = at::empty_like(a);
  const auto run = [&] {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(c, a, b);
    (void)c[0][0].item<double>();  // waits for an accelerator
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  run();
  std::array<double, 3> seconds = {run(), run(), run()};
  std::sort(seconds.begin(), seconds.end());
  constexpr auto kFlops = 2.0 * kSize * kSize * kSize;
  return kFlops / seconds[1];
}

}  // namespace flanmoe::train
