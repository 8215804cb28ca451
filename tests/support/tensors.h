// Tensors with known values, and how they are compared. The checks return "" or a text that says
// what is wrong, so that a test can also show that they object (tests/nn/context_test.cpp).
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::testing {

// Standard normal times `scale`; the same for every call with the same seed.
inline at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed,
                                at::ScalarType dtype = at::kDouble, double scale = 1) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(at::kDouble));
  const RandomKey key(seed, RandomPurpose::Generator);
  double* value = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    value[i] = scale * key.normal(static_cast<uint64_t>(i));
  return tensor.to(dtype);
}

inline at::Tensor index_tensor(const std::vector<int64_t>& values, at::IntArrayRef shape) {
  at::Tensor tensor =
      at::empty({static_cast<int64_t>(values.size())}, at::TensorOptions().dtype(at::kLong));
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor.view(shape);
}
inline at::Tensor index_tensor(const std::vector<int64_t>& values) {
  return index_tensor(values, {static_cast<int64_t>(values.size())});
}

inline std::vector<double> doubles(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.detach().to(at::kDouble).contiguous();
  const double* value = wide.const_data_ptr<double>();
  return {value, value + wide.numel()};
}

inline std::vector<int64_t> integers(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  const int64_t* value = dense.const_data_ptr<int64_t>();
  return {value, value + dense.numel()};
}

// |got - want| <= absolute + relative * |want| for every element; NaN never passes.
inline std::string compare(const at::Tensor& got, const at::Tensor& want, double absolute,
                           double relative = 0) {
  if (!got.defined() || !want.defined()) return "a tensor is undefined";
  if (got.sizes() != want.sizes())
    return "shapes differ, number of dimensions " + std::to_string(got.dim()) + " and " +
           std::to_string(want.dim()) + ", elements " + std::to_string(got.numel()) + " and " +
           std::to_string(want.numel());
  const std::vector<double> g = doubles(got), w = doubles(want);
  size_t num_wrong = 0, worst = 0;
  const auto difference = [&](size_t i) { return std::abs(g[i] - w[i]); };
  for (size_t i = 0; i < g.size(); ++i) {
    if (difference(i) <= absolute + relative * std::abs(w[i])) continue;
    if (num_wrong++ == 0 || !(difference(i) <= difference(worst))) worst = i;
  }
  if (num_wrong == 0) return "";
  return std::to_string(num_wrong) + " of " + std::to_string(g.size()) +
         " elements differ; element " + std::to_string(worst) + " is " + std::to_string(g[worst]) +
         ", expected " + std::to_string(w[worst]) + " (difference " +
         std::to_string(difference(worst) * 1e9) + "e-9)";
}

// "" where type, shape and every byte are the same.
inline std::string compare_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type()) return "types differ";
  if (a.sizes() != b.sizes()) return "shapes differ";
  const at::Tensor x = a.detach().contiguous(), y = b.detach().contiguous();
  return std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0 ? "" : "bytes differ";
}

// sum_i y_i sin(0.37 (i + 1)): a scalar in which every element has its own weight.
inline at::Tensor probe(const at::Tensor& y) {
  at::Tensor weights = at::empty({y.numel()}, at::TensorOptions().dtype(at::kDouble));
  double* value = weights.mutable_data_ptr<double>();
  for (int64_t i = 0; i < weights.numel(); ++i)
    value[i] = std::sin(0.37 * static_cast<double>(i + 1));
  return y.reshape(-1).to(at::kDouble).mul(weights).sum();
}

// The gradient of the scalar `function` in every element of the float64 leaves `inputs`, against
// central differences. The leaves are changed in place and put back.
inline std::string check_gradients(const std::function<at::Tensor()>& function,
                                   const std::vector<at::Tensor>& inputs, double step = 1e-5) {
  for (const at::Tensor& input : inputs) input.mutable_grad() = at::Tensor();
  function().backward();
  for (size_t n = 0; n < inputs.size(); ++n) {
    if (!inputs[n].grad().defined()) return "input " + std::to_string(n) + " has no gradient";
    const std::vector<double> gradient = doubles(inputs[n].grad());
    const c10::AutoGradMode off(false);
    double* value = inputs[n].mutable_data_ptr<double>();
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double before = value[i];
      value[i] = before + step;
      const double above = function().item<double>();
      value[i] = before - step;
      const double below = function().item<double>();
      value[i] = before;
      const double numeric = (above - below) / (2 * step);
      if (!(std::abs(numeric - gradient[i]) <= 1e-7 + 1e-6 * std::abs(numeric)))
        return "input " + std::to_string(n) + ", element " + std::to_string(i) + ": gradient is " +
               std::to_string(gradient[i]) + ", differences give " + std::to_string(numeric);
    }
  }
  return "";
}

}  // namespace flanmoe::testing
