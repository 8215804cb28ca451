#include "train/gradients.h"

#include <cmath>

#include "train/optimizers/tensor_updates.h"
#include "train/optimizers/trained_parameter.h"

namespace flanmoe::train {
namespace {

// Of the CPU's by the loops, of another device's there.
double sum_of_squares(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> here, elsewhere;
  std::vector<kernels::Values> parts;
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.is_cpu()) {
      elsewhere.push_back(tensor.detach());
      continue;
    }
    const bool is_kept =
        tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
    here.push_back(tensor.detach().to(is_kept ? tensor.scalar_type() : at::kFloat).contiguous());
    parts.push_back(as_values(here.back()));
  }
  return kernels::sum_of_squares(parts) + tensor_updates::sum_of_squares(elsewhere);
}

bool is_finite(const at::Tensor& tensor) {
  return std::isfinite(sum_of_squares({tensor}));
}

}  // namespace

double compute_gradient_norm(const nn::Parameters& parameters) {
  std::vector<at::Tensor> gradients;
  for (const nn::Parameter& parameter : parameters)
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  return std::sqrt(sum_of_squares(gradients));
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
