#include "train/optimizers/adafactor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/optimizers/checks.h"
#include "train/optimizers/tensor_updates.h"

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

Adafactor::Adafactor(const nn::Parameters& parameters, const OptimizerConfig& config,
                     const UpdateOptions& options)
    : config_(config) {
  check_range("decay_rate", config.decay_rate, 0.0, 1.0);
  check_positive("clipping_threshold", config.clipping_threshold);
  check_not_negative("min_parameter_scale", config.min_parameter_scale);
  check_not_negative("min_factored_dim", static_cast<double>(config.min_factored_dim));
  if (config.beta1) check_range("beta1", *config.beta1, 0.0, 1.0);
  for (const TrainedParameter& trained : list_trained(parameters, config, options))
    slots_.push_back(make_slot(trained));
}

Adafactor::Slot Adafactor::make_slot(const TrainedParameter& trained) const {
  const at::Tensor& tensor = trained.parameter.tensor;
  const nn::ParameterTags& tags = trained.parameter.tags;
  const std::vector<int64_t> factored =
      choose_factored_dims(tensor.sizes(), tags.expert_axis, config_);

  Slot slot{.trained = trained};
  if (tags.is_expert() && config_.is_per_expert) {
    slot.order.push_back(tags.expert_axis);
    slot.shape.num_groups = tensor.size(tags.expert_axis);
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
  if (config_.beta1) slot.first_moment = trained.make_state(sizes);
  if (factored.empty()) {
    slot.shape.num_columns = tensor.numel() / std::max<int64_t>(1, slot.shape.num_groups);
    slot.second_moment = trained.make_state(sizes);
    return slot;
  }
  slot.shape.num_rows = sizes[sizes.size() - 2];
  slot.shape.num_columns = sizes.back();
  const int64_t matrix_size = slot.shape.num_rows * slot.shape.num_columns;
  slot.shape.num_matrices =
      tensor.numel() / std::max<int64_t>(1, matrix_size * slot.shape.num_groups);
  slot.row = trained.make_state(at::IntArrayRef(sizes).slice(0, sizes.size() - 1));
  sizes.erase(sizes.end() - 2);
  slot.column = trained.make_state(sizes);
  slot.value_squares.resize(static_cast<size_t>(slot.shape.num_groups));
  return slot;
}

void Adafactor::step(int64_t step, double learning_rate, double gradient_scale) {
  const auto memory = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
  };
  const kernels::AdafactorStep of_all{
      .gradient_scale = gradient_scale,
      .beta1 = config_.beta1.value_or(0.0),
      .beta2 = 1.0 - std::pow(static_cast<double>(step), -config_.decay_rate),
      .clipping_threshold = config_.clipping_threshold,
      .min_parameter_scale = config_.min_parameter_scale,
      .scales_by_parameter = config_.scales_by_parameter};
  StepTargets targets(step, learning_rate);
  std::vector<kernels::AdafactorUpdate> updates;
  std::vector<Slot*> updated;
  for (Slot& slot : slots_) {
    const auto target = targets.add(slot.trained, slot.order);
    if (!target) continue;
    if (slot.trained.path == UpdatePath::TensorOps) {
      tensor_updates::update_adafactor(
          *target, slot.shape, {slot.row, slot.column, slot.second_moment, slot.first_moment},
          of_all);
      continue;
    }
    updated.push_back(&slot);
    updates.push_back(
        {.target = as_memory(*target),
         .shape = slot.shape,
         .row = memory(slot.row),
         .column = memory(slot.column),
         .second_moment = memory(slot.second_moment),
         .first_moment = memory(slot.first_moment),
         .value_squares = slot.value_squares.data(),
         .has_value_squares = slot.value_version == slot.trained.parameter.tensor._version()});
  }
  kernels::update_adafactor(updates, of_all);
  targets.finish();
  for (Slot* slot : updated) slot->value_version = slot->trained.parameter.tensor._version();
}

checkpoint::NamedTensors Adafactor::state() {
  checkpoint::NamedTensors tensors;
  for (const Slot& slot : slots_)
    for (const auto& [suffix, tensor] : {std::pair{".row", &slot.row},
                                         {".column", &slot.column},
                                         {".second_moment", &slot.second_moment},
                                         {".first_moment", &slot.first_moment}})
      if (tensor->defined()) tensors[slot.trained.parameter.name + suffix] = *tensor;
  return tensors;
}

}  // namespace flanmoe::train
