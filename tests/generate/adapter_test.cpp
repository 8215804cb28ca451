// Rows with adapters of their own in one batch.
#include <gtest/gtest.h>

#include <set>

#include "generate/generate.h"
#include "support/expect_error.h"
#include "support/tiny_adapter.h"
#include "support/tiny_model.h"

namespace flanmoe::generate {
namespace {

struct Many {
  explicit Many(const model::ModelConfig& config) : model(config, 3) {
    uint64_t seed = 0;
    for (const auto& components : testing::adapters_of_all_kinds()) {
      ++seed;
      numbers.push_back(model.attach(
          testing::make_adapter(model, components, seed, "adapter" + std::to_string(seed), 0.6)));
    }
    numbers.push_back(-1);
  }
  // Prompts of several lengths; the same text with every adapter too.
  void add_prompts() {
    for (size_t i = 0; i < 3 * numbers.size(); ++i) {
      prompts.push_back(testing::random_row(model.config(), 3 + (i * 5) % 9, i / numbers.size()));
      adapter_of_prompt.push_back(numbers[i % numbers.size()]);
    }
  }
  model::Model model;
  std::vector<int64_t> numbers, adapter_of_prompt;
  std::vector<std::vector<int32_t>> prompts;
};

TEST(AdapterByRow, GivesWhatEveryAdapterGivesAlone) {
  for (const model::ModelConfig& config : {testing::tiny_config(), testing::tiny_sparse_config()})
    for (const int64_t num_beams : {1, 3}) {
      Many many(config);
      many.add_prompts();
      Config generation;
      generation.num_beams = generation.num_return = num_beams;
      generation.max_new_tokens = 9;
      const auto mixed = generate(many.model, many.prompts, generation, at::kFloat, 8192, "",
                                  many.adapter_of_prompt);
      std::set<std::vector<int32_t>> outputs;
      for (size_t i = 0; i < many.prompts.size(); ++i) {
        const int64_t number = many.adapter_of_prompt[i];
        many.model.activate(number < 0 ? std::nullopt : std::optional(number));
        const auto alone = generate(many.model, {many.prompts[i]}, generation, at::kFloat);
        ASSERT_EQ(mixed[i].size(), alone[0].size());
        for (size_t h = 0; h < alone[0].size(); ++h) {
          EXPECT_EQ(mixed[i][h].token_ids, alone[0][h].token_ids)
              << "prompt " << i << ", hypothesis " << h << ", " << num_beams << " beams";
          EXPECT_NEAR(mixed[i][h].log_likelihood, alone[0][h].log_likelihood, 1e-3);
        }
        outputs.insert(alone[0][0].token_ids);
      }
      EXPECT_GT(outputs.size(), many.numbers.size());  // they do differ
    }
}

TEST(AdapterByRow, MustBeThereForEveryPrompt) {
  const model::Model model(testing::tiny_config(), 3);
  expect_error(ErrorCode::InvalidArgument, "2 prompts for 1", [&] {
    (void)generate(model, {{5, 1}}, Config(), at::kFloat, 8192, "", {-1, -1});
  });
}

}  // namespace
}  // namespace flanmoe::generate
