#include "eval/scoring.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "generate/batching.h"
#include "generate/generate.h"
#include "model/folder.h"
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
    for (const auto& target : query.target_ids)
      num_target_tokens += static_cast<int64_t>(target.size());
  }
  CountingSink sink;
  score(model, queries, at::kFloat, 8192, &sink);
  EXPECT_EQ(sink.num_encoder_tokens,
            num_input_tokens);  // the encoder runs once a query, however many targets it has
  EXPECT_EQ(sink.num_decoder_tokens, num_target_tokens);
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
