#include <memory>

#include "base/json.h"
#include "common.h"
#include "data/jsonl.h"
#include "eval/scoring.h"
#include "model_options.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_score(Options options) {
  struct State {
    Common common;
    ModelOptions model;
    std::string input = "-";
    int64_t input_length = 0, max_batch_tokens = 8192;
    eval::ScoreOptions scoring;
  };
  auto state = std::make_shared<State>();
  state->model.add_to(options, /*has_adapters=*/true);
  options.option("input", state->input,
                 "JSONL with inputs and targets, or inputs and choices; - is standard input");
  options.option("input-length", state->input_length, "cut inputs to so many tokens; 0: no limit");
  options.option("max-batch-tokens", state->max_batch_tokens, "padded input tokens a batch");
  options.flag(
      "uses-capacity", state->scoring.uses_capacity,
      "sparse models drop what is above their evaluation capacity (then results can depend "
      "on the batch)");
  options.flag("leaves-out-eos", state->scoring.leaves_out_eos,
               "log-likelihoods without that of </s>, as lm-eval has them");
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  echo '{\"inputs\": \"2 + 2 =\", \"choices\": [\"4\", \"5\"], \"targets\": "
      "\"4\"}' | flanmoe score flan-t5-small\n"
      "  flanmoe score flan-t5-small --adapter a=runs/a/adapter --adapter b=runs/b/adapter --input "
      "lines.jsonl\n"
      "A line chooses with \"adapter\": \"a\"; \"\" is the base alone.");
  return [state] {
    state->common.apply();
    const model::LoadedModel loaded = state->model.load_with_tokenizer(state->common);
    std::vector<data::Example> examples;
    std::vector<eval::Query> queries;
    data::for_each_example(
        state->input,
        [&](data::Example&& example) {
          if (example.targets.empty() && example.choices.empty())
            fail(ErrorCode::InvalidArgument, "{}: expected 'targets' or 'choices'", example.where);
          eval::Query query;
          query.adapter = find_adapter(*loaded.model, example.adapter, example.where);
          query.input_ids = loaded.tokenizer->encode_with_eos(example.inputs, state->input_length);
          if (example.choices.empty())
            query.target_ids.push_back(loaded.tokenizer->encode_with_eos(example.targets));
          for (const std::string& choice : example.choices)
            query.target_ids.push_back(loaded.tokenizer->encode_with_eos(choice));
          queries.push_back(std::move(query));
          examples.push_back(std::move(example));
        },
        /*requires_targets=*/false);
    const auto scores =
        eval::score(*loaded.model, queries, state->common.scalar_type(), state->max_batch_tokens,
                    nullptr, state->common.is_json ? "" : "score", state->scoring);
    for (size_t i = 0; i < queries.size(); ++i) {
      Json line;
      if (examples[i].choices.empty()) {
        line = {{"log_likelihood", scores[i][0].log_likelihood},
                {"num_tokens", scores[i][0].num_tokens}};
      } else {
        size_t best = 0;
        line = {{"log_likelihoods", Json::array()}, {"num_tokens", Json::array()}};
        for (size_t c = 0; c < scores[i].size(); ++c) {
          line["log_likelihoods"].push_back(scores[i][c].log_likelihood);
          line["num_tokens"].push_back(scores[i][c].num_tokens);
          if (scores[i][c].log_likelihood > scores[i][best].log_likelihood) best = c;
        }
        line["best"] = best;
      }
      print(line.dump() + "\n");
    }
  };
}

}  // namespace flanmoe::apps
