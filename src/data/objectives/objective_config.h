// Which objective, and its settings.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "base/enum_names.h"
#include "data/objectives/mixture_of_denoisers.h"
#include "data/objectives/prefix_lm.h"
#include "data/objectives/span_corruption.h"

namespace flanmoe::data {

enum class ObjectiveKind { SpanCorruption, Ul2, PrefixLm };

struct ObjectiveConfig {
  ObjectiveKind kind = ObjectiveKind::SpanCorruption;
  SpanCorruptionConfig span_corruption;
  PrefixLmConfig prefix_lm;
  MixtureOfDenoisersConfig ul2;
};

std::unique_ptr<Objective> make_objective(const ObjectiveConfig& config,
                                          const ObjectiveLimits& limits,
                                          const ObjectiveVocabulary& vocabulary);

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::ObjectiveKind> {
  static constexpr std::pair<data::ObjectiveKind, std::string_view> values[] = {
      {data::ObjectiveKind::SpanCorruption, "span-corruption"},
      {data::ObjectiveKind::Ul2, "ul2"},
      {data::ObjectiveKind::PrefixLm, "prefix-lm"}};
};
