#include "generate/generate.h"

#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "common.h"
#include "data/jsonl.h"
#include "model_options.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_generate(Options options) {
  struct State {
    Common common;
    ModelOptions model;
    std::string input = "-";
    int64_t input_length = 0, max_batch_tokens = 8192;
    generate::Config config;
  };
  auto state = std::make_shared<State>();
  state->model.add_to(options, /*has_adapters=*/true);
  options.option("input", state->input,
                 "JSONL with inputs, or plain text, one prompt a line; - is standard input");
  options.option("input-length", state->input_length, "cut inputs to so many tokens; 0: no limit");
  options.option("max-batch-tokens", state->max_batch_tokens, "padded input tokens a batch");
  options.fields(state->config);
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  echo 'translate English to German: Good morning.' | flanmoe generate "
      "flan-t5-small --num-beams 4\n"
      "Lines that start with '{' are read as JSON. JSONL in or --json gives JSONL out, else the "
      "text alone.");
  return [state] {
    state->common.apply();
    if (state->config.num_beams < 1 || state->config.num_return < 1 ||
        state->config.num_return > state->config.num_beams)
      fail(ErrorCode::InvalidArgument, "[--num-return] expected 1 to --num-beams ({}), found {}",
           state->config.num_beams, state->config.num_return);
    if (state->config.max_new_tokens < 1)
      fail(ErrorCode::InvalidArgument, "[--max-new-tokens] expected at least 1, found {}",
           state->config.max_new_tokens);
    const model::LoadedModel loaded = state->model.load_with_tokenizer(state->common);
    bool writes_json = state->common.is_json;
    std::vector<std::vector<int32_t>> prompts;
    std::vector<int64_t> adapters;  // of prompts
    const int64_t usual = loaded.model->active_adapter().value_or(-1);
    LineReader reader(state->input);
    for (std::string line; reader.next(line);) {
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      if (line[line.find_first_not_of(" \t")] == '{') {
        writes_json = true;
        data::Example example = data::parse_example(parse_json(line, reader.where()),
                                                    reader.where(), /*requires_targets=*/false);
        adapters.push_back(
            find_adapter(*loaded.model, example.adapter, reader.where()).value_or(usual));
        line = std::move(example.inputs);
      } else {
        adapters.push_back(usual);
      }
      prompts.push_back(loaded.tokenizer->encode_with_eos(line, state->input_length));
    }
    const auto results =
        generate::generate(*loaded.model, prompts, state->config, state->common.scalar_type(),
                           state->max_batch_tokens, "", adapters);
    const auto to_json = [&](const generate::Hypothesis& hypothesis) {
      return Json{{"output", loaded.tokenizer->decode(hypothesis.token_ids)},
                  {"token_ids", hypothesis.token_ids},
                  {"log_likelihood", hypothesis.log_likelihood}};
    };
    for (const auto& hypotheses : results) {
      if (!writes_json) {
        for (const auto& hypothesis : hypotheses)
          print(loaded.tokenizer->decode(hypothesis.token_ids) + "\n");
        continue;
      }
      Json line = to_json(hypotheses.front());
      if (hypotheses.size() > 1) {
        Json& all = line[state->config.do_sample ? "samples" : "beams"] = Json::array();
        for (const auto& hypothesis : hypotheses) all.push_back(to_json(hypothesis));
      }
      print(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
  };
}

}  // namespace flanmoe::apps
