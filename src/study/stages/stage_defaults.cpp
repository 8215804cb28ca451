#include "study/stages/stage_defaults.h"

namespace flanmoe::study {

train::Config make_train_defaults(StageKind kind) {
  train::Config config;
  switch (kind) {
    case StageKind::Pretrain:  // T5 v1.1: no dropout
      config.dropout_rate = 0.0;
      break;
    case StageKind::Tune:  // FLAN-MoE (facts.md items 7 and 8)
      config.learning_rate = 1e-4;
      config.batch.batch_size = 32;
      config.dropout_rate = 0.05;
      config.expert_dropout_rate = 0.2;
      break;
    case StageKind::Finetune:  // T5 (Raffel et al. 2020, section 3.1.2)
      config.learning_rate = 1e-3;
      config.batch.batch_size = 128;
      config.dropout_rate = 0.1;
      break;
    case StageKind::Adapt:  // T5 v1.1 LM-adapted: on from pretraining at 1 / sqrt(10^6 steps)
      config.learning_rate = 1e-3;
      config.dropout_rate = 0.0;
      break;
  }
  return config;
}

train::Config make_train_defaults(StageKind kind, const Sections& sections) {
  train::Config config = make_train_defaults(kind);
  config.seed = sections.train.seed;
  parse_config(sections.given_train, "train", config);
  return config;
}

}  // namespace flanmoe::study
