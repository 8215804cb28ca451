#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "bench/bench.h"
#include "eval/scoring.h"

namespace flanmoe::apps {

Json bench_choices(const BenchSettings& settings) {
  for (const auto& [name, value] :
       {std::pair<const char*, int64_t>{"--choices", settings.num_choices},
        {"--choice-length", settings.choice_length},
        {"--input-length", settings.input_length}})
    if (value < 1)
      fail(ErrorCode::InvalidArgument, "[{}] expected at least 1, found {}", name, value);
  const at::NoGradGuard no_grad;
  const at::ScalarType dtype = settings.common.scalar_type();
  const model::Model model = make_bench_model(settings, dtype);
  const int64_t num_examples = settings.num_examples > 0 ? settings.num_examples : 16;
  RandomStream random(
      RandomKey(static_cast<uint64_t>(settings.common.seed), RandomPurpose::Generator));
  const auto make_row = [&](int64_t length) {
    std::vector<int32_t> row;
    for (int64_t i = 0; i < length; ++i)
      row.push_back(static_cast<int32_t>(
          random.between(3, std::min<int64_t>(model.config().vocab_size, 32000) - 1)));
    return row;
  };
  std::vector<eval::Query> queries;
  for (int64_t i = 0; i < num_examples; ++i) {
    eval::Query query;
    query.input_ids = make_row(settings.input_length);
    for (int64_t c = 0; c < settings.num_choices; ++c)
      query.target_ids.push_back(make_row(settings.choice_length));
    queries.push_back(std::move(query));
  }
  std::vector<double> seconds;
  release_free_memory();
  reset_peak_memory();
  for (int64_t i = 0; i <= settings.repeats; ++i) {
    const double all_s = seconds_of([&] { eval::score(model, queries, dtype); });
    if (i > 0) seconds.push_back(all_s);  // the first one is the warm-up
  }
  const double median_s = median(seconds);
  return {{"shape", settings.shape},
          {"adapter", settings.adapter},
          {"median_s", median_s},
          {"examples_per_s", static_cast<double>(num_examples) / median_s},
          {"examples", num_examples},
          {"input_length", settings.input_length},
          {"choices", settings.num_choices},
          {"choice_length", settings.choice_length},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

}  // namespace flanmoe::apps
