// What a kind of stage starts from, after the papers (docs/stages.md).
#pragma once

#include <string>

#include "study/sections.h"
#include "train/config.h"

namespace flanmoe::study {

enum class StageKind { Pretrain, Tune, Finetune, Adapt };

// train::Config as the kind's papers have it; where an adapter is trained, as that of MoV and
// MoLoRA has it (arXiv 2309.05444).
train::Config make_train_defaults(StageKind kind, bool trains_adapter = false);
// With the keys of the recipe's top-level train table over them. `stage` is the stage's own table,
// which says whether there is an adapter.
train::Config make_train_defaults(StageKind kind, const Sections& sections,
                                  const ConfigNode& stage);

}  // namespace flanmoe::study

template <>
struct flanmoe::EnumNames<flanmoe::study::StageKind> {
  static constexpr std::pair<study::StageKind, std::string_view> values[] = {
      {study::StageKind::Pretrain, "pretrain"},
      {study::StageKind::Tune, "tune"},
      {study::StageKind::Finetune, "finetune"},
      {study::StageKind::Adapt, "adapt"}};
};
