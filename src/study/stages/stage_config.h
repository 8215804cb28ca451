// What the stages' configs have in common.
#pragma once

#include <string>

#include "study/sections.h"
#include "study/stage.h"

namespace flanmoe::study {

// The keys that every stage has.
struct CommonConfig {
  std::string kind;
  std::string arm;
  std::string replicate;
  template <class Visitor>
  void visit_common(Visitor& v) {
    v("kind", kind,
      "vocabulary, init, pretrain, adapt, upcycle, tune, finetune, evaluate or routing");
    v("arm", arm, "label in tables and the report; empty: that of the stage whose model is taken");
    v("replicate", replicate,
      "which of several runs of the arm from different seeds it is; set where `seeds` is");
  }
};

// The stage's own model, or model.path. Throws InvalidConfig where neither is given.
StageInput make_model_input(const Stage& stage, const std::string& model, const Sections& sections);
// The stage's own data, or that of `section_key` ("data.train"). Throws InvalidConfig where neither
// is given.
DataInput choose_data(const Stage& stage, const std::string& own, const std::string& section_value,
                      const std::string& section_key);
// Throws InvalidConfig where a key without a default was not given.
void require(const Stage& stage, const std::string& value, const std::string& key,
             const std::string& what);

template <class Config>
void parse_stage(Stage& stage, const ConfigNode& table, Config& config) {
  parse_config(table, "stages." + stage.name(), config);
  stage.arm = config.arm;
  stage.replicate = config.replicate;
}

}  // namespace flanmoe::study
