#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/routing.h"
#include "ops/tensors.h"

namespace flanmoe::ops {

namespace {

template <class Function>
void for_experts(const std::vector<int64_t>& offsets, Function function) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    if (offsets[e + 1] > offsets[e])
      function(static_cast<int64_t>(e), offsets[e], offsets[e + 1] - offsets[e]);
}

void check(const at::Tensor& x, const at::Tensor& weight, const std::vector<int64_t>& offsets) {
  if (x.dim() != 2 || weight.dim() != 3 || x.size(1) != weight.size(2))
    fail(ErrorCode::ShapeMismatch,
         "[ops.grouped_matmul] x is {} but weight is {}; [assignments, in] and [experts, out, in] "
         "are expected",
         shape_text(x), shape_text(weight));
  if (x.scalar_type() != weight.scalar_type())
    fail(ErrorCode::InvalidArgument,
         "[ops.grouped_matmul] x is {} but weight is {}; one dtype is expected",
         c10::toString(x.scalar_type()), c10::toString(weight.scalar_type()));
  if (static_cast<int64_t>(offsets.size()) != weight.size(0) + 1 || offsets.front() != 0 ||
      offsets.back() != x.size(0))
    fail(ErrorCode::ShapeMismatch,
         "[ops.grouped_matmul] {} expert offsets end at {}, but there are {} experts and {} rows",
         offsets.size(), offsets.empty() ? 0 : offsets.back(), weight.size(0), x.size(0));
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    if (offsets[e] > offsets[e + 1])
      fail(ErrorCode::InvalidArgument,
           "[ops.grouped_matmul] expert offsets fall from {} to {} at expert {}", offsets[e],
           offsets[e + 1], e);
}

}  // namespace

at::Tensor grouped_matmul(const at::Tensor& x_AI, const at::Tensor& weight_EOI,
                          const std::vector<int64_t>& expert_offsets) {
  check(x_AI, weight_EOI, expert_offsets);
  const bool records = is_recorded({x_AI, weight_EOI});
  const c10::AutoGradMode off(false);
  at::Tensor y = at::empty({x_AI.size(0), weight_EOI.size(1)}, x_AI.options());
  for_experts(expert_offsets, [&](int64_t e, int64_t begin, int64_t count) {
    at::Tensor rows = y.narrow(0, begin, count);
    at::mm_out(rows, x_AI.narrow(0, begin, count), weight_EOI.select(0, e).t());
  });
  if (!records) return y;
  const c10::AutoGradMode on(true);
  // each is kept for the gradient of the other only: frozen experts keep no activations
  const at::Tensor saved_x = weight_EOI.requires_grad() ? x_AI : at::Tensor();
  const at::Tensor saved_weight = x_AI.requires_grad() ? weight_EOI : at::Tensor();
  return record(
      y, {x_AI, weight_EOI}, {saved_x, saved_weight}, [expert_offsets](const BackwardCall& call) {
        const at::Tensor &x = call.saved[0], &weight = call.saved[1];
        const auto num_experts = static_cast<int64_t>(expert_offsets.size()) - 1;
        const at::Tensor grad_x =
            call.is_needed[0] ? at::empty({call.grad.size(0), weight.size(2)}, call.grad.options())
                              : at::Tensor();
        const at::Tensor grad_weight =
            call.is_needed[1]
                ? at::empty({num_experts, call.grad.size(1), x.size(1)}, call.grad.options())
                : at::Tensor();
        for (int64_t e = 0; e < num_experts; ++e) {
          const int64_t begin = expert_offsets[static_cast<size_t>(e)],
                        count = expert_offsets[static_cast<size_t>(e) + 1] - begin;
          if (count == 0) {
            if (grad_weight.defined()) grad_weight.select(0, e).zero_();
            continue;
          }
          const at::Tensor grad = call.grad.narrow(0, begin, count);
          if (grad_x.defined()) {
            at::Tensor out = grad_x.narrow(0, begin, count);
            at::mm_out(out, grad, weight.select(0, e));
          }
          if (grad_weight.defined()) {
            at::Tensor out = grad_weight.select(0, e);
            at::mm_out(out, grad.t(), x.narrow(0, begin, count));
          }
        }
        return std::vector<at::Tensor>{grad_x, grad_weight};
      });
}

}  // namespace flanmoe::ops
