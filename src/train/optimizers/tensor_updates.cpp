#include "train/optimizers/tensor_updates.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_or.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/bitwise_xor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

namespace flanmoe::train::tensor_updates {
namespace {

constexpr int64_t kPieceSize = int64_t{1} << 23;  // elements with temporary values of 8 bytes

// int64 as 64 bits: sums and products wrap, shifts are without sign.
at::Tensor shift_right(const at::Tensor& x, int64_t num_bits) {
  return at::bitwise_right_shift(x, num_bits).bitwise_and_((int64_t{1} << (64 - num_bits)) - 1);
}

at::Tensor mix64(at::Tensor x) {
  x = x.add(static_cast<int64_t>(0x9E3779B97F4A7C15ull));
  x = x.bitwise_xor_(shift_right(x, 30)).mul_(static_cast<int64_t>(0xBF58476D1CE4E5B9ull));
  x = x.bitwise_xor_(shift_right(x, 27)).mul_(static_cast<int64_t>(0x94D049BB133111EBull));
  return x.bitwise_xor_(shift_right(x, 31));
}

// Of elements [first, first + size), first a multiple of 4: int32 below 2^16.
at::Tensor make_noise(const RandomKey& key, int64_t first, int64_t size,
                      const at::TensorOptions& options) {
  const at::Tensor index = at::arange(first / 4, (first + size + 3) / 4, options.dtype(at::kLong));
  const at::Tensor words = mix64(index.mul(static_cast<int64_t>(0x9E3779B97F4A7C15ull))
                                     .add_(static_cast<int64_t>(key.state())));
  std::vector<at::Tensor> parts;
  for (const int64_t num_bits : {0, 16, 32, 48})
    parts.push_back(
        at::bitwise_right_shift(words, num_bits).bitwise_and_(int64_t{0xFFFF}).to(at::kInt));
  return at::stack(parts, 1).view(-1).narrow(0, 0, size);
}

// update(values) with float32 values; those of a bfloat16 parameter are then rounded.
template <class Update>
void update_values(const StepTarget& target, const Update& update) {
  if (target.values.scalar_type() == at::kFloat) {
    update(target.values);
    return;
  }
  const at::Tensor wide = target.values.to(at::kFloat);
  update(wide);
  target.values.copy_(round_stochastically(wide, target.rounding));
}

at::Tensor scaled_gradient(const StepTarget& target, double scale) {
  return target.gradient.to(at::kFloat).mul(scale);
}

// Of every group [groups], double: float sums along the last dim, double ones over the others.
at::Tensor mean_of_squares(const at::Tensor& x_GMRC) {
  const at::Tensor sums = x_GMRC.square().sum(-1).to(at::kDouble).sum({1, 2});
  return sums.div(static_cast<double>(x_GMRC.numel()) / static_cast<double>(x_GMRC.size(0)));
}

// average = beta2 average + (1 - beta2) (mean + floor), and the new average in double.
at::Tensor move_average(const at::Tensor& average, const at::Tensor& mean, double beta2) {
  average.copy_(average.to(at::kDouble)
                    .mul_(beta2)
                    .add_(mean.to(at::kDouble).add_(kernels::kSquareFloor), 1.0 - beta2));
  return average.to(at::kDouble);
}

// The update before clipping: the gradient divided by the root of the new second moment.
at::Tensor divide_by_root(const at::Tensor& g_GMRC, const kernels::AdafactorShape& shape,
                          const AdafactorState& state, double beta2) {
  const at::Tensor squares = g_GMRC.square();
  if (state.second_moment.defined()) {
    const at::Tensor second = state.second_moment.view(g_GMRC.sizes());
    second.mul_(beta2).add_(squares.add(kernels::kSquareFloor), 1.0 - beta2);
    return g_GMRC.div(second.sqrt());
  }
  const at::Tensor row =
      move_average(state.row.view({shape.num_groups, shape.num_matrices, shape.num_rows}),
                   squares.mean(-1), beta2);
  const at::Tensor column =
      move_average(state.column.view({shape.num_groups, shape.num_matrices, shape.num_columns}),
                   squares.mean(-2), beta2);
  const at::Tensor row_factor = row.mean(-1, true).div(row).sqrt_(), column_factor = column.rsqrt();
  return g_GMRC.mul(row_factor.to(at::kFloat).unsqueeze(-1))
      .mul_(column_factor.to(at::kFloat).unsqueeze(-2));
}

}  // namespace

double sum_of_squares(const std::vector<at::Tensor>& tensors) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const at::Tensor& tensor : tensors)
    for (const at::Tensor& piece : tensor.reshape(-1).split(kPieceSize))
      norms.push_back(at::linalg_vector_norm(piece, 2, {}, false, at::kDouble));
  return norms.empty() ? 0 : at::stack(norms).square_().sum().item<double>();
}

