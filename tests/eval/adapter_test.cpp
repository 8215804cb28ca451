// Queries with adapters of their own in one batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/scoring.h"
#include "support/tiny_adapter.h"
#include "support/tiny_model.h"

namespace flanmoe::eval {
namespace {

TEST(ScoreByAdapter, GivesWhatEveryAdapterGivesAlone) {
  for (const model::ModelConfig& config : {testing::tiny_config(), testing::tiny_sparse_config()}) {
    model::Model model(config, 3);
    std::vector<int64_t> numbers = {-1};
    for (const auto& components : testing::adapters_of_all_kinds())
      numbers.push_back(model.attach(testing::make_adapter(
          model, components, numbers.size(), "adapter" + std::to_string(numbers.size()), 0.6)));
    model.activate(numbers[1]);

    std::vector<Query> queries;
    for (size_t i = 0; i < 3 * numbers.size() + 2; ++i) {
      Query query;
      query.input_ids = testing::random_row(config, 2 + (i * 5) % 9, i / 4);
      for (size_t target = 0; target < 1 + i % 3; ++target)
        query.target_ids.push_back(
            testing::random_row(config, 1 + (i + target) % 5, 50 + i + target));
      if (i < 3 * numbers.size()) query.adapter = numbers[i % numbers.size()];
      queries.push_back(std::move(query));
    }
    const auto mixed = score(model, queries, at::kFloat);
    double largest = 0;
    for (size_t i = 0; i < queries.size(); ++i) {
      Query alone = queries[i];
      alone.adapter.reset();
      const int64_t number = queries[i].adapter.value_or(numbers[1]);
      model.activate(number < 0 ? std::nullopt : std::optional(number));
      const auto want = score(model, {alone}, at::kFloat)[0];
      model.activate(std::nullopt);
      const auto base = score(model, {alone}, at::kFloat)[0];
      ASSERT_EQ(mixed[i].size(), want.size());
      for (size_t t = 0; t < want.size(); ++t) {
        EXPECT_NEAR(mixed[i][t].log_likelihood, want[t].log_likelihood, 1e-3) << i << " " << t;
        largest = std::max(largest, std::abs(want[t].log_likelihood - base[t].log_likelihood));
      }
    }
    EXPECT_GT(largest, 0.1);  // they do differ
  }
}

}  // namespace
}  // namespace flanmoe::eval
