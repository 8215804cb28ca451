#include "train/gradients.h"

#include <cmath>

#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train {
namespace {

// Contiguous, on the CPU, float32 or bfloat16.
at::Tensor readable(const at::Tensor& tensor) {
  const bool is_kept = tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
  return tensor.detach().to(at::kCPU, is_kept ? tensor.scalar_type() : at::kFloat).contiguous();
}

bool is_finite(const at::Tensor& tensor) {
  const at::Tensor values = readable(tensor);
  const kernels::Values parts[] = {as_values(values)};
  return std::isfinite(kernels::sum_of_squares(parts));
}

}  // namespace

double compute_gradient_norm(const nn::Parameters& parameters) {
  std::vector<at::Tensor> gradients;
  std::vector<kernels::Values> parts;
  for (const nn::Parameter& parameter : parameters) {
    if (!parameter.tensor.grad().defined()) continue;
    gradients.push_back(readable(parameter.tensor.grad()));
    parts.push_back(as_values(gradients.back()));
  }
  return std::sqrt(kernels::sum_of_squares(parts));
}

double compute_clip_scale(double norm, double max_norm) {
  return max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
}

std::string find_non_finite_value(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters)
    if (!is_finite(parameter.tensor)) return parameter.name;
  return {};
}

std::string find_non_finite_gradient(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters)
    if (parameter.tensor.grad().defined() && !is_finite(parameter.tensor.grad()))
      return parameter.name;
  return {};
}

void set_gradient_dtypes(const nn::Parameters& parameters, const Config& config) {
  const bool is_summed = config.accumulation_steps > 1;
  const bool is_narrow = config.precision == Precision::BFloat16 && !is_summed;
  const auto is_bfloat16 = [](const nn::Parameter& parameter) {
    return parameter.tensor.scalar_type() == at::kBFloat16;
  };
  for (const nn::Parameter& parameter : parameters)
    parameter.tensor.set_grad_dtype(is_narrow && parameter.tags.is_multiplied ? at::kBFloat16
                                    : is_summed && is_bfloat16(parameter)
                                        ? at::kFloat
                                        : parameter.tensor.scalar_type());
}

void clear_gradients(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters) {
    at::Tensor tensor = parameter.tensor;
    tensor.mutable_grad().reset();
  }
}

}  // namespace flanmoe::train
