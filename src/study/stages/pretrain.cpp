// A pretraining objective on documents: from the start, or on from a checkpoint.
#include <algorithm>

#include "base/random.h"
#include "data/builtin.h"
#include "study/data_spec.h"
#include "study/stages/documents.h"
#include "study/stages/stage_defaults.h"
#include "study/stages/stages.h"
#include "study/stages/validation.h"

namespace flanmoe::study {
namespace {

struct Config : TrainingConfig {
  bool concatenates_documents = true;
  data::ObjectiveConfig objective;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_training(v);
    v("concatenates_documents", concatenates_documents,
      "documents are put one behind the other and cut to length; else one document an example");
    v("objective", objective.kind, "span-corruption, ul2 or prefix-lm");
    v("span_corruption", objective.span_corruption,
      "its settings; keys that are not there are those of data.span_corruption");
    v("prefix_lm", objective.prefix_lm, "settings of prefix-lm");
    v("ul2", objective.ul2, "settings of ul2: the denoisers that are mixed");
  }
};

class PretrainStage final : public TrainingStage {
 public:
  PretrainStage(const std::string& name, const ConfigNode& table, const Sections& sections,
                StageKind kind)
      : TrainingStage(name, std::string(to_string(kind))) {
    config_.train = make_train_defaults(kind, sections, table);
    take_validation(config_, sections);
    if (kind == StageKind::Adapt) config_.objective.kind = data::ObjectiveKind::PrefixLm;
    config_.objective.span_corruption = sections.data.span_corruption;
    parse_stage(*this, table, config_);
    find_inputs(config_, sections, sections.data.pretrain, "data.pretrain");
  }
  ConfigNode config() const override { return to_config_node(config_); }
  void check() const override {
    TrainingStage::check();
    const auto specs = split_specs(config_.data);
    const bool has_builtin = std::any_of(specs.begin(), specs.end(), is_builtin);
    if (has_builtin && !(specs.size() == 1 && data::builtin::find_corpus(specs[0])))
      fail(ErrorCode::InvalidConfig,
           "[{}] is '{}': pretraining takes builtin:corpus or builtin:easy-corpus alone, or files "
           "and folders of documents",
           data_input().place, config_.data);
    check_objective();
  }

 private:
  const TrainingConfig& training() const override { return config_; }
  Draw make_draw(uint64_t seed, const text::Tokenizer& tokenizer) const override {
    return make_draw_of(config_.data, seed, tokenizer);
  }
  // Documents of validation are drawn apart from those of training, whatever both name.
  std::vector<eval::ValidationExample> make_validation_examples(
      const text::Tokenizer& tokenizer) const override {
    const uint64_t seed =
        RandomKey(static_cast<uint64_t>(config_.train.seed), RandomPurpose::DataOrder)
            .fold("validation")
            .state();
    return take_validation_examples(make_draw_of(config_.validation, seed, tokenizer),
                                    config_.train, config_.num_validation_examples);
  }
  void check_validation() const override {
    const auto specs = split_specs(config_.validation);
    for (const std::string& spec : specs)
      if (is_builtin(spec) && !(specs.size() == 1 && data::builtin::find_corpus(spec)))
        fail(ErrorCode::InvalidConfig,
             "[{}] is '{}': expected builtin:corpus or builtin:easy-corpus alone, or files and "
             "folders of documents",
             validation_input().place, config_.validation);
  }
  Draw make_draw_of(const std::string& specs, uint64_t seed,
                    const text::Tokenizer& tokenizer) const {
    return make_document_draw({.specs = specs,
                               .objective = config_.objective,
                               .limits = limits(),
                               .concatenates_documents = config_.concatenates_documents,
                               .seed = seed},
                              tokenizer);
  }

  data::ObjectiveLimits limits() const {
    return {config_.train.batch.input_length, config_.train.batch.target_length};
  }
  // What can be known without the vocabulary: T5's sentinels are taken for granted, mode tokens for
  // one id each.
  void check_objective() const {
    if (config_.objective.kind == data::ObjectiveKind::SpanCorruption) {
      const int64_t needed =
          data::fit_to_input_length(limits().input_length, config_.objective.span_corruption)
              .target_length;
      if (limits().target_length < needed)
        fail(ErrorCode::InvalidConfig,
             "[{}] is {}, but corrupting inputs of {} tokens gives targets of up to {}",
             place("train.batch.target_length"), limits().target_length, limits().input_length,
             needed);
      return;
    }
    try {
      data::make_objective(config_.objective, limits(),
                           {.num_sentinels = 100,
                            .encode = [](const std::string&) { return std::vector<int32_t>{0}; }});
    } catch (const Error& error) {
      fail(error.code(), "[{}] {}", place(std::string(to_string(config_.objective.kind))),
           error.what());
    }
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_pretrain_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections) {
  return std::make_unique<PretrainStage>(name, table, sections, StageKind::Pretrain);
}
std::unique_ptr<Stage> make_adapt_stage(const std::string& name, const ConfigNode& table,
                                        const Sections& sections) {
  return std::make_unique<PretrainStage>(name, table, sections, StageKind::Adapt);
}

}  // namespace flanmoe::study
