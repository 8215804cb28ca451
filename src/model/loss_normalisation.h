// How the losses of a batch's target tokens become one.
#pragma once

#include <string_view>
#include <utility>

#include "base/enum_names.h"

namespace flanmoe::model {

enum class LossNormalisation {
  Tokens,     // their mean
  Sequences,  // the mean over examples of an example's mean (AVERAGE_PER_SEQUENCE of t5x): every
              // token weighs 1 / (tokens of its own segment) / (segments of the batch)
};

}  // namespace flanmoe::model

template <>
struct flanmoe::EnumNames<flanmoe::model::LossNormalisation> {
  static constexpr std::pair<model::LossNormalisation, std::string_view> values[] = {
      {model::LossNormalisation::Tokens, "tokens"},
      {model::LossNormalisation::Sequences, "sequences"}};
};
