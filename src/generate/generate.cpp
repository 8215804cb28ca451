#include "generate/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "generate/batching.h"
#include "generate/search.h"

namespace flanmoe::generate {
namespace {

// Logits of one step: 2^26 values are 256 MB in fp32.
constexpr int64_t kMaxLogits = int64_t{1} << 26;

void check(const Config& config, int64_t max_batch_tokens) {
  const auto expect_positive = [](const char* name, int64_t value) {
    if (value < 1)
      fail(ErrorCode::InvalidConfig, "[generate] {} is {}, expected 1 or more", name, value);
  };
  expect_positive("max_new_tokens", config.max_new_tokens);
  expect_positive("num_beams", config.num_beams);
  expect_positive("num_return", config.num_return);
  expect_positive("max_batch_tokens", max_batch_tokens);
  if (config.num_return > config.num_beams)
    fail(ErrorCode::InvalidConfig, "[generate] num_return is {}, but num_beams is {}",
         config.num_return, config.num_beams);
  if (!std::isfinite(config.length_penalty))
    fail(ErrorCode::InvalidConfig, "[generate] length_penalty is {}, expected a finite number",
         config.length_penalty);
  if (!(config.temperature > 0) || !std::isfinite(config.temperature))
    fail(ErrorCode::InvalidConfig, "[generate] temperature is {}, expected above 0",
         config.temperature);
  if (!(config.top_p > 0 && config.top_p <= 1))
    fail(ErrorCode::InvalidConfig, "[generate] top_p is {}, expected above 0 and at most 1",
         config.top_p);
  if (config.top_k < 0)
    fail(ErrorCode::InvalidConfig, "[generate] top_k is {}, expected 0 (all) or more",
         config.top_k);
  expect_positive("num_samples", config.num_samples);
  if (config.do_sample && config.num_beams > 1)
    fail(ErrorCode::InvalidConfig,
         "[generate] do_sample is true and num_beams is {}; tokens are drawn, or beams searched",
         config.num_beams);
  if (config.do_sample) return;
  const auto expect_unused = [](const char* name, bool is_default) {
    if (!is_default)
      fail(ErrorCode::InvalidConfig, "[generate] {} is set, but do_sample is false", name);
  };
  expect_unused("temperature", config.temperature == 1);
  expect_unused("top_k", config.top_k == 0);
  expect_unused("top_p", config.top_p == 1);
  expect_unused("num_samples", config.num_samples == 1);
}

// Prompts, longest first, that go through the same rows of a decoder: none is shorter than half of
// the longest, for which the rows were counted.
std::vector<std::vector<size_t>> plan_runs(const std::vector<int64_t>& lengths) {
  std::vector<std::vector<size_t>> runs;
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  for (const size_t i : order) {
    if (runs.empty() || lengths[i] * 2 < lengths[runs.back().front()]) runs.emplace_back();
    runs.back().push_back(i);
  }
  return runs;
}

}  // namespace

double hypothesis_score(double log_likelihood, size_t num_tokens, double length_penalty) {
  return log_likelihood / std::pow(static_cast<double>(num_tokens), length_penalty);
}

std::vector<std::vector<Hypothesis>> generate(const model::Model& model,
                                              const std::vector<std::vector<int32_t>>& prompts,
                                              const Config& config, at::ScalarType compute_dtype,
                                              int64_t max_batch_tokens,
                                              const std::string& progress_label,
                                              const std::vector<int64_t>& adapter_of_prompt) {
  check(config, max_batch_tokens);
  if (!adapter_of_prompt.empty() && adapter_of_prompt.size() != prompts.size())
    fail(ErrorCode::InvalidArgument, "[generate] adapters of {} prompts for {} prompts",
         adapter_of_prompt.size(), prompts.size());
  check_rows(prompts, model.config().vocab_size, "generate", "prompt");
  const auto adapter_of = [&](size_t prompt) {
    return adapter_of_prompt.empty() ? model.active_adapter().value_or(-1)
                                     : adapter_of_prompt[prompt];
  };
  std::vector<std::vector<int32_t>> inputs;
  for (size_t i = 0; i < prompts.size(); ++i)
    inputs.push_back(add_virtual_tokens(model, adapter_of(i), prompts[i]));
  std::vector<int64_t> lengths;
  for (const auto& prompt : inputs) lengths.push_back(static_cast<int64_t>(prompt.size()));
  const int64_t max_rows =
      std::max<int64_t>(1, kMaxLogits / (model.config().vocab_size * config.num_beams));

  std::vector<std::vector<Hypothesis>> result(prompts.size());
  Progress progress(progress_label, static_cast<int64_t>(prompts.size()), "examples",
                    !progress_label.empty());
  int64_t num_done = 0;
  const auto search = [&](const std::vector<size_t>& members, auto function) {
    TokenRows rows;
    std::vector<int64_t> adapters;
    for (size_t i : members) {
      rows.push_back(&inputs[i]);
      if (!adapter_of_prompt.empty()) adapters.push_back(adapter_of_prompt[i]);
    }
    auto hypotheses = function(rows, adapters);
    for (size_t i = 0; i < members.size(); ++i) result[members[i]] = std::move(hypotheses[i]);
  };
  const auto count_done = [&](int64_t count) { progress.update(num_done += count); };
  if (config.num_beams > 1) {
    for (const std::vector<size_t>& batch : plan_batches(lengths, max_batch_tokens, max_rows)) {
      search(batch, [&](const TokenRows& rows, const std::vector<int64_t>& adapters) {
        return search_beams(model, rows, config, compute_dtype, adapters);
      });
      count_done(static_cast<int64_t>(batch.size()));
    }
    return result;
  }
  for (const std::vector<size_t>& run : plan_runs(lengths)) {
    const int64_t num_rows =
        std::min(max_rows, std::max<int64_t>(1, max_batch_tokens / lengths[run.front()]));
    search(run, [&](const TokenRows& rows, const std::vector<int64_t>& adapters) {
      return search_rows(model, rows, config, compute_dtype, num_rows, adapters, count_done);
    });
  }
  return result;
}

}  // namespace flanmoe::generate
