#include "eval/scoring.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "generate/batching.h"
#include "generate/generate.h"
#include "model/folder.h"
#include "moe/router.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace flanmoe::eval {
namespace {

using testing::random_row;
using testing::tiny_config;
using testing::tiny_sparse_config;

// By the training loss, one pair alone.
double log_likelihood_by_loss(const model::Model& model, const std::vector<int32_t>& input,
                              const std::vector<int32_t>& target) {
  const at::NoGradGuard no_grad;
  const auto as_row = [](const std::vector<int32_t>& ids) {
    return generate::to_tensor({ids.begin(), ids.end()}, {1, static_cast<int64_t>(ids.size())},
                               at::kCPU);
  };
  nn::Context context;
  const model::ModelInput pair =
      model::make_input(as_row(input), {}, as_row(target), {}, model.config());
  return -model.loss(pair, context).token_loss_BM.sum().item<double>();
}

std::vector<Query> random_queries(const model::ModelConfig& config) {
  std::vector<Query> queries;
  const std::vector<size_t> target_lengths[] = {{3, 1, 5}, {2}, {}, {4, 4, 2, 7}, {1, 2}, {9}};
  const size_t input_lengths[] = {6, 11, 3, 2, 17, 6};
  for (size_t i = 0; i < std::size(input_lengths); ++i) {
    Query query;
    query.input_ids = random_row(config, input_lengths[i], i);
    for (size_t t = 0; t < target_lengths[i].size(); ++t)
      query.target_ids.push_back(random_row(config, target_lengths[i][t], 100 * i + t));
    queries.push_back(std::move(query));
  }
  return queries;
}

TEST(Score, IsTheNegativeTrainingLoss) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_sparse_config()}) {
    const model::Model model(config, 7);
    const auto queries = random_queries(config);
    for (int64_t max_batch_tokens : {1, 24, 8192}) {
      const auto scores = score(model, queries, at::kFloat, max_batch_tokens);
      ASSERT_EQ(scores.size(), queries.size());
      for (size_t i = 0; i < queries.size(); ++i) {
        ASSERT_EQ(scores[i].size(), queries[i].target_ids.size());
        for (size_t t = 0; t < scores[i].size(); ++t) {
          const std::vector<int32_t>& target = queries[i].target_ids[t];
          EXPECT_EQ(scores[i][t].num_tokens, static_cast<int64_t>(target.size()));
          EXPECT_NEAR(scores[i][t].log_likelihood,
                      log_likelihood_by_loss(model, queries[i].input_ids, target), 1e-4)
              << "query " << i << ", target " << t << ", batches of " << max_batch_tokens;
        }
      }
    }
    // The comparison sees another target and another input.
    const auto scores = score(model, queries, at::kFloat);
    EXPECT_GT(
        std::abs(scores[3][0].log_likelihood -
                 log_likelihood_by_loss(model, queries[3].input_ids, queries[3].target_ids[1])),
        1e-3);
    EXPECT_GT(
        std::abs(scores[3][0].log_likelihood -
                 log_likelihood_by_loss(model, queries[1].input_ids, queries[3].target_ids[0])),
        1e-3);
  }
}

TEST(Score, IsTheLikelihoodThatGenerationReports) {
  const model::ModelConfig config = tiny_config();
  const model::Model model(config, 9);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < 4; ++i) prompts.push_back(random_row(config, 3 + 2 * i, i));
  generate::Config options;
  options.max_new_tokens = 6;
  options.num_beams = options.num_return = 3;
  const auto hypotheses = generate::generate(model, prompts, options, at::kFloat);
  std::vector<Query> queries;
  for (size_t i = 0; i < prompts.size(); ++i) {
    Query query{prompts[i], {}};
    for (const auto& hypothesis : hypotheses[i]) query.target_ids.push_back(hypothesis.token_ids);
    queries.push_back(std::move(query));
  }
  const auto scores = score(model, queries, at::kFloat);
  for (size_t i = 0; i < prompts.size(); ++i)
    for (size_t rank = 0; rank < 3; ++rank)
      EXPECT_NEAR(scores[i][rank].log_likelihood, hypotheses[i][rank].log_likelihood, 1e-4);
}

TEST(Score, AddsUpToTheLossOfTransformers) {
  for (const std::string name : {"t5-v1_0-tiny", "t5-v1_1-tiny", "switch-tiny"}) {
    const std::string folder = std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/" + name;
    const model::LoadedModel loaded = model::load_model(folder);
    const Json expected = load_json(folder + "/expected.json");
    const checkpoint::NamedTensors tensors =
        checkpoint::load_safetensors(folder + "/expected.safetensors");
    const auto row_of = [&](const char* tensor, size_t row, const char* lengths) {
      const at::Tensor& ids = tensors.at(tensor);
      const int64_t* begin =
          ids.const_data_ptr<int64_t>() + static_cast<int64_t>(row) * ids.size(1);
      return std::vector<int32_t>(begin, begin + expected[lengths][row].get<int64_t>());
    };
    std::vector<Query> queries;
    for (size_t row = 0; row < 3; ++row)
      queries.push_back(
          {row_of("input_ids", row, "input_lengths"), {row_of("labels", row, "label_lengths")}});
    double sum = 0;
    for (const auto& scores : score(*loaded.model, queries, at::kFloat))
      sum += scores[0].log_likelihood;
    const double want = -expected["loss_cross_entropy_sum"].get<double>();
    EXPECT_NEAR(sum, want, 1e-5 + 1e-5 * std::abs(want)) << name;
  }
}