at::Tensor round_stochastically(const at::Tensor& values, const RandomKey& key) {
  const at::NoGradGuard no_grad;
  const at::Tensor rounded = at::empty(values.sizes(), values.options().dtype(at::kBFloat16));
  const at::Tensor from = values.reshape(-1), to = rounded.view(-1);
  for (int64_t begin = 0; begin < from.numel(); begin += kPieceSize) {
    const int64_t size = std::min(kPieceSize, from.numel() - begin);
    const at::Tensor part = from.narrow(0, begin, size), bits = part.view(at::kInt);
    const at::Tensor noise = make_noise(key, begin, size, values.options());
    to.narrow(0, begin, size)
        .copy_(at::where(part.ne(part), bits.bitwise_or(0x00400000), bits.add(noise))
                   .bitwise_right_shift(16)
                   .to(at::kShort)
                   .view(at::kBFloat16));
  }
  return rounded;
}

void update_adamw(const StepTarget& target, const at::Tensor& first_moment,
                  const at::Tensor& second_moment, const kernels::AdamWStep& step) {
  const at::NoGradGuard no_grad;
  const double correction1 = 1.0 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1.0 - std::pow(step.beta2, static_cast<double>(step.step));
  const at::Tensor g = scaled_gradient(target, step.gradient_scale);
  first_moment.mul_(step.beta1).add_(g, 1.0 - step.beta1);
  second_moment.mul_(step.beta2).addcmul_(g, g, 1.0 - step.beta2);
  const at::Tensor root =
      second_moment.sqrt().mul_(1.0 / std::sqrt(correction2)).add_(step.epsilon);
  update_values(target, [&](const at::Tensor& values) {
    if (target.weight_decay != 0) values.mul_(1.0 - target.learning_rate * target.weight_decay);
    values.addcdiv_(first_moment, root, -target.learning_rate / correction1);
  });
}

void update_sgd(const StepTarget& target, const at::Tensor& momentum,
                const kernels::SgdStep& step) {
  const at::NoGradGuard no_grad;
  at::Tensor g = scaled_gradient(target, step.gradient_scale);
  update_values(target, [&](const at::Tensor& values) {
    if (target.weight_decay != 0) g.add_(values, target.weight_decay);
    if (momentum.defined()) {
      momentum.mul_(step.momentum).add_(g);
      g = step.has_nesterov ? g.add_(momentum, step.momentum) : momentum;
    }
    values.sub_(g, target.learning_rate);
  });
}

void update_adafactor(const StepTarget& target, const kernels::AdafactorShape& shape,
                      const AdafactorState& state, const kernels::AdafactorStep& step) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> sizes{shape.num_groups, shape.num_matrices, shape.num_rows,
                                   shape.num_columns};
  const at::Tensor u_GMRC = divide_by_root(scaled_gradient(target, step.gradient_scale).view(sizes),
                                           shape, state, step.beta2);
  update_values(target, [&](const at::Tensor& values) {
    const at::Tensor p_GMRC = values.view(sizes);
    const at::Tensor clip_G =
        mean_of_squares(u_GMRC).sqrt_().div_(step.clipping_threshold).clamp_min_(1.0);
    at::Tensor rate_G = at::full_like(clip_G, target.learning_rate);
    if (step.scales_by_parameter)
      rate_G.mul_(mean_of_squares(p_GMRC).sqrt_().clamp_min_(step.min_parameter_scale));
    const auto as_factor = [](const at::Tensor& x_G) {
      return x_G.to(at::kFloat).view({-1, 1, 1, 1});
    };
    at::Tensor change = u_GMRC.mul_(as_factor(rate_G.div(clip_G)));
    if (state.first_moment.defined())
      change = state.first_moment.view(sizes).mul_(step.beta1).add_(change, 1.0 - step.beta1);
    if (target.weight_decay != 0)
      p_GMRC.mul_(as_factor(rate_G.mul(-target.weight_decay).add_(1.0)));
    p_GMRC.sub_(change);
  });
}

}  // namespace flanmoe::train::tensor_updates
