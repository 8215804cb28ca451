#include <ATen/ops/arange.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/routing.h"
#include "ops/tensors.h"

namespace flanmoe::ops {

namespace {

// For every token its assignments, in rising order.
struct Inverse {
  at::Tensor offsets;  // int64 [T + 1]
  at::Tensor order;    // int64 [A]
};
Inverse invert(const at::Tensor& token_index, int64_t num_tokens) {
  if (token_index.is_cuda()) {
    auto [tokens, order] = at::sort(token_index, /*stable=*/true);
    return {at::searchsorted(tokens, at::arange(num_tokens + 1, token_index.options())), order};
  }
  const int64_t count = token_index.numel();
  const int64_t* token = data<int64_t>(token_index);
  const Inverse inverse{at::zeros({num_tokens + 1}, token_index.options()),
                        at::empty({count}, token_index.options())};
  int64_t *const offsets = data<int64_t>(inverse.offsets), *const order =
                                                               data<int64_t>(inverse.order);
  for (int64_t a = 0; a < count; ++a) ++offsets[token[a] + 1];
  for (int64_t t = 0; t < num_tokens; ++t) offsets[t + 1] += offsets[t];
  std::vector<int64_t> next(offsets, offsets + num_tokens);
  for (int64_t a = 0; a < count; ++a) order[next[static_cast<size_t>(token[a])]++] = a;
  return inverse;
}

at::Tensor sum_by_token(const at::Tensor& x, const at::Tensor& token_index,
                        const at::Tensor& weight, int64_t num_tokens) {
  const Inverse inverse = invert(token_index, num_tokens);
  const at::Tensor y = at::empty({num_tokens, x.size(1)}, x.options());
  visit_dtype("combine", x, [&]<class T>(T) {
    kernels_for<T>(x).sum_rows(data<T>(x), data<int64_t>(inverse.offsets),
                               data<int64_t>(inverse.order), data<Accumulator<T>>(weight),
                               data<T>(y), num_tokens, x.size(1));
  });
  return y;
}

at::Tensor gather(const at::Tensor& x, const at::Tensor& token_index, const at::Tensor& weight) {
  const at::Tensor y = at::empty({token_index.numel(), x.size(1)}, x.options());
  visit_dtype("dispatch", x, [&]<class T>(T) {
    kernels_for<T>(x).gather_rows(data<T>(x), data<int64_t>(token_index),
                                  data<Accumulator<T>>(weight), data<T>(y), y.size(0), y.size(1));
  });
  return y;
}

void check(const char* op, const at::Tensor& x, int64_t rows, const char* what,
           const Routing& routing) {
  if (x.dim() != 2 || x.size(0) != rows)
    fail(ErrorCode::ShapeMismatch, "[ops.{}] x is {} but the routing has {} {}", op, shape_text(x),
         rows, what);
  if (!routing.token_index_A.defined() || routing.token_index_A.dim() != 1 ||
      routing.token_index_A.scalar_type() != at::kLong)
    fail(ErrorCode::ShapeMismatch, "[ops.{}] token_index is {}; int64 [assignments] is expected",
         op, shape_text(routing.token_index_A));
}

void check_tokens(const char* op, const at::Tensor& token_index, int64_t num_tokens) {
  if (token_index.is_cuda()) return;  // looking at them would wait for the device
  const int64_t* token = data<int64_t>(token_index);
  for (int64_t a = 0; a < token_index.numel(); ++a)
    if (token[a] < 0 || token[a] >= num_tokens)
      fail(ErrorCode::InvalidArgument, "[ops.{}] assignment {} is of token {}; there are {} tokens",
           op, a, token[a], num_tokens);
}

}  // namespace

at::Tensor dispatch(const at::Tensor& x_TD, const Routing& routing) {
  check("dispatch", x_TD, routing.num_tokens, "tokens", routing);
  const bool records = is_recorded({x_TD});
  const c10::AutoGradMode off(false);
  const at::Tensor token_index = routing.token_index_A.contiguous();
  check_tokens("dispatch", token_index, routing.num_tokens);
  const at::Tensor y = gather(x_TD.contiguous(), token_index, {});
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(y, {x_TD}, {token_index},
                [num_tokens = routing.num_tokens](const BackwardCall& call) {
                  return std::vector<at::Tensor>{
                      sum_by_token(call.grad.contiguous(), call.saved[0], {}, num_tokens)};
                });
}

at::Tensor combine(const at::Tensor& expert_output_AD, const Routing& routing) {
  check("combine", expert_output_AD, routing.token_index_A.numel(), "assignments", routing);
  if (routing.combine_weight_A.numel() != expert_output_AD.size(0))
    fail(ErrorCode::ShapeMismatch,
         "[ops.combine] combine_weight is {} but there are {} assignments",
         shape_text(routing.combine_weight_A), expert_output_AD.size(0));
  // the conversion is recorded by itself
  const at::Tensor weight =
      routing.combine_weight_A.to(accumulator_dtype(expert_output_AD)).contiguous();
  const bool records = is_recorded({expert_output_AD, weight});
  const c10::AutoGradMode off(false);
  const at::Tensor x = expert_output_AD.contiguous(),
                   token_index = routing.token_index_A.contiguous();
  check_tokens("combine", token_index, routing.num_tokens);
  const at::Tensor y = sum_by_token(x, token_index, weight, routing.num_tokens);
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(
      y, {expert_output_AD, weight}, {x, weight, token_index}, [](const BackwardCall& call) {
        const at::Tensor grad = call.grad.contiguous(), &x_saved = call.saved[0],
                         &weight_saved = call.saved[1], &index = call.saved[2];
        at::Tensor grad_x, grad_weight;
        if (call.is_needed[0]) grad_x = gather(grad, index, weight_saved);
        if (call.is_needed[1]) {
          grad_weight = empty_like(weight_saved);
          visit_dtype("combine", x_saved, [&]<class T>(T) {
            kernels_for<T>(grad).dot_rows(data<T>(x_saved), data<T>(grad), data<int64_t>(index),
                                          data<Accumulator<T>>(grad_weight), x_saved.size(0),
                                          x_saved.size(1));
          });
        }
        return std::vector<at::Tensor>{grad_x, grad_weight};
      });
}

}  // namespace flanmoe::ops
