#include "train/optimizers/adafactor.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/optimizers/checks.h"

namespace flanmoe::train {
namespace {

// The dims to factor, rising; none where the second moment is kept whole. The expert axis is a
// batch axis, except for HF's, which knows none.
std::vector<int64_t> choose_factored_dims(at::IntArrayRef sizes, int64_t expert_axis,
                                          const OptimizerConfig& config) {
  std::vector<int64_t> dims;
  const bool is_expert_axis_free = config.min_factored_dim == 0 && !config.is_per_expert;
  for (int64_t dim = 0; dim < static_cast<int64_t>(sizes.size()); ++dim)
    if (dim != expert_axis || is_expert_axis_free) dims.push_back(dim);
  if (dims.size() < 2) return {};
  if (config.min_factored_dim > 0)
    std::stable_sort(dims.begin(), dims.end(), [&](int64_t a, int64_t b) {
      return sizes[static_cast<size_t>(a)] < sizes[static_cast<size_t>(b)];
    });
  dims.erase(dims.begin(), dims.end() - 2);
  if (sizes[static_cast<size_t>(dims[0])] < config.min_factored_dim) return {};
  std::sort(dims.begin(), dims.end());
  return dims;
}

}  // namespace

Adafactor::Adafactor(const nn::Parameters& parameters, const OptimizerConfig& config)
    : config_(config) {
  check_range("decay_rate", config.decay_rate, 0.0, 1.0);
  check_positive("clipping_threshold", config.clipping_threshold);
  check_not_negative("min_parameter_scale", config.min_parameter_scale);
  check_not_negative("weight_decay", config.weight_decay);
  check_not_negative("min_factored_dim", static_cast<double>(config.min_factored_dim));
  for (const nn::Parameter& parameter : parameters)
    if (is_trained(parameter)) slots_.push_back(make_slot(parameter));
}

Adafactor::Slot Adafactor::make_slot(const nn::Parameter& parameter) const {
  const at::Tensor& tensor = parameter.tensor;
  const int64_t expert_axis = parameter.tags.expert_axis;
  const std::vector<int64_t> factored = choose_factored_dims(tensor.sizes(), expert_axis, config_);

  Slot slot;
  slot.parameter = parameter;
  if (parameter.tags.is_expert() && config_.is_per_expert) {
    slot.order.push_back(expert_axis);
    slot.shape.num_groups = tensor.size(expert_axis);
  }
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    const bool is_placed = std::count(slot.order.begin(), slot.order.end(), dim) +
                               std::count(factored.begin(), factored.end(), dim) >
                           0;
    if (!is_placed) slot.order.push_back(dim);
  }
  slot.order.insert(slot.order.end(), factored.begin(), factored.end());

  std::vector<int64_t> sizes;
  for (int64_t dim : slot.order) sizes.push_back(tensor.size(dim));
  const at::TensorOptions options = tensor.options().requires_grad(false);
  if (factored.empty()) {
    slot.shape.num_columns = tensor.numel() / std::max<int64_t>(1, slot.shape.num_groups);
    slot.second_moment = at::zeros(sizes, options);
    return slot;
  }
  slot.shape.num_rows = sizes[sizes.size() - 2];
  slot.shape.num_columns = sizes.back();
  const int64_t matrix_size = slot.shape.num_rows * slot.shape.num_columns;
  slot.shape.num_matrices =
      tensor.numel() / std::max<int64_t>(1, matrix_size * slot.shape.num_groups);
  slot.row = at::zeros(at::IntArrayRef(sizes).slice(0, sizes.size() - 1), options);
  sizes.erase(sizes.end() - 2);
  slot.column = at::zeros(sizes, options);
  return slot;
}

void Adafactor::step(int64_t step, double learning_rate, double gradient_scale) {
  at::NoGradGuard no_grad;
  kernels::AdafactorStep values;
  values.learning_rate = learning_rate;
  values.gradient_scale = gradient_scale;
  values.weight_decay = config_.weight_decay;
  values.beta2 = 1.0 - std::pow(static_cast<double>(step), -config_.decay_rate);
  values.clipping_threshold = config_.clipping_threshold;
  values.min_parameter_scale = config_.min_parameter_scale;
  values.scales_by_parameter = config_.scales_by_parameter;
  for (Slot& slot : slots_) update(slot, values);
}

void Adafactor::update(Slot& slot, const kernels::AdafactorStep& step) {
  at::Tensor& tensor = slot.parameter.tensor;
  if (!tensor.grad().defined() || tensor.numel() == 0) return;
  const at::Tensor gradient = to_float(tensor.grad()).permute(slot.order).contiguous();
  const at::Tensor ordered = tensor.detach().permute(slot.order);
  const at::Tensor values = ordered.contiguous();
  if (slot.second_moment.defined()) {
    kernels::update_adafactor_full({values.data_ptr<float>(), gradient.const_data_ptr<float>(),
                                    slot.second_moment.data_ptr<float>()},
                                   slot.shape, step);
  } else {
    kernels::update_adafactor_factored({values.data_ptr<float>(), gradient.const_data_ptr<float>(),
                                        slot.row.data_ptr<float>(), slot.column.data_ptr<float>()},
                                       slot.shape, step);
  }
  if (!values.is_same(ordered)) ordered.copy_(values);
  tensor.unsafeGetTensorImpl()->bump_version();  // the loops wrote behind its back
}

checkpoint::NamedTensors Adafactor::state() {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_) {
    const std::string& name = slot.parameter.name;
    if (slot.second_moment.defined()) {
      tensors[name + ".second_moment"] = slot.second_moment;
    } else {
      tensors[name + ".row"] = slot.row;
      tensors[name + ".column"] = slot.column;
    }
  }
  return tensors;
}

}  // namespace flanmoe::train
