// Projections and norms.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "nn/context.h"
#include "nn/delta.h"
#include "nn/derived_tensor.h"
#include "nn/parameter.h"
#include "ops/weight_view.h"

namespace flanmoe::nn {

// A matrix [out, in] as on disk. Holds the master copy and gives what a computation needs, so that
// callers do not know how it is stored.
class Weight {
 public:
  Weight() = default;
  explicit Weight(at::Tensor master) : master_(std::move(master)) {}
  const at::Tensor& master() const { return master_; }
  // The matrix in `dtype`; gradients flow to the master. A copy in another dtype is kept until the
  // master changes. Not for several threads at once.
  ops::WeightView as(at::ScalarType dtype) const;

 private:
  at::Tensor master_;
  mutable DerivedTensor copy_;
};

// y = x W^T, no bias (T5 has none).
class Linear {
 public:
  Linear(int64_t in_dim, int64_t out_dim, const at::TensorOptions& options);
  // [..., in] -> [..., out] in the context's compute dtype. For deltas: `tokens` are those of x
  // (null: the context's), `block_input` is what the sublayer was given (undefined: x).
  at::Tensor forward(const at::Tensor& x, const Context& context,
                     const TokenLayout* tokens = nullptr, const at::Tensor& block_input = {}) const;
  void collect(const std::string& prefix, Parameters& parameters, ParameterTags tags = {}) const;
  // `block_dim`: width of `block_input`.
  Site site(const std::string& name, int64_t block_dim, int64_t num_heads = 1);

 private:
  Weight weight_;
  DeltaList deltas_;
};

// T5's layer norm: no mean, no bias. The weight is at least fp32.
class RmsNorm {
 public:
  RmsNorm(int64_t dim, double epsilon, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x, const Context& context) const;
  void collect(const std::string& prefix, Parameters& parameters) const;
  Site site(const std::string& name);

 private:
  at::Tensor weight_D_;
  double epsilon_;
  DeltaList deltas_;
};

// Options for a parameter that stays fp32 (fp64 in an fp64 model).
at::TensorOptions at_least_float(const at::TensorOptions& options);

}  // namespace flanmoe::nn
