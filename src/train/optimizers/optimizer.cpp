#include "train/optimizers/optimizer.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "train/optimizers/checks.h"

namespace flanmoe::train {
namespace {

std::string shape_text(at::IntArrayRef sizes) {
  std::string text;
  for (int64_t size : sizes) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace

void Optimizer::load_state(const checkpoint::NamedTensors& saved) {
  at::NoGradGuard no_grad;
  const checkpoint::NamedTensors own = state();
  for (const auto& [name, tensor] : saved)
    if (!own.count(name))
      fail(ErrorCode::CorruptFile,
           "[train.optimizer] the saved state has a tensor '{}' that this optimizer has not", name);
  for (const auto& [name, tensor] : own) {
    const auto found = saved.find(name);
    if (found == saved.end())
      fail(ErrorCode::CorruptFile, "[train.optimizer] the saved state lacks the tensor '{}'", name);
    if (found->second.sizes() != tensor.sizes())
      fail(ErrorCode::CorruptFile,
           "[train.optimizer] the saved tensor '{}' has shape {}, expected {}", name,
           shape_text(found->second.sizes()), shape_text(tensor.sizes()));
  }
  for (const auto& [name, tensor] : own) tensor.copy_(saved.at(name));
}

void check_positive(const char* key, double value) {
  if (!(value > 0) || !std::isfinite(value))
    fail(ErrorCode::InvalidConfig, "[train] optimizer.{} is {}, expected a number above 0", key,
         value);
}

void check_not_negative(const char* key, double value) {
  if (!(value >= 0) || !std::isfinite(value))
    fail(ErrorCode::InvalidConfig,
         "[train] optimizer.{} is {}, expected a number that is not negative", key, value);
}

void check_range(const char* key, double value, double low, double high) {
  if (!(value >= low && value < high))
    fail(ErrorCode::InvalidConfig,
         "[train] optimizer.{} is {}, expected at least {} and less than {}", key, value, low,
         high);
}

}  // namespace flanmoe::train
