#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

std::vector<at::Tensor> backward(const BackwardCall& call) {
  const at::Tensor grad = call.grad.contiguous();
  const Rows gate = as_rows(call.saved[0]), up = as_rows(call.saved[1]);
  const at::Tensor grad_gate = empty_like(call.saved[0]), grad_up = empty_like(call.saved[1]);
  visit_dtype("gated_gelu", grad, [&]<class T>(T) {
    kernels_for<T>(grad).gated_gelu_backward(data<T>(grad), data<T>(gate.tensor), gate.stride,
                                             data<T>(up.tensor), up.stride, data<T>(grad_gate),
                                             data<T>(grad_up), gate.num_rows, gate.num_columns);
  });
  return {grad_gate, grad_up};
}

}  // namespace

at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.sizes() != up.sizes() || gate.scalar_type() != up.scalar_type())
    fail(ErrorCode::ShapeMismatch,
         "[ops.gated_gelu] gate is {} {} but up is {} {}; they must match",
         c10::toString(gate.scalar_type()), shape_text(gate), c10::toString(up.scalar_type()),
         shape_text(up));
  const bool records = is_recorded({gate, up});
  const c10::AutoGradMode off(false);
  const Rows gate_rows = as_rows(gate), up_rows = as_rows(up);
  const at::Tensor y = empty_like(gate);
  visit_dtype("gated_gelu", gate, [&]<class T>(T) {
    kernels_for<T>(y).gated_gelu(data<T>(gate_rows.tensor), gate_rows.stride,
                                 data<T>(up_rows.tensor), up_rows.stride, data<T>(y),
                                 gate_rows.num_rows, gate_rows.num_columns);
  });
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(y, {gate, up}, {gate, up}, backward);
}

at::Tensor gelu(const at::Tensor& x) {
  return at::gelu(x, "tanh");
}
at::Tensor relu(const at::Tensor& x) {
  return at::relu(x);
}

}  // namespace flanmoe::ops
