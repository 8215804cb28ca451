#include <ATen/ops/add.h>
#include <c10/core/GradMode.h>

#include "ops/autograd.h"
#include "ops/noise.h"
#include "ops/tensors.h"
#include "ops/transformer.h"

namespace flanmoe::ops {

namespace {

void check(const char* op, const at::Tensor& x, const Noise& noise) {
  if (x.dim() < 1 || !noise.token_keys.defined() || noise.token_keys.scalar_type() != at::kLong ||
      noise.token_keys.numel() * x.size(-1) != x.numel())
    fail(ErrorCode::ShapeMismatch,
         "[ops.{}] token keys are {} but x is {}; there must be one int64 key for every row of x",
         op, shape_text(noise.token_keys), shape_text(x));
}

enum class Kind { Dropout, Jitter };

// Both kinds multiply by factors that the keys give, so the backward is the same product on the
// gradient.
at::Tensor multiply(Kind kind, const at::Tensor& x, double amount, uint64_t key,
                    const at::Tensor& token_keys, const at::Tensor& addend = {}) {
  const at::Tensor input = x.contiguous();
  const at::Tensor y = empty_like(input);
  const Rows rows = as_rows(input);
  visit_dtype("dropout", input, [&]<class T>(T) {
    const auto& table = kernels_for<T>(input);
    if (kind == Kind::Dropout)
      table.dropout(data<T>(input), data<T>(addend), data<T>(y), data<int64_t>(token_keys), key,
                    make_dropout_rule(amount), rows.num_rows, rows.num_columns);
    else
      table.jitter(data<T>(input), data<T>(y), data<int64_t>(token_keys), key, amount,
                   rows.num_rows, rows.num_columns);
  });
  return y;
}

at::Tensor multiply_recorded(Kind kind, const at::Tensor& x, double amount, const Noise& noise) {
  const bool records = is_recorded({x});
  const c10::AutoGradMode off(false);
  const at::Tensor token_keys = noise.token_keys.contiguous();
  const uint64_t key = noise.key;
  const at::Tensor y = multiply(kind, x, amount, key, token_keys);
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(y, {x}, {token_keys}, [=](const BackwardCall& call) {
    return std::vector<at::Tensor>{multiply(kind, call.grad, amount, key, call.saved[0])};
  });
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, double rate, const Noise& noise) {
  if (rate == 0) return x;
  check_dropout_rate("dropout", rate);
  check("dropout", x, noise);
  return multiply_recorded(Kind::Dropout, x, rate, noise);
}

at::Tensor add_dropout(const at::Tensor& residual, const at::Tensor& x, double rate,
                       const Noise& noise) {
  if (residual.sizes() != x.sizes() || residual.scalar_type() != x.scalar_type())
    fail(ErrorCode::ShapeMismatch, "[ops.add_dropout] residual is {} {} but x is {} {}",
         c10::toString(residual.scalar_type()), shape_text(residual),
         c10::toString(x.scalar_type()), shape_text(x));
  if (rate == 0) return at::add(residual, x);
  check_dropout_rate("add_dropout", rate);
  check("add_dropout", x, noise);
  const bool records = is_recorded({residual, x});
  const c10::AutoGradMode off(false);
  const at::Tensor token_keys = noise.token_keys.contiguous();
  const uint64_t key = noise.key;
  const at::Tensor y = multiply(Kind::Dropout, x, rate, key, token_keys, residual.contiguous());
  if (!records) return y;
  const c10::AutoGradMode on(true);
  return record(y, {residual, x}, {token_keys}, [=](const BackwardCall& call) {
    return std::vector<at::Tensor>{
        call.grad, call.is_needed[1] ? multiply(Kind::Dropout, call.grad, rate, key, call.saved[0])
                                     : at::Tensor()};
  });
}

at::Tensor jitter(const at::Tensor& x, double epsilon, const Noise& noise) {
  if (epsilon == 0) return x;
  check("jitter", x, noise);
  return multiply_recorded(Kind::Jitter, x, epsilon, noise);
}

}  // namespace flanmoe::ops
