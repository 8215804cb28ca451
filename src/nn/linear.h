// Projections, and what may be hung onto them.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "nn/context.h"
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
  mutable at::Tensor copy_;
  mutable int64_t copied_version_ = -1;
};

// Changes what a projection gives: LoRA, (IA)3 on keys and values, MoV, MoLoRA.
class ProjectionDelta {
 public:
  virtual ~ProjectionDelta() = default;
  // `input` and `output` of the projection, [..., in] and [..., out]; returns the new output.
  virtual at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                           const Context& context) const = 0;
  virtual void collect(const std::string& prefix, Parameters& parameters) const = 0;
};

// Changes the activated feed-forward value before the product with wi_1: (IA)3 and MoV.
class ActivationDelta {
 public:
  virtual ~ActivationDelta() = default;
  virtual at::Tensor apply(const at::Tensor& activated, const Context& context) const = 0;
  virtual void collect(const std::string& prefix, Parameters& parameters) const = 0;
};

// y = x W^T, no bias (T5 has none).
class Linear {
 public:
  Linear(int64_t in_dim, int64_t out_dim, const at::TensorOptions& options);
  // [..., in] -> [..., out] in the context's compute dtype.
  at::Tensor forward(const at::Tensor& x, const Context& context) const;
  void collect(const std::string& prefix, Parameters& parameters, ParameterTags tags = {}) const;
  void set_delta(std::shared_ptr<const ProjectionDelta> delta) { delta_ = std::move(delta); }

 private:
  Weight weight_;
  std::shared_ptr<const ProjectionDelta> delta_;
};

// T5's layer norm: no mean, no bias. The weight is at least fp32.
class RmsNorm {
 public:
  RmsNorm(int64_t dim, double epsilon, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x) const;
  void collect(const std::string& prefix, Parameters& parameters) const;

 private:
  at::Tensor weight_D_;
  double epsilon_;
};

// Options for a parameter that stays fp32 (fp64 in an fp64 model).
at::TensorOptions at_least_float(const at::TensorOptions& options);

}  // namespace flanmoe::nn
