#include <ATen/core/grad_mode.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"
#include "generate/decoder.h"
#include "generate/search.h"

namespace flanmoe::generate {
namespace {

struct Beam {
  std::vector<int32_t> token_ids;
  double log_likelihood = 0;
  int64_t row = 0;  // of the decoder
};

struct Continuation {
  size_t beam;
  int32_t token_id;
  double log_likelihood;
};

// The beams of one prompt.
struct Search {
  size_t prompt = 0;
  std::vector<Beam> running;
  std::vector<Hypothesis> finished;  // best first
  bool is_done = false;
};

// For every row its `count` most likely tokens.
struct TopTokens {
  size_t count;
  std::vector<int64_t> ids;
  std::vector<double> log_probabilities;
};

TopTokens find_top_tokens(const at::Tensor& logits_RV, size_t count) {
  const auto [values, ids] = at::topk(logits_RV, static_cast<int64_t>(count), -1);
  const at::Tensor wide =
      logits_RV.scalar_type() == at::kDouble ? logits_RV : logits_RV.to(at::kFloat);
  const at::Tensor normaliser = at::logsumexp(wide, {-1}).to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor value = values.to(at::kCPU, at::kDouble).contiguous(),
                   id = ids.to(at::kCPU).contiguous();
  TopTokens top{count, {}, {}};
  for (int64_t row = 0; row < value.size(0); ++row) {
    const double log_sum = normaliser.const_data_ptr<double>()[row];
    if (!std::isfinite(log_sum))
      fail(ErrorCode::NonFinite, "[generate] the model's output is not a finite number");
    for (size_t k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(row) * count + k;
      top.ids.push_back(id.const_data_ptr<int64_t>()[at]);
      top.log_probabilities.push_back(value.const_data_ptr<double>()[at] - log_sum);
    }
  }
  return top;
}

std::vector<Continuation> find_best_continuations(const Search& search, const TopTokens& top) {
  std::vector<Continuation> all;
  for (size_t beam = 0; beam < search.running.size(); ++beam)
    for (size_t k = 0; k < top.count; ++k) {
      const size_t at = static_cast<size_t>(search.running[beam].row) * top.count + k;
      all.push_back({beam, static_cast<int32_t>(top.ids[at]),
                     search.running[beam].log_likelihood + top.log_probabilities[at]});
    }
  std::sort(all.begin(), all.end(), [](const Continuation& a, const Continuation& b) {
    if (a.log_likelihood != b.log_likelihood) return a.log_likelihood > b.log_likelihood;
    return a.beam != b.beam ? a.beam < b.beam : a.token_id < b.token_id;
  });
  all.resize(top.count);
  return all;
}

// One step of one prompt. Rows of the new beams are those of the beams they continue.
void advance(Search& search, const TopTokens& top, const Config& config, int64_t eos_id,
             size_t length) {
  const auto num_beams = static_cast<size_t>(config.num_beams);
  const bool is_at_limit = static_cast<int64_t>(length) == config.max_new_tokens;
  const std::vector<Continuation> best = find_best_continuations(search, top);
  std::vector<Beam> running;
  for (size_t rank = 0; rank < best.size(); ++rank) {
    const Beam& parent = search.running[best[rank].beam];
    const bool is_finished = is_at_limit || best[rank].token_id == eos_id;
    if (is_finished ? rank >= num_beams : running.size() == num_beams) continue;
    Beam beam{parent.token_ids, best[rank].log_likelihood, parent.row};
    beam.token_ids.push_back(best[rank].token_id);
    if (!is_finished) {
      running.push_back(std::move(beam));
      continue;
    }
    Hypothesis hypothesis{std::move(beam.token_ids), beam.log_likelihood,
                          hypothesis_score(beam.log_likelihood, length, config.length_penalty)};
    const auto place = std::upper_bound(
        search.finished.begin(), search.finished.end(), hypothesis,
        [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    search.finished.insert(place, std::move(hypothesis));
  }
  if (search.finished.size() > num_beams) search.finished.resize(num_beams);
  search.running = std::move(running);

  if (is_at_limit) {
    search.is_done = true;
  } else if (search.finished.size() == num_beams) {
    const double best_running =
        hypothesis_score(search.running[0].log_likelihood, length, config.length_penalty);
    search.is_done = config.stops_early || best_running <= search.finished.back().score;
  }
}

}  // namespace

std::vector<std::vector<Hypothesis>> search_beams(const model::Model& model,
                                                  const TokenRows& prompts, const Config& config,
                                                  at::ScalarType compute_dtype,
                                                  const std::vector<int64_t>& adapter_of_prompt) {
  const auto num_candidates = static_cast<size_t>(2 * config.num_beams);
  if (static_cast<int64_t>(num_candidates) > model.config().vocab_size)
    fail(ErrorCode::InvalidArgument,
         "[generate] num_beams is {}, expected at most half of the {} tokens of the vocabulary",
         config.num_beams, model.config().vocab_size);
  const at::NoGradGuard no_grad;
  Decoder decoder(model, prompts,
                  {.max_length = config.max_new_tokens,
                   .compute_dtype = compute_dtype,
                   .uses_capacity = config.uses_capacity},
                  adapter_of_prompt);
  std::vector<std::vector<Hypothesis>> result(prompts.size());
  std::vector<Search> searches(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    searches[i].prompt = i;
    searches[i].running.push_back({{}, 0.0, static_cast<int64_t>(i)});
  }

  std::vector<int64_t> next(prompts.size(), model.config().decoder_start_token_id);
  for (size_t length = 1; !searches.empty(); ++length) {
    if (is_interrupted()) fail(ErrorCode::Interrupted, "[generate] stopped");
    const TopTokens top = find_top_tokens(decoder.step(next), num_candidates);
    std::vector<Search> open;
    std::vector<int64_t> row_index;
    next.clear();
    for (Search& search : searches) {
      advance(search, top, config, model.config().eos_token_id, length);
      if (search.is_done) {
        result[search.prompt] = std::move(search.finished);
        continue;
      }
      for (Beam& beam : search.running) {
        next.push_back(beam.token_ids.back());
        row_index.push_back(beam.row);
        beam.row = static_cast<int64_t>(row_index.size()) - 1;
      }
      open.push_back(std::move(search));
    }
    searches = std::move(open);
    if (!searches.empty()) decoder.select_rows(row_index);
  }
  for (auto& hypotheses : result) hypotheses.resize(static_cast<size_t>(config.num_return));
  return result;
}

}  // namespace flanmoe::generate
