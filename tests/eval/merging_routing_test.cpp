// Experts by task where an adapter merges them.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "eval/task_routing.h"
#include "eval/two_tasks.h"
#include "peft/adapter.h"
#include "support/expect_error.h"

namespace flanmoe::eval {
namespace {

model::LoadedModel load_with(const peft::ComponentConfig& component, double router_scale) {
  model::LoadedModel loaded = model::load_model_with_tokenizer(std::string(FLANMOE_SOURCE_DIR) +
                                                               "/tests/golden/t5-v1_1-tiny");
  const auto adapter =
      std::make_shared<peft::Adapter>("a", peft::Config{{component}}, loaded.model->sites(), 3);
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : adapter->parameters())
    if (parameter.tags.is_router) parameter.tensor.mul_(router_scale);
  loaded.model->activate(loaded.model->attach(adapter));
  return loaded;
}

class Merging : public ::testing::TestWithParam<const char*> {};

TEST_P(Merging, WeightsOfEverySiteAddUpAndPaddingIsLeftOut) {
  const model::LoadedModel loaded =
      load_with({.kind = GetParam(), .num_experts = 4}, /*router_scale=*/50);
  const SuiteRouting routing = measure_routing(loaded, two_tasks(), {"/./"}, {}, at::kFloat);
  for (const TaskRouting& task : routing.tasks) {
    EXPECT_GT(task.sites.size(), 4u);
    for (const SiteRouting& site : task.sites) {
      ASSERT_EQ(site.weights.size(), 4u) << site.site;
      double sum = 0, largest = 0;
      for (double weight : site.weights) {
        sum += weight;
        largest = std::max(largest, weight);
      }
      EXPECT_NEAR(sum, 1, 1e-5) << site.site;
      EXPECT_GT(largest, 0.2501) << site.site;
      if (!site.site.starts_with("decoder") ||
          site.site.find("EncDecAttention") != std::string::npos)
        continue;
      int64_t num_tokens = 0;
      const std::string target = task.name == "one" ? "yes" : "Rosa river bridge captain";
      num_tokens = 3 * static_cast<int64_t>(loaded.tokenizer->encode_with_eos(target).size());
      EXPECT_EQ(site.num_tokens, num_tokens) << site.site;
    }
  }
}

TEST_P(Merging, WithoutARouterAllExpertsWeighTheSame) {
  const model::LoadedModel loaded = load_with({.kind = GetParam(), .num_experts = 4}, 0);
  for (const TaskRouting& task :
       measure_routing(loaded, two_tasks(), {"/./"}, {}, at::kFloat).tasks)
    for (const SiteRouting& site : task.sites)
      for (double weight : site.weights) EXPECT_NEAR(weight, 0.25, 1e-6) << site.site;
}

// Batches of one example each have no padding at all.
TEST_P(Merging, DoesNotDependOnTheBatch) {
  const model::LoadedModel loaded = load_with({.kind = GetParam(), .num_experts = 4}, 50);
  Config one_by_one;
  one_by_one.max_batch_tokens = 1;
  const auto batched = measure_routing(loaded, two_tasks(), {"/./"}, {}, at::kFloat),
             single = measure_routing(loaded, two_tasks(), {"/./"}, one_by_one, at::kFloat);
  for (size_t t = 0; t < 2; ++t)
    for (size_t s = 0; s < batched.tasks[t].sites.size(); ++s) {
      EXPECT_EQ(batched.tasks[t].sites[s].num_tokens, single.tasks[t].sites[s].num_tokens);
      for (size_t e = 0; e < 4; ++e)
        EXPECT_NEAR(batched.tasks[t].sites[s].weights[e], single.tasks[t].sites[s].weights[e],
                    1e-5);
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Merging, ::testing::Values("mov", "molora"));

TEST(MergingSites, TakesTheLastFeedForwardOfTheDecoderByItself) {
  const model::LoadedModel loaded = load_with({.kind = "mov", .num_experts = 3}, 1);
  const SuiteRouting routing = measure_routing(loaded, two_tasks(), {}, {}, at::kFloat);
  ASSERT_EQ(routing.tasks[0].sites.size(), 1u);
  EXPECT_EQ(routing.tasks[0].sites[0].site,
            fmt::format("decoder.block.{}.layer.2.DenseReluDense.act",
                        loaded.model->config().num_decoder_layers - 1));
}

}  // namespace
}  // namespace flanmoe::eval
