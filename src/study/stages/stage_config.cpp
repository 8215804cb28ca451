#include "study/stages/stage_config.h"

#include "study/data_spec.h"

namespace flanmoe::study {

StageInput make_model_input(const Stage& stage, const std::string& model,
                            const Sections& sections) {
  if (!model.empty()) return {.name = "model", .value = model, .place = stage.place("model")};
  if (sections.model.path.empty())
    fail(ErrorCode::InvalidConfig,
         "[model.path] missing: stage '{}' needs a model; call with --set model.path=HF_FOLDER, or "
         "give {} a stage or a folder",
         stage.name(), stage.place("model"));
  return {.name = "model", .value = sections.model.path, .place = "model.path"};
}

DataInput choose_data(const Stage& stage, const std::string& own, const std::string& section_value,
                      const std::string& section_key) {
  if (!split_specs(own).empty()) return {own, stage.place("data")};
  if (split_specs(section_value).empty())
    fail(ErrorCode::InvalidConfig,
         "[{}] missing: stage '{}' needs data; call with --set {}=PATH, or give {} a value",
         section_key, stage.name(), section_key, stage.place("data"));
  return {section_value, section_key};
}

void require(const Stage& stage, const std::string& value, const std::string& key,
             const std::string& what) {
  if (value.empty())
    fail(ErrorCode::InvalidConfig, "[{}] missing: expected {}", stage.place(key), what);
}

}  // namespace flanmoe::study
