#include "train/divergence.h"

#include <fmt/format.h>

#include "base/error.h"
#include "train/gradients.h"

namespace flanmoe::train {
namespace {

std::string list_keys(const data::Batch& batch) {
  constexpr int64_t kMaxShown = 8;
  std::string text;
  int64_t num_shown = 0;
  for (const uint64_t key : batch.example_keys) {
    if (key == 0 && batch.max_segments > 1) continue;  // a row with fewer segments
    if (num_shown++ == kMaxShown) return text + ", ...";
    text += fmt::format("{}{:016x}", num_shown > 1 ? ", " : "", key);
  }
  return text;
}

}  // namespace

void fail_on_loss(double loss, const nn::Parameters& parameters, const data::Batch& batch,
                  int64_t step) {
  const std::string name = find_non_finite_value(parameters);
  const std::string cause = name.empty()
                                ? "every parameter is finite"
                                : "parameter '" + name + "' has a value that is not finite";
  fail(ErrorCode::NonFinite, "[train] the loss is {} at step {}: {} (example keys {})", loss, step,
       cause, list_keys(batch));
}

void fail_on_gradient(const nn::Parameters& trained, const data::Batch& batch, int64_t step) {
  fail(ErrorCode::NonFinite,
       "[train] the gradient of parameter '{}' is not finite at step {} (example keys {})",
       find_non_finite_gradient(trained), step, list_keys(batch));
}

}  // namespace flanmoe::train
