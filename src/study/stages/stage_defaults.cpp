#include "study/stages/stage_defaults.h"

namespace flanmoe::study {

train::Config make_train_defaults(StageKind kind, bool trains_adapter) {
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
  if (trains_adapter) {  // facts.md items 61 to 63: Adafactor at a constant rate, no warm-up
    config.learning_rate = 3e-4;
    config.dropout_rate = 0.1;
    config.logit_z_coefficient = 1e-4;
    config.loss_normalisation = model::LossNormalisation::Sequences;
    config.optimizer.decay_rate = 0.8;
  }
  return config;
}

namespace {

// An adapter without components is none.
bool has_adapter(const ConfigNode& stage) {
  const ConfigNode* adapter = stage.find("adapter");
  const ConfigNode* components = adapter ? adapter->find("components") : nullptr;
  return components && !components->elements.empty();
}

}  // namespace

train::Config make_train_defaults(StageKind kind, const Sections& sections,
                                  const ConfigNode& stage) {
  train::Config config = make_train_defaults(kind, has_adapter(stage));
  config.seed = sections.train.seed;
  parse_config(sections.given_train, "train", config);
  return config;
}

}  // namespace flanmoe::study
