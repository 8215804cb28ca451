#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>

#include <algorithm>

#include "base/json.h"
#include "base/memory.h"
#include "bench/bench.h"
#include "generate/decoder.h"

namespace flanmoe::apps {
namespace {

std::vector<std::vector<int32_t>> make_prompts(const data::Batch& batch) {
  std::vector<std::vector<int32_t>> prompts;
  for (int64_t row = 0; row < batch.num_rows; ++row) {
    const auto begin = batch.input_ids.begin() + row * batch.input_length;
    prompts.emplace_back(begin, begin + batch.input_length);
  }
  return prompts;
}

}  // namespace

Json bench_generate(const BenchSettings& settings) {
  const at::NoGradGuard no_grad;
  const at::ScalarType dtype = settings.common.scalar_type();
  const model::Model model = make_bench_model(settings, dtype);
  const auto prompts =
      make_prompts(make_bench_batch(settings, std::min<int64_t>(model.config().vocab_size, 32000)));
  generate::TokenRows rows;
  for (const std::vector<int32_t>& prompt : prompts) rows.push_back(&prompt);

  std::vector<double> seconds, first_seconds, step_seconds;
  release_free_memory();
  reset_peak_memory();
  for (int64_t i = 0; i <= settings.repeats; ++i) {
    std::vector<double> steps;
    const double all_s = seconds_of([&] {
      generate::Decoder decoder(model, rows,
                                {.max_length = settings.new_tokens, .compute_dtype = dtype});
      std::vector<int64_t> next(prompts.size(), model.config().decoder_start_token_id);
      for (int64_t step = 0; step < settings.new_tokens; ++step)
        steps.push_back(seconds_of([&] {
          const at::Tensor ids = at::argmax(decoder.step(next), -1).to(at::kCPU);
          std::copy_n(ids.const_data_ptr<int64_t>(), next.size(), next.begin());
        }));
    });
    if (i == 0) continue;  // the warm-up
    seconds.push_back(all_s);
    first_seconds.push_back(all_s);
    for (size_t step = 1; step < steps.size(); ++step) first_seconds.back() -= steps[step];
    step_seconds.insert(step_seconds.end(), steps.begin() + 1, steps.end());
  }
  const double median_s = median(seconds);
  return {{"shape", settings.shape},
          {"adapter", settings.adapter},
          {"median_s", median_s},
          {"first_token_s", median(first_seconds)},
          {"decode_step_s", median(step_seconds)},
          {"tokens_per_s", static_cast<double>(settings.batch * settings.new_tokens) / median_s},
          {"batch", settings.batch},
          {"input_length", settings.input_length},
          {"new_tokens", settings.new_tokens},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

}  // namespace flanmoe::apps
