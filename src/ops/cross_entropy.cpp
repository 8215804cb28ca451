#include <ATen/ops/neg.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

void check(const char* op, const at::Tensor& logits, const at::Tensor& labels) {
  if (logits.dim() != 2 || labels.dim() != 1 || labels.size(0) != logits.size(0) ||
      labels.scalar_type() != at::kLong)
    fail(ErrorCode::ShapeMismatch,
         "[ops.{}] labels are {} {} but logits are {}; [tokens] int64 and [tokens, vocabulary] are "
         "expected",
         op, c10::toString(labels.scalar_type()), shape_text(labels), shape_text(logits));
  if (labels.is_cuda()) return;  // the kernel gives NaN for a label outside the vocabulary
  const int64_t* label = data<int64_t>(labels);
  for (int64_t i = 0; i < labels.size(0); ++i)
    if (label[i] >= logits.size(1))
      fail(ErrorCode::InvalidArgument,
           "[ops.{}] label {} of token {} is outside the vocabulary of {}", op, label[i], i,
           logits.size(1));
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits_TV, const at::Tensor& labels_T,
                         double z_coefficient) {
  const at::Tensor labels = labels_T.contiguous();
  check("cross_entropy", logits_TV, labels);
  const bool records = is_recorded({logits_TV});
  const c10::AutoGradMode off(false);
  const Rows rows = as_rows(logits_TV);
  const auto dtype = accumulator_dtype(logits_TV);
  const at::Tensor loss = empty({rows.num_rows}, logits_TV, dtype);
  const at::Tensor logsumexp = records ? empty({rows.num_rows}, logits_TV, dtype) : at::Tensor();
  visit_dtype("cross_entropy", logits_TV, [&]<class T>(T) {
    using A = Accumulator<T>;
    kernels_for<T>(loss).cross_entropy(data<T>(rows.tensor), rows.stride, data<int64_t>(labels),
                                       z_coefficient, data<A>(loss), data<A>(logsumexp),
                                       rows.num_rows, rows.num_columns);
  });
  if (!records) return loss;
  const c10::AutoGradMode on(true);
  return record(loss, {logits_TV}, {logits_TV, labels, logsumexp},
                [z_coefficient](const BackwardCall& call) {
                  const at::Tensor grad = call.grad.contiguous();
                  const Rows logits = as_rows(call.saved[0]);
                  const at::Tensor grad_logits = empty_like(call.saved[0]);
                  visit_dtype("cross_entropy", call.saved[0], [&]<class T>(T) {
                    using A = Accumulator<T>;
                    kernels_for<T>(grad).cross_entropy_backward(
                        data<A>(grad), data<T>(logits.tensor), logits.stride,
                        data<int64_t>(call.saved[1]), data<A>(call.saved[2]), z_coefficient,
                        data<T>(grad_logits), logits.num_rows, logits.num_columns);
                  });
                  return std::vector<at::Tensor>{grad_logits};
                });
}

at::Tensor label_log_probability(const at::Tensor& logits_TV, const at::Tensor& labels_T) {
  const c10::AutoGradMode off(false);
  return at::neg(cross_entropy(logits_TV, labels_T));
}

}  // namespace flanmoe::ops
