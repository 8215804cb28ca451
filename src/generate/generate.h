// Text out of a model: greedy and beam search, batched, with a KV cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "model/model.h"

namespace flanmoe::generate {

// Names are those of transformers' GenerationConfig where it has the same.
struct Config {
  int64_t max_new_tokens = 64;
  int64_t num_beams = 1;
  double length_penalty = 1.0;
  bool stops_early = false;  // beam search: stop as soon as num_beams hypotheses are finished
  int64_t num_return = 1;    // beams kept in the result
  bool do_sample = false;
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  int64_t num_samples = 1;
  int64_t sampling_seed = 0;
  bool uses_capacity = false;
  template <class Visitor>
  void visit(Visitor& v) {
    v("max_new_tokens", max_new_tokens, "longest output in tokens, </s> included");
    v("num_beams", num_beams, "1: greedy");
    v("length_penalty", length_penalty, "beam scores are divided by length^length_penalty");
    v("stops_early", stops_early, "stop when num_beams hypotheses are finished");
    v("num_return", num_return, "hypotheses given back");
    v("do_sample", do_sample, "draw tokens instead of taking the most likely one");
    v("temperature", temperature, "logits are divided by it before a token is drawn");
    v("top_k", top_k, "draw from the so many most likely tokens; 0: from all");
    v("top_p", top_p, "draw from the fewest tokens that have so much of the probability; 1: all");
    v("num_samples", num_samples, "outputs drawn for every input");
    v("sampling_seed", sampling_seed, "of the draws");
    v("uses_capacity", uses_capacity,
      "sparse models drop what is above their evaluation capacity (then outputs can depend on the "
      "batch)");
  }
};

struct Hypothesis {
  std::vector<int32_t> token_ids;  // without the start id; with </s> where it was reached
  double log_likelihood = 0;       // sum over token_ids
  double score = 0;                // log_likelihood / length^length_penalty
};

// For every prompt (ids with </s>), num_return hypotheses, best first; of sampling num_samples, in
// the order of their numbers. Prompts are sorted by length and batched so that a batch holds at
// most `max_batch_tokens` padded input tokens; without beams, rows that are done are replaced by
// waiting ones. Results come in the order of the prompts and do not depend on the batching
// (rounding aside). Beam search follows the rules of transformers (shared golden README,
// "Generation"). A draw is keyed by sampling_seed, the prompt's content, the number of the sample
// and the step; log-likelihoods of samples are the model's, without temperature, top_k and top_p.
//
// `adapter_of_prompt`: by its number in the model, -1 the base alone; empty: all use the model's
// active one.
std::vector<std::vector<Hypothesis>> generate(const model::Model& model,
                                              const std::vector<std::vector<int32_t>>& prompts,
                                              const Config& config, at::ScalarType compute_dtype,
                                              int64_t max_batch_tokens = 8192,
                                              const std::string& progress_label = {},
                                              const std::vector<int64_t>& adapter_of_prompt = {});

}  // namespace flanmoe::generate