class CountingSink : public nn::RoutingSink {
 public:
  void record(const std::string& layer, const ops::Routing& routing) override {
    (layer.rfind("encoder", 0) == 0 ? num_encoder_tokens : num_decoder_tokens) +=
        routing.num_tokens;
  }
  int64_t num_encoder_tokens = 0, num_decoder_tokens = 0;
};

TEST(Score, RoutesEveryRealTokenOnce) {
  const model::ModelConfig config = tiny_sparse_config();  // one sparse layer on each side
  const model::Model model(config, 7);
  const auto queries = random_queries(config);
  int64_t num_input_tokens = 0, num_target_tokens = 0;
  for (const Query& query : queries) {
    if (query.target_ids.empty()) continue;
    num_input_tokens += static_cast<int64_t>(query.input_ids.size());
    // what all targets of a query begin with is met once
    const auto& targets = query.target_ids;
    size_t shared = 1;
    const auto is_alike = [&](size_t i) {
      return std::all_of(targets.begin(), targets.end(), [&](const auto& target) {
        return i < target.size() &&
               std::equal(target.begin(), target.begin() + static_cast<long>(i),
                          targets[0].begin());
      });
    };
    while (is_alike(shared)) ++shared;
    num_target_tokens += static_cast<int64_t>(shared);
    for (const auto& target : targets)
      num_target_tokens += static_cast<int64_t>(target.size() - shared);
  }
  CountingSink sink;
  score(model, queries, at::kFloat, 8192, &sink);
  EXPECT_EQ(sink.num_encoder_tokens,
            num_input_tokens);  // the encoder runs once a query, however many targets it has
  EXPECT_EQ(sink.num_decoder_tokens, num_target_tokens);
}

TEST(Score, SharesWhatTargetsBeginWith) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_sparse_config()}) {
    const model::Model model(config, 7);
    std::vector<Query> queries;
    queries.push_back({{5, 6, 7, 1}, {{9, 8, 7, 6, 1}, {9, 8, 7, 1}, {9, 8, 7, 5, 4, 1}}});
    queries.push_back({{5, 6, 1}, {{9, 1}, {8, 1}, {7, 1}}});
    queries.push_back({{5, 1}, {{9, 8, 1}, {9, 8, 1}, {9, 8, 1}}});           // all of it
    queries.push_back({{4, 4, 4, 1}, {{1}, {9, 8, 1}, {9, 8, 7, 6, 5, 1}}});  // nothing
    const auto scores = score(model, queries, at::kFloat);
    for (size_t i = 0; i < queries.size(); ++i)
      for (size_t t = 0; t < 3; ++t)
        EXPECT_NEAR(scores[i][t].log_likelihood,
                    log_likelihood_by_loss(model, queries[i].input_ids, queries[i].target_ids[t]),
                    1e-4)
            << "query " << i << ", target " << t;
  }
}

TEST(Score, LeavesOutTheEndOnRequest) {
  const model::Model model(tiny_config(), 7);
  const std::vector<int32_t> target = {9, 8, 1}, unended = {9, 8};
  const std::vector<Query> queries = {{{5, 6, 1}, {target, unended, {1}}}};
  const auto with = score(model, queries, at::kFloat)[0];
  const auto without =
      score(model, queries, at::kFloat, 8192, nullptr, "", {.leaves_out_eos = true})[0];
  // one token after the other
  EXPECT_NEAR(without[0].log_likelihood, with[1].log_likelihood, 1e-5);
  EXPECT_NEAR(without[1].log_likelihood, with[1].log_likelihood, 1e-12);  // does not end in </s>
  EXPECT_EQ(without[0].num_tokens, 2);
  EXPECT_EQ(without[1].num_tokens, 2);
  EXPECT_EQ(without[2].num_tokens, 0);
  EXPECT_EQ(without[2].log_likelihood, 0);
  EXPECT_LT(with[0].log_likelihood, without[0].log_likelihood - 1e-3);
}

// A sparse model of little capacity, routed over whole batches with padding counted.
model::ModelConfig crowded_config(const std::string& router) {
  model::ModelConfig config = tiny_sparse_config();
  config.moe = {};
  config.moe.num_experts = 4;
  config.moe.router = router;
  config.moe.is_dropless = false;
  config.moe.group = moe::RoutingGroup::Batch;
  config.moe.padding = moe::PaddingRule::Counted;
  config.moe.train_capacity_factor = config.moe.eval_capacity_factor =
      router == "expert-choice" ? 1.0 : 0.3;
  config.moe.min_expert_capacity = 1;
  config.set_moe(config.moe);
  return config;
}

