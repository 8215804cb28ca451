// Span corruption on documents.
#include <algorithm>

#include "study/data_spec.h"
#include "study/stages/documents.h"
#include "study/stages/stages.h"

namespace flanmoe::study {
namespace {

struct Config : TrainingConfig {
  bool concatenates_documents = true;
  data::SpanCorruptionConfig span_corruption;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_training(v);
    v("concatenates_documents", concatenates_documents,
      "documents are put one behind the other and cut to length; else one document an example");
    v("span_corruption", span_corruption,
      "the objective; keys that are not there are those of data.span_corruption");
  }
};

class PretrainStage final : public TrainingStage {
 public:
  PretrainStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : TrainingStage(name, "pretrain") {
    config_.train = sections.train;
    config_.span_corruption = sections.data.span_corruption;
    parse_stage(*this, table, config_);
    find_inputs(config_, sections, sections.data.pretrain, "data.pretrain");
  }
  ConfigNode config() const override { return to_config_node(config_); }
  void check() const override {
    TrainingStage::check();
    const auto specs = split_specs(config_.data);
    const bool has_builtin = std::any_of(specs.begin(), specs.end(), is_builtin);
    if (has_builtin && config_.data != "builtin:corpus")
      fail(
          ErrorCode::InvalidConfig,
          "[{}] is '{}': pretraining takes builtin:corpus alone, or files and folders of documents",
          data_input().place, config_.data);
    const int64_t needed =
        data::fit_to_input_length(config_.train.batch.input_length, config_.span_corruption)
            .target_length;
    if (config_.train.batch.target_length < needed)
      fail(ErrorCode::InvalidConfig,
           "[{}] is {}, but corrupting inputs of {} tokens gives targets of up to {}",
           place("train.batch.target_length"), config_.train.batch.target_length,
           config_.train.batch.input_length, needed);
  }

 private:
  const TrainingConfig& training() const override { return config_; }
  Draw make_draw(uint64_t seed, const text::Tokenizer& tokenizer) const override {
    return make_document_draw({.specs = config_.data,
                               .span_corruption = config_.span_corruption,
                               .input_length = config_.train.batch.input_length,
                               .concatenates_documents = config_.concatenates_documents,
                               .seed = seed},
                              tokenizer);
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_pretrain_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections) {
  return std::make_unique<PretrainStage>(name, table, sections);
}

}  // namespace flanmoe::study
