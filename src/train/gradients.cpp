#include "train/gradients.h"

#include <cmath>

#include "train/optimizers/kernels.h"

namespace flanmoe::train {
namespace {

double sum_of_squares(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return kernels::sum_of_squares(values.const_data_ptr<float>(), values.numel());
}

}  // namespace

double compute_gradient_norm(const nn::Parameters& parameters) {
  double sum = 0;
  for (const nn::Parameter& parameter : parameters)
    if (parameter.tensor.grad().defined()) sum += sum_of_squares(parameter.tensor.grad());
  return std::sqrt(sum);
}

double compute_clip_scale(double norm, double max_norm) {
  return max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
}

std::string find_non_finite_value(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters)
    if (!std::isfinite(sum_of_squares(parameter.tensor))) return parameter.name;
  return {};
}

std::string find_non_finite_gradient(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters)
    if (parameter.tensor.grad().defined() &&
        !std::isfinite(sum_of_squares(parameter.tensor.grad())))
      return parameter.name;
  return {};
}

void set_gradient_dtypes(const nn::Parameters& parameters, const Config& config) {
  const bool is_narrow = config.precision == Precision::BFloat16 && config.accumulation_steps == 1;
  for (const nn::Parameter& parameter : parameters)
    parameter.tensor.set_grad_dtype(
        is_narrow && parameter.tags.is_multiplied ? at::kBFloat16 : parameter.tensor.scalar_type());
}

void clear_gradients(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters) {
    at::Tensor tensor = parameter.tensor;
    tensor.mutable_grad().reset();
  }
}

}  // namespace flanmoe::train
