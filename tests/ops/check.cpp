#include "check.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>

#include "base/random.h"

namespace flanmoe::ops {

std::vector<double> values(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* p = wide.const_data_ptr<double>();
  return {p, p + wide.numel()};
}

std::vector<int64_t> indices(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  const int64_t* p = dense.const_data_ptr<int64_t>();
  return {p, p + dense.numel()};
}

at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype, double scale) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(at::kDouble));
  const RandomKey key = RandomKey(seed, RandomPurpose::Initialisation);
  double* p = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) p[i] = scale * key.normal(static_cast<uint64_t>(i));
  return tensor.to(dtype);
}

at::Tensor constant_tensor(at::IntArrayRef shape, double value) {
  return random_tensor(shape, 0, at::kFloat, 0).fill_(value);
}

at::Tensor index_tensor(const std::vector<int64_t>& numbers, at::IntArrayRef shape) {
  at::Tensor tensor =
      at::empty({static_cast<int64_t>(numbers.size())}, at::TensorOptions().dtype(at::kLong));
  std::copy(numbers.begin(), numbers.end(), tensor.mutable_data_ptr<int64_t>());
  return shape.empty() ? tensor : tensor.view(shape);
}

Tolerance tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return {1e-12, 1e-12};
    case at::kFloat:
      return {1e-5, 1e-5};
    default:
      return {2e-3, 1.0 / 128};  // bfloat16: two units in the last place
  }
}

std::string compare(const std::vector<double>& actual, const std::vector<double>& expected,
                    const Tolerance& limit) {
  if (actual.size() != expected.size())
    return "size is " + std::to_string(actual.size()) + ", expected " +
           std::to_string(expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    if (!(std::abs(actual[i] - expected[i]) <=
          limit.absolute + limit.relative * std::abs(expected[i])))
      return "element " + std::to_string(i) + " is " + std::to_string(actual[i]) + ", expected " +
             std::to_string(expected[i]);
  return "";
}

std::string compare(const at::Tensor& actual, const std::vector<double>& expected) {
  return compare(values(actual), expected, tolerance(actual.scalar_type()));
}

std::string compare_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.defined() != b.defined()) return "only one is defined";
  if (!a.defined()) return "";
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return "types or shapes differ";
  const at::Tensor x = a.detach().contiguous(), y = b.detach().contiguous();
  return std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0 ? "" : "bytes differ";
}

namespace {

at::Tensor probe(const at::Tensor& y) {
  at::Tensor weights = at::empty(y.sizes(), at::TensorOptions().dtype(at::kDouble));
  double* p = weights.mutable_data_ptr<double>();
  for (int64_t i = 0; i < weights.numel(); ++i) p[i] = std::sin(0.37 * static_cast<double>(i + 1));
  return weights.to(y.device(), y.scalar_type());
}

double objective(const std::function<at::Tensor(const Inputs&)>& function, const Inputs& inputs) {
  const c10::AutoGradMode off(false);
  const at::Tensor y = function(inputs);
  return y.mul(probe(y)).sum().item().toDouble();
}

}  // namespace

Inputs compute_gradients(const std::function<at::Tensor(const Inputs&)>& function,
                         const Inputs& inputs) {
  Inputs leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(input.detach().clone().set_requires_grad(true));
  const at::Tensor y = function(leaves);
  y.backward(probe(y));
  Inputs gradients;
  for (const at::Tensor& leaf : leaves) gradients.push_back(leaf.grad());
  return gradients;
}

std::string check_gradients(const std::function<at::Tensor(const Inputs&)>& function,
                            const Inputs& inputs) {
  const Inputs gradients = compute_gradients(function, inputs);
  constexpr double kStep = 1e-5;
  for (size_t n = 0; n < inputs.size(); ++n) {
    if (!gradients[n].defined()) return "input " + std::to_string(n) + " has no gradient";
    Inputs moved = inputs;
    moved[n] = inputs[n].detach().clone().contiguous();
    double* p = moved[n].mutable_data_ptr<double>();
    const std::vector<double> analytic = values(gradients[n]);
    for (size_t i = 0; i < analytic.size(); ++i) {
      const double before = p[i];
      p[i] = before + kStep;
      const double above = objective(function, moved);
      p[i] = before - kStep;
      const double below = objective(function, moved);
      p[i] = before;
      const double numeric = (above - below) / (2 * kStep);
      if (!(std::abs(numeric - analytic[i]) <= 1e-7 + 1e-6 * std::abs(numeric)))
        return "input " + std::to_string(n) + " element " + std::to_string(i) + ": gradient is " +
               std::to_string(analytic[i]) + ", differences give " + std::to_string(numeric);
    }
  }
  return "";
}

std::string compare_threads(const std::function<Inputs()>& function) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Inputs one = function();
  at::set_num_threads(2);
  const Inputs two = function();
  at::set_num_threads(before);
  if (one.size() != two.size()) return "numbers of tensors differ";
  for (size_t i = 0; i < one.size(); ++i)
    if (const std::string difference = compare_bytes(one[i], two[i]); !difference.empty())
      return "tensor " + std::to_string(i) + ": " + difference;
  return "";
}

}  // namespace flanmoe::ops
