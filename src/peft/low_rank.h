// What LoRA and its mixture share: the two factors of a low-rank change.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "nn/derived_tensor.h"
#include "ops/weight_view.h"
#include "peft/registry.h"

namespace flanmoe::peft {

// One factor: [r, I] or [n, r, I] for A, [O, r] or [n, O, r] for B. Gives the matrix that
// ops::add_low_rank() multiplies by, [n r, I] and [O, n r], and keeps it until the factor changes.
// Not for several threads at once.
class Factor {
 public:
  enum class Side { A, B };
  Factor(at::Tensor master, Side side) : master_(std::move(master)), side_(side) {}
  const at::Tensor& master() const { return master_; }
  ops::WeightView as(at::ScalarType dtype) const;

 private:
  at::Tensor master_;
  Side side_;
  mutable nn::DerivedTensor matrix_;
};

// A new A normal(0, 0.02) and B zeros, of `num_groups` pairs (0: one, without a leading dim); named
// lora_A.weight and lora_B.weight.
struct FactorParameters {
  nn::Parameter a, b;
};
FactorParameters make_factors(const ComponentConfig& config, const nn::Site& site,
                              int64_t num_groups, const MakeContext& make);

// The input of A in training: dropped out by `rate`.
class InputDropout {
 public:
  InputDropout(double rate, const std::string& site)
      : rate_(rate), noise_site_(nn::noise_site(site + ".lora")) {}
  at::Tensor apply(const at::Tensor& x, const nn::DeltaCall& call) const;

 private:
  double rate_;
  uint64_t noise_site_;
};

}  // namespace flanmoe::peft
