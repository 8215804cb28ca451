// What a kind of stage starts from, after the papers (docs/stages.md).
#pragma once

#include <string>

#include "study/sections.h"
#include "train/config.h"

namespace flanmoe::study {

enum class StageKind { Pretrain, Tune, Finetune, Adapt };

// train::Config as the kind's papers have it.
train::Config make_train_defaults(StageKind kind);
// With the keys of the recipe's top-level train table over them.
train::Config make_train_defaults(StageKind kind, const Sections& sections);

}  // namespace flanmoe::study

template <>
struct flanmoe::EnumNames<flanmoe::study::StageKind> {
  static constexpr std::pair<study::StageKind, std::string_view> values[] = {
      {study::StageKind::Pretrain, "pretrain"},
      {study::StageKind::Tune, "tune"},
      {study::StageKind::Finetune, "finetune"},
      {study::StageKind::Adapt, "adapt"}};
};
