#include "train/stochastic_rounding.h"

#include "base/error.h"
#include "train/precision.h"

namespace flanmoe::train {

at::ScalarType find_parameter_dtype(const Config& config, bool trains_adapter) {
  if (trains_adapter) return find_compute_dtype(config.precision);
  return config.has_stochastic_rounding ? at::kBFloat16 : at::kFloat;
}

void validate_stochastic_rounding(const Config& config, const std::string& place) {
  if (config.has_stochastic_rounding && config.precision != Precision::BFloat16)
    fail(ErrorCode::InvalidConfig,
         "[{}.has_stochastic_rounding] is true with {}.precision = '{}', expected 'bfloat16'",
         place, place, to_string(config.precision));
}

void check_parameter_dtype(const model::Model& model, const Config& config) {
  if (model.active_adapter()) {
    if (config.has_stochastic_rounding)
      fail(ErrorCode::InvalidConfig,
           "[train.has_stochastic_rounding] is true, expected false: an adapter is trained in "
           "float32");
    return;
  }
  const at::ScalarType expected = find_parameter_dtype(config);
  for (const nn::Parameter& parameter : model.parameters()) {
    const at::ScalarType found = parameter.tensor.scalar_type();
    if (found == expected || found == at::kFloat) {
      // norms, routers and relative biases are float32 in every model
      const nn::ParameterTags& tags = parameter.tags;
      if (found == expected || tags.is_norm || tags.is_router || tags.is_relative_bias) continue;
    }
    fail(ErrorCode::InvalidArgument,
         "[train] parameter '{}' is {}, expected {} with has_stochastic_rounding = {}",
         parameter.name, c10::toString(found), c10::toString(expected),
         config.has_stochastic_rounding);
  }
}

}  // namespace flanmoe::train
