#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>

#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"
#include "generate/decoder.h"
#include "generate/search.h"
#include "ops/transformer.h"

namespace flanmoe::generate {

std::vector<std::vector<Hypothesis>> search_greedily(
    const model::Model& model, const TokenRows& prompts, const Config& config,
    at::ScalarType compute_dtype, const std::vector<int64_t>& adapter_of_prompt) {
  const at::NoGradGuard no_grad;
  Decoder decoder(model, prompts, config.max_new_tokens, compute_dtype, adapter_of_prompt);
  std::vector<std::vector<Hypothesis>> result(prompts.size(), std::vector<Hypothesis>(1));
  std::vector<size_t> prompt_of_row(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) prompt_of_row[i] = i;
  std::vector<bool> is_finished(prompts.size(), false);  // by row
  std::vector<int64_t> next(prompts.size(), model.config().decoder_start_token_id);

  size_t num_open = prompts.size();
  for (int64_t length = 0; length < config.max_new_tokens && num_open > 0; ++length) {
    if (is_interrupted()) fail(ErrorCode::Interrupted, "[generate] stopped");
    const at::Tensor logits_RV = decoder.step(next);
    const at::Tensor best_R = at::argmax(logits_RV, -1);
    const at::Tensor log_probability_R =
        ops::label_log_probability(logits_RV, best_R).to(at::kCPU, at::kDouble);
    const at::Tensor ids_R = best_R.to(at::kCPU);
    for (size_t row = 0; row < next.size(); ++row) {
      next[row] = ids_R.const_data_ptr<int64_t>()[row];
      if (is_finished[row]) continue;
      const double log_probability = log_probability_R.const_data_ptr<double>()[row];
      if (!std::isfinite(log_probability))
        fail(ErrorCode::NonFinite, "[generate] the model's output is not a finite number");
      Hypothesis& hypothesis = result[prompt_of_row[row]][0];
      hypothesis.token_ids.push_back(static_cast<int32_t>(next[row]));
      hypothesis.log_likelihood += log_probability;
      if (next[row] == model.config().eos_token_id) {
        is_finished[row] = true;
        --num_open;
      }
    }
    // Copying the cache costs about as much as a step: only when it halves the work.
    if (num_open > 0 && num_open * 2 <= next.size()) {
      std::vector<int64_t> open_rows, open_next;
      std::vector<size_t> open_prompts;
      for (size_t row = 0; row < next.size(); ++row) {
        if (is_finished[row]) continue;
        open_rows.push_back(static_cast<int64_t>(row));
        open_next.push_back(next[row]);
        open_prompts.push_back(prompt_of_row[row]);
      }
      decoder.select_rows(open_rows);
      next = std::move(open_next);
      prompt_of_row = std::move(open_prompts);
      is_finished.assign(next.size(), false);
    }
  }
  for (auto& hypotheses : result)
    hypotheses[0].score = hypothesis_score(hypotheses[0].log_likelihood,
                                           hypotheses[0].token_ids.size(), config.length_penalty);
  return result;
}

}  // namespace flanmoe::generate
