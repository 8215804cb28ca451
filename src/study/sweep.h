// Stages that are done several times over: with other settings, in other sizes, from other seeds.
//
//   [stages.tune]
//   kind = "tune"
//   model = "base"
//   seeds = [1, 2, 3]                                  # of the stage: train.seed, or seed
//   grid.train.learning_rate = [0.003, 0.01]           # every value of a key with every other
//   arms.ia3.adapter.components = [{ kind = "ia3" }]   # by name: keys laid over the stage's own
//   arms.mov-2.adapter.components = [{ kind = "mov", num_experts = 2 }]
//
// stands for 2 x 2 x 3 stages, "tune-ia3-learning_rate-0_003-seed-1" and so on, with the arms
// "ia3, learning_rate 0.003", ...; a stage that takes its model (vocabulary, match_train_flops)
// from `tune` is done once for each of them, and what takes from two of them meets in equal
// choices.
#pragma once

#include "base/config_node.h"

namespace flanmoe::study {

// Puts the versions of swept stages, and of those that take from them, in their places; other
// tables stay as they are. `stages` is the table of all stages. Throws InvalidConfig naming the
// key.
void expand_sweeps(ConfigNode& stages);

}  // namespace flanmoe::study
