#include <ATen/ops/dot.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "ops/autograd.h"
#include "ops/products.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

void check(const char* op, int64_t num_tokens, int64_t vocabulary, const at::Tensor& labels) {
  if (labels.dim() != 1 || labels.size(0) != num_tokens || labels.scalar_type() != at::kLong)
    fail(ErrorCode::ShapeMismatch,
         "[ops.{}] labels are {} {} but there are {} tokens; int64 [tokens] is expected", op,
         c10::toString(labels.scalar_type()), shape_text(labels), num_tokens);
  if (labels.is_cuda()) return;  // the kernel gives NaN for a label outside the vocabulary
  const int64_t* label = data<int64_t>(labels);
  for (int64_t i = 0; i < labels.size(0); ++i)
    if (label[i] >= vocabulary)
      fail(ErrorCode::InvalidArgument,
           "[ops.{}] label {} of token {} is outside the vocabulary of {}", op, label[i], i,
           vocabulary);
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits_TV, const at::Tensor& labels_T,
                         const CrossEntropyRule& rule) {
  const at::Tensor labels = labels_T.contiguous();
  if (logits_TV.dim() != 2)
    fail(ErrorCode::ShapeMismatch,
         "[ops.cross_entropy] logits are {}; [tokens, vocabulary] is expected",
         shape_text(logits_TV));
  check("cross_entropy", logits_TV.size(0), logits_TV.size(1), labels);
  const bool records = is_recorded({logits_TV});
  const c10::AutoGradMode off(false);
  const Rows rows = as_rows(logits_TV);
  const auto dtype = accumulator_dtype(logits_TV);
  const at::Tensor loss = empty({rows.num_rows}, logits_TV, dtype);
  const at::Tensor logsumexp = records ? empty({rows.num_rows}, logits_TV, dtype) : at::Tensor();
  visit_dtype("cross_entropy", logits_TV, [&]<class T>(T) {
    using A = Accumulator<T>;
    kernels_for<T>(loss).cross_entropy(data<T>(rows.tensor), rows.stride, data<int64_t>(labels),
                                       rule, data<A>(loss), data<A>(logsumexp), rows.num_rows,
                                       rows.num_columns);
  });
  if (!records) return loss;
  const c10::AutoGradMode on(true);
  return record(loss, {logits_TV}, {logits_TV, labels, logsumexp},
                [rule](const BackwardCall& call) {
                  const at::Tensor grad = call.grad.contiguous();
                  const Rows logits = as_rows(call.saved[0]);
                  const at::Tensor grad_logits = empty_like(call.saved[0]);
                  visit_dtype("cross_entropy", call.saved[0], [&]<class T>(T) {
                    using A = Accumulator<T>;
                    kernels_for<T>(grad).cross_entropy_backward(
                        data<A>(grad), data<T>(logits.tensor), logits.stride,
                        data<int64_t>(call.saved[1]), data<A>(call.saved[2]), rule,
                        data<T>(grad_logits), logits.num_rows, logits.num_columns);
                  });
                  return std::vector<at::Tensor>{grad_logits};
                });
}

namespace {

constexpr int64_t kChunkBytes = int64_t{64} << 20;

// What linear_cross_entropy computes for all tokens. Undefined gradients are not wanted.
struct LinearLoss {
  at::Tensor token_loss_T, grad_hidden_TD, grad_weight_VD;
};

template <class T>
LinearLoss compute_linear_loss(const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& labels, const at::Tensor& token_weight,
                               const CrossEntropyRule& rule, bool needs_hidden, bool needs_weight) {
  using A = Accumulator<T>;
  const int64_t num_tokens = hidden.size(0), vocabulary = weight.size(0);
  const auto statistics = accumulator_dtype(hidden);
  LinearLoss result{.token_loss_T = empty({num_tokens}, hidden, statistics)};
  if (needs_hidden) result.grad_hidden_TD = empty_like(hidden);
  const int64_t chunk = std::max<int64_t>(
      1, kChunkBytes / std::max<int64_t>(1, vocabulary * static_cast<int64_t>(sizeof(T))));
  const at::Tensor logsumexp = empty({std::min(chunk, num_tokens)}, hidden, statistics);
  at::Tensor buffer =
      empty({std::min(chunk, num_tokens), vocabulary}, hidden, hidden.scalar_type());
  for (int64_t begin = 0; begin < num_tokens; begin += chunk) {
    const int64_t count = std::min(chunk, num_tokens - begin);
    const at::Tensor rows = hidden.narrow(0, begin, count), logits = buffer.narrow(0, 0, count);
    const int64_t* label = data<int64_t>(labels) + begin;
    multiply(rows, weight.t(), logits);
    kernels_for<T>(logits).cross_entropy(data<T>(logits), vocabulary, label, rule,
                                         data<A>(result.token_loss_T) + begin, data<A>(logsumexp),
                                         count, vocabulary);
    if (!needs_hidden && !needs_weight) continue;
    kernels_for<T>(logits).cross_entropy_backward(data<A>(token_weight) + begin, data<T>(logits),
                                                  vocabulary, label, data<A>(logsumexp), rule,
                                                  data<T>(logits), count, vocabulary);
    if (needs_hidden) multiply(logits, weight, result.grad_hidden_TD.narrow(0, begin, count));
    if (!needs_weight) continue;
    const at::Tensor part = empty_like(weight);
    multiply(logits.t(), rows, part);
    if (!result.grad_weight_VD.defined())
      result.grad_weight_VD = chunk < num_tokens ? part.to(statistics) : part;
    else
      result.grad_weight_VD.add_(part);
  }
  if (needs_weight && !result.grad_weight_VD.defined())
    result.grad_weight_VD = at::zeros(weight.sizes(), weight.options());
  return result;
}

}  // namespace

