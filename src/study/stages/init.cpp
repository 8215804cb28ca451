// A fresh model of a given shape, with the tokenizer of a vocabulary.
#include "model/folder.h"
#include "model/placement.h"
#include "study/stages/model_facts.h"
#include "study/stages/stage_config.h"
#include "study/stages/stages.h"
#include "text/tokenizer.h"

namespace flanmoe::study {
namespace {

constexpr int64_t kVocabularyMultiple = 128;

struct Config : CommonConfig {
  std::string vocabulary;
  int64_t seed = 0;
  model::ModelConfig shape;
  bool is_sparse = false;
  model::SparseLayers sparse;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_common(v);
    v("vocabulary", vocabulary, "a vocabulary stage, or a folder with a spiece.model");
    v("seed", seed, "of the weights");
    v("shape", shape, "shape of the model; empty: model.shape");
    v("is_sparse", is_sparse, "some of its layers are mixtures of experts from the start");
    v("sparse", sparse, "which ones, and of what, where is_sparse");
  }
};

class InitStage final : public Stage {
 public:
  InitStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "init") {
    config_.seed = *sections.seed;
    config_.shape = sections.model.shape;
    config_.sparse.set_moe(sections.moe);
    config_.sparse.decoder_moe = sections.decoder_moe;
    parse_stage(*this, table, config_);
    require(*this, config_.vocabulary, "vocabulary", "the name of a vocabulary stage");
  }
  StageOutput output() const override { return StageOutput::Model; }
  // What a dense model has nothing of does not count as a change of it.
  ConfigNode config() const override {
    ConfigNode node = to_config_node(config_);
    if (!config_.is_sparse)
      std::erase_if(node.entries, [](const auto& entry) { return entry.first == "sparse"; });
    return node;
  }
  std::vector<StageInput> inputs() const override {
    return {{.name = "vocabulary",
             .value = config_.vocabulary,
             .output = StageOutput::Vocabulary,
             .place = place("vocabulary")}};
  }
  void check() const override {
    model::ModelConfig shape = config_.shape;
    if (shape.vocab_size == 0) shape.vocab_size = kVocabularyMultiple;
    model::validate(shape, place("shape"));
    (void)with_sparse_layers(shape);
  }
  void run(StageRun& run) const override {
    const auto tokenizer = text::Tokenizer::load(run.input_folders.at("vocabulary"));
    model::ModelConfig shape = config_.shape;
    if (shape.vocab_size == 0)
      shape.vocab_size =
          (tokenizer.size() + kVocabularyMultiple - 1) / kVocabularyMultiple * kVocabularyMultiple;
    if (shape.vocab_size < tokenizer.size())
      fail(ErrorCode::InvalidConfig,
           "[{}] is {}, but the vocabulary has {} pieces and sentinels; 0 takes as many as needed",
           place("shape.vocab_size"), shape.vocab_size, tokenizer.size());
    const model::Model fresh(with_sparse_layers(shape), static_cast<uint64_t>(config_.seed));
    model::save_model(run.folder + "/model", fresh, &tokenizer);
    run.add_output("stages/" + name() + "/model");
    run.record->model = make_model_facts(fresh.config());
  }

 private:
  model::ModelConfig with_sparse_layers(const model::ModelConfig& shape) const {
    return config_.is_sparse ? config_.sparse.apply_to(shape, place("sparse")) : shape;
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Stage> make_init_stage(const std::string& name, const ConfigNode& table,
                                       const Sections& sections) {
  return std::make_unique<InitStage>(name, table, sections);
}

}  // namespace flanmoe::study