TEST(Score, AnExampleInACrowdIsTheExampleAlone) {
  for (const std::string& router : moe::router_registry().names()) {
    SCOPED_TRACE(router);
    const model::ModelConfig config = crowded_config(router);
    const model::Model model(config, 7);
    const auto queries = random_queries(config);
    std::vector<std::vector<int32_t>> prompts;
    for (const Query& query : queries) prompts.push_back(query.input_ids);
    generate::Config options;
    options.max_new_tokens = 6;
    for (const bool uses_capacity : {false, true}) {
      double difference = 0;
      const auto crowd = score(model, queries, at::kFloat, 8192, nullptr, "", {uses_capacity});
      options.uses_capacity = uses_capacity;
      const auto texts = generate::generate(model, prompts, options, at::kFloat);
      for (size_t i = 0; i < queries.size(); ++i) {
        const auto alone =
            score(model, {queries[i]}, at::kFloat, 8192, nullptr, "", {uses_capacity});
        for (size_t t = 0; t < crowd[i].size(); ++t)
          difference = std::max(difference,
                                std::abs(crowd[i][t].log_likelihood - alone[0][t].log_likelihood));
        if (uses_capacity) continue;
        const auto text = generate::generate(model, {prompts[i]}, options, at::kFloat);
        EXPECT_EQ(text[0][0].token_ids, texts[i][0].token_ids) << "prompt " << i;
        EXPECT_NEAR(text[0][0].log_likelihood, texts[i][0].log_likelihood, 1e-4);
      }
      if (!uses_capacity) EXPECT_LT(difference, 1e-4);
      // the check sees what a capacity over the batch does
      if (uses_capacity && router == "switch") EXPECT_GT(difference, 1e-3);
    }
  }
}

TEST(Score, TellsTheExpertsOfEveryExample) {
  const model::ModelConfig config = tiny_sparse_config();
  const model::Model model(config, 7);
  const auto queries = random_queries(config);
  std::vector<ExpertUsage> usage;
  CountingSink sink;
  score(model, queries, at::kFloat, 8192, &sink, "", {.expert_usage = &usage});
  EXPECT_GT(sink.num_encoder_tokens, 0);  // it is told too
  ASSERT_EQ(usage.size(), queries.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    std::vector<ExpertUsage> alone;
    score(model, {queries[i]}, at::kFloat, 8192, nullptr, "", {.expert_usage = &alone});
    EXPECT_EQ(usage[i], alone.at(0)) << "query " << i;
    EXPECT_EQ(usage[i].size(), queries[i].target_ids.empty() ? 0u : 2u);  // sparse layers
    for (const auto& [layer, shares] : usage[i]) {
      double sum = 0;
      for (const double share : shares) sum += share;
      EXPECT_NEAR(sum, 1.0, 1e-12);
    }
  }
  EXPECT_NE(usage[0], usage[4]);
}

TEST(ExpertUsage, HandComputed) {
  ExpertUsageCollector collector(2, nullptr);
  collector.set_rows({1, 0});
  ops::Routing routing;
  routing.num_tokens = 4;
  routing.num_experts = 3;
  routing.expert_offsets = {0, 3, 3, 5};
  routing.token_index_A = generate::to_tensor({0, 1, 2, 0, 3}, {5}, at::kCPU);
  const nn::TokenLayout tokens = nn::make_layout(2, 2);
  collector.record_rows("encoder.block.1.layer.1", routing, tokens.real_index_N, tokens);
  const auto usage = collector.summarise();
  // tokens 0 and 1 are of example 1: experts 0, 0 and 2; tokens 2 and 3 of example 0: experts 0, 2
  EXPECT_EQ(usage[1].at("encoder.block.1.layer.1"), (std::vector<double>{2.0 / 3, 0, 1.0 / 3}));
  EXPECT_EQ(usage[0].at("encoder.block.1.layer.1"), (std::vector<double>{0.5, 0, 0.5}));
  const auto top = find_top_experts(usage[0]);
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0].expert, 0);
  EXPECT_EQ(top[0].share, 0.5);
}

TEST(Score, RefusesWhatCannotBe) {
  const model::Model model(tiny_config(), 0);
  expect_error(ErrorCode::InvalidArgument, "the input of query 1", [&] {
    score(model, {{{5, 1}, {{6, 1}}}, {{}, {{6, 1}}}}, at::kFloat);
  });
  expect_error(ErrorCode::InvalidArgument, "query 0: target 1 has the token id 50", [&] {
    score(model, {{{5, 1}, {{6, 1}, {50, 1}}}}, at::kFloat);
  });
  expect_error(ErrorCode::InvalidConfig, "max_batch_tokens is 0",
               [&] { score(model, {}, at::kFloat, 0); });
  EXPECT_TRUE(score(model, {}, at::kFloat).empty());
}

}  // namespace
}  // namespace flanmoe::eval