WeightedLoss linear_cross_entropy(const at::Tensor& hidden_TD, const WeightView& weight_VD,
                                  const at::Tensor& labels_T, const at::Tensor& token_weight_T,
                                  const CrossEntropyRule& rule) {
  const at::Tensor labels = labels_T.contiguous();
  if (hidden_TD.dim() != 2 || weight_VD.values.dim() != 2 ||
      hidden_TD.size(1) != weight_VD.values.size(1) ||
      hidden_TD.scalar_type() != weight_VD.values.scalar_type())
    fail(ErrorCode::ShapeMismatch,
         "[ops.linear_cross_entropy] hidden is {} {} but weight is {} {}; [tokens, D] and "
         "[vocabulary, D] of one dtype are expected",
         c10::toString(hidden_TD.scalar_type()), shape_text(hidden_TD),
         c10::toString(weight_VD.values.scalar_type()), shape_text(weight_VD.values));
  check("linear_cross_entropy", hidden_TD.size(0), weight_VD.values.size(0), labels);
  if (token_weight_T.sizes() != labels_T.sizes() ||
      token_weight_T.scalar_type() != accumulator_dtype(hidden_TD))
    fail(
        ErrorCode::ShapeMismatch,
        "[ops.linear_cross_entropy] token weights are {} {} but labels are {}; one of dtype {} for "
        "every token is expected",
        c10::toString(token_weight_T.scalar_type()), shape_text(token_weight_T),
        shape_text(labels_T), c10::toString(accumulator_dtype(hidden_TD)));
  const bool needs_hidden = is_recorded({hidden_TD}), needs_weight = is_recorded({weight_VD.leaf});
  const c10::AutoGradMode off(false);
  const at::Tensor hidden = hidden_TD.detach().contiguous(),
                   weight = weight_VD.values.detach().contiguous(),
                   token_weight = token_weight_T.contiguous();
  LinearLoss computed;
  visit_dtype("linear_cross_entropy", hidden, [&]<class T>(T) {
    computed = compute_linear_loss<T>(hidden, weight, labels, token_weight, rule, needs_hidden,
                                      needs_weight);
  });
  const at::Tensor sum = at::dot(computed.token_loss_T, token_weight);
  if (!needs_hidden && !needs_weight) return {sum, computed.token_loss_T};
  const c10::AutoGradMode on(true);
  // both gradients are those of a factor of 1, which it nearly always is
  return {
      record(sum, {hidden_TD, weight_VD.leaf}, {computed.grad_hidden_TD, computed.grad_weight_VD},
             [](const BackwardCall& call) {
               std::vector<at::Tensor> grads = call.saved;
               const bool is_one = call.grad.is_cpu() && call.grad.item<double>() == 1;
               for (at::Tensor& grad : grads)
                 if (grad.defined() && !is_one) grad = grad.mul(call.grad);
               return grads;
             }),
      computed.token_loss_T};
}

at::Tensor label_log_probability(const at::Tensor& logits_TV, const at::Tensor& labels_T) {
  const c10::AutoGradMode off(false);
  return at::neg(cross_entropy(logits_TV, labels_T));
}

}  // namespace flanmoe::ops
