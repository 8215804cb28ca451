#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "common.h"
#include "data/sentences.h"
#include "text/tokenizer.h"
#include "verbs.h"

namespace flanmoe::apps {
namespace {

struct TrainingConfig {
  int64_t num_sentinels = 100;
  int64_t max_sentences = 1'000'000;
  int64_t seed = 0;
  text::VocabularyConfig vocabulary{.num_pieces = 32000};
  template <class Visitor>
  void visit(Visitor& v) {
    v("num_sentinels", num_sentinels, "with --train: sentinels <extra_id_N> on top of the pieces");
    v("max_sentences", max_sentences,
      "with --train: lines of text sampled from all that is read; 0 takes every one");
    v("seed", seed, "with --train: of the sample");
    vocabulary.visit(v);
  }
};

void train(const std::vector<std::string>& files, const std::string& folder,
           const TrainingConfig& config, bool is_json) {
  if (config.num_sentinels < 1)
    fail(ErrorCode::InvalidArgument, "[vocabulary] num_sentinels is {}, expected 1 or more",
         config.num_sentinels);
  data::SentenceSample sample(config.max_sentences, static_cast<uint64_t>(config.seed));
  for (const std::string& file : files)
    data::for_each_text(file, [&](std::string_view text) { sample.add(text); });
  log::info("[vocabulary] {} pieces from {} of {} lines of text", config.vocabulary.num_pieces,
            sample.sentences().size(), sample.num_seen());
  const auto tokenizer = text::Tokenizer::from_model_bytes(
      text::train_sentencepiece(sample.sentences(), config.vocabulary), config.num_sentinels);
  AtomicFolder target(folder);
  tokenizer.save(target.path());
  target.commit();
  if (is_json)
    print_json({{"folder", folder},
                {"num_pieces", config.vocabulary.num_pieces},
                {"num_sentinels", config.num_sentinels},
                {"num_sentences", sample.sentences().size()},
                {"num_sentences_seen", sample.num_seen()},
                {"content_hash", tokenizer.content_hash()}});
}

void decode_line(const text::Tokenizer& tokenizer, const std::string& line,
                 const std::string& where) {
  const Json json = parse_json(line, where);
  if (!json.is_object() || !json.contains("ids") || !json["ids"].is_array())
    fail(ErrorCode::InvalidArgument, "{}: expected an object with a list 'ids'", where);
  std::vector<int32_t> ids;
  for (const Json& id : json["ids"]) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      fail(ErrorCode::InvalidArgument, "{}: 'ids': expected token ids, found {}", where, id.dump());
    ids.push_back(id.get<int32_t>());
  }
  print(Json{{"text", tokenizer.decode(ids)}}.dump() + "\n");
}

void encode_line(const text::Tokenizer& tokenizer, const std::string& line) {
  const std::vector<int32_t> ids = tokenizer.encode_with_eos(line);
  Json pieces = Json::array();
  for (int32_t id : ids) pieces.push_back(tokenizer.piece(id));
  print(
      Json{{"ids", ids}, {"pieces", pieces}}.dump(-1, ' ', false, Json::error_handler_t::replace) +
      "\n");
}

}  // namespace

Verb add_tokenize(Options options) {
  struct State {
    Common common;
    std::vector<std::string> names;
    std::string input = "-", out;
    bool decodes = false, trains = false;
    TrainingConfig training;
  };
  auto state = std::make_shared<State>();
  options.positionals("MODEL", state->names,
                      "folder with spiece.model or tokenizer.json; with --train: files or folders "
                      "of text, of JSONL with `text`, or of examples");
  options.option("input", state->input, "file of lines; - is standard input");
  options.flag("decode", state->decodes, "lines {\"ids\": [...]} in, {\"text\": ...} out");
  options.flag("train", state->trains, "make a SentencePiece vocabulary as T5 has it");
  options.option("out", state->out, "with --train: the folder to write");
  options.fields(state->training);
  state->common.add_to(options, false);
  options.footer(
      "Examples:\n  echo 'The house is wonderful.' | flanmoe tokenize flan-t5-small\n"
      "  flanmoe tokenize --train corpus.txt examples.jsonl.gz --num-pieces 8000 --out vocabulary");
  return [state] {
    if (state->trains) {
      if (state->names.empty() || state->out.empty())
        fail(ErrorCode::InvalidArgument, "[tokenize] --train needs files of text and --out FOLDER");
      return train(state->names, state->out, state->training, state->common.is_json);
    }
    if (state->names.size() != 1 || !state->out.empty())
      fail(ErrorCode::InvalidArgument,
           "[tokenize] expected one MODEL and no --out (or --train FILES --out FOLDER), found {} "
           "names",
           state->names.size());
    const text::Tokenizer tokenizer = text::Tokenizer::load(state->names.front());
    LineReader reader(state->input);
    for (std::string line; reader.next(line);)
      if (state->decodes)
        decode_line(tokenizer, line, reader.where());
      else
        encode_line(tokenizer, line);
  };
}

}  // namespace flanmoe::apps
