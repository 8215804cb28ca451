#include <c10/core/GradMode.h>

#include <algorithm>

#include "ops/autograd.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

// Into how many parts the sum over rows is cut: follows from the shape only.
int64_t num_parts(int64_t rows) {
  return std::clamp<int64_t>(rows / 16, 1, 64);
}

std::vector<at::Tensor> backward(const BackwardCall& call) {
  const at::Tensor grad = call.grad.contiguous(), x = call.saved[0], weight = call.saved[1],
                   inverse_rms = call.saved[2];
  const Rows rows = as_rows(x);
  at::Tensor grad_x = call.is_needed[0] ? empty_like(x) : at::Tensor(), grad_weight, partial;
  const int64_t parts = num_parts(rows.num_rows);
  if (call.is_needed[1]) {
    grad_weight = empty_like(weight);
    partial = empty({parts, rows.num_columns}, weight, weight.scalar_type());
  }
  visit_dtype("rms_norm", x, [&]<class T>(T) {
    using A = Accumulator<T>;
    kernels_for<T>(x).rms_norm_backward(data<T>(grad), data<T>(x), data<A>(weight),
                                        data<A>(inverse_rms), data<T>(grad_x), data<A>(grad_weight),
                                        data<A>(partial), parts, rows.num_rows, rows.num_columns);
  });
  return {grad_x, grad_weight};
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps) {
  if (x.dim() < 1 || weight_D.dim() != 1 || x.size(-1) != weight_D.size(0))
    fail(ErrorCode::ShapeMismatch,
         "[ops.rms_norm] weight is {} but x is {}; the last dims must match", shape_text(weight_D),
         shape_text(x));
  // the conversion is recorded by itself, so that a weight of any dtype gets its gradient
  const at::Tensor weight = weight_D.to(accumulator_dtype(x)).contiguous();
  const bool records = is_recorded({x, weight});
  const c10::AutoGradMode off(false);
  const at::Tensor input = x.contiguous();
  const Rows rows = as_rows(input);
  const at::Tensor y = empty_like(input);
  const at::Tensor inverse_rms =
      records ? empty({rows.num_rows}, weight, weight.scalar_type()) : at::Tensor();
  visit_dtype("rms_norm", input, [&]<class T>(T) {
    using A = Accumulator<T>;
    kernels_for<T>(input).rms_norm(data<T>(input), data<A>(weight), eps, data<T>(y),
                                   data<A>(inverse_rms), rows.num_rows, rows.num_columns);
  });
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(y, {x, weight}, {input, weight, inverse_rms}, backward);
}

}  // namespace flanmoe::ops
