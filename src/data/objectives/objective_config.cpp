#include "data/objectives/objective_config.h"

namespace flanmoe::data {

std::unique_ptr<Objective> make_objective(const ObjectiveConfig& config,
                                          const ObjectiveLimits& limits,
                                          const ObjectiveVocabulary& vocabulary) {
  if (config.kind == ObjectiveKind::PrefixLm) return make_prefix_lm(config.prefix_lm, limits);
  if (config.kind == ObjectiveKind::Ul2)
    return make_mixture_of_denoisers(config.ul2, limits, vocabulary);
  return make_span_corruption(config.span_corruption, limits, vocabulary);
}

}  // namespace flanmoe::data
