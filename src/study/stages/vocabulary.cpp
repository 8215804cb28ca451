// Trains a SentencePiece vocabulary: tokenizer/spiece.model.
#include "base/file.h"
#include "base/log.h"
#include "data/builtin.h"
#include "data/documents.h"
#include "data/mixture/mixture.h"
#include "study/data_spec.h"
#include "study/stages/stage_config.h"
#include "study/stages/stages.h"
#include "text/tokenizer.h"

namespace flanmoe::study {
namespace {

struct Config : CommonConfig {
  std::string data;
  int64_t num_documents = 20000;
  int64_t num_sentinels = 100;
  int64_t seed = 0;
  text::VocabularyConfig vocabulary;
  template <class Visitor>
  void visit(Visitor& v) {
    visit_common(v);
    v("data", data,
      "documents to train on; builtin:train, builtin:easy, ... give the text of instruction "
      "examples; empty: data.pretrain");
    v("num_documents", num_documents, "documents (or examples) taken from each generated source");
    v("num_sentinels", num_sentinels, "sentinels <extra_id_N> on top of the pieces");
    v("seed", seed, "of generated documents");
    vocabulary.visit(v);
  }
};

void append_lines(const std::string& text, std::vector<std::string>& lines) {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

void append_examples(const std::string& spec, const Config& config,
                     std::vector<std::string>& lines) {
  const data::Mixture mixture = data::open_mixture(spec, {}, static_cast<uint64_t>(config.seed));
  for (int64_t i = 0; i < config.num_documents; ++i) {
    const data::PromptText text = data::to_text(mixture.get(static_cast<uint64_t>(i)));
    append_lines(text.inputs, lines);
    append_lines(text.targets, lines);
  }
}

std::vector<std::string> read_sentences(const std::string& specs, const Config& config) {
  std::vector<std::string> lines;
  for (const auto& spec : split_specs(specs)) {
    if (const auto corpus = data::builtin::find_corpus(spec))
      for (int64_t i = 0; i < config.num_documents; ++i)
        append_lines(data::builtin::make_document(static_cast<uint64_t>(config.seed),
                                                  static_cast<uint64_t>(i), *corpus),
                     lines);
    else if (is_builtin(spec))
      append_examples(spec, config, lines);
    else
      for (const auto& document : data::load_documents(spec)) append_lines(document, lines);
  }
  return lines;
}

class VocabularyStage final : public Stage {
 public:
  VocabularyStage(const std::string& name, const ConfigNode& table, const Sections& sections)
      : Stage(name, "vocabulary") {
    config_.seed = *sections.seed;
    parse_stage(*this, table, config_);
    data_ = choose_data(*this, config_.data, sections.data.pretrain, "data.pretrain");
    config_.data = data_.spec;
  }
  StageOutput output() const override { return StageOutput::Vocabulary; }
  ConfigNode config() const override { return to_config_node(config_); }
  std::vector<DataInput> data() const override { return {data_}; }
  void check() const override {
    if (config_.num_documents < 1 || config_.num_sentinels < 1)
      fail(ErrorCode::InvalidConfig,
           "[{}] num_documents is {} and num_sentinels {}, expected at least 1", "stages." + name(),
           config_.num_documents, config_.num_sentinels);
  }
  void run(StageRun& run) const override {
    const auto sentences = read_sentences(config_.data, config_);
    log::info("[study] {}: {} pieces from {} lines of text", name(), config_.vocabulary.num_pieces,
              sentences.size());
    const auto tokenizer = text::Tokenizer::from_model_bytes(
        text::train_sentencepiece(sentences, config_.vocabulary), config_.num_sentinels);
    const std::string folder = run.folder + "/tokenizer";
    AtomicFolder target(folder);
    tokenizer.save(target.path());
    target.commit();
    run.add_output("stages/" + name() + "/tokenizer");
  }

 private:
  Config config_;
  DataInput data_;
};

}  // namespace

std::unique_ptr<Stage> make_vocabulary_stage(const std::string& name, const ConfigNode& table,
                                             const Sections& sections) {
  return std::make_unique<VocabularyStage>(name, table, sections);
}

}  // namespace flanmoe::study
