#include "generate/generate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "generate/decoder.h"
#include "generate/search.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace flanmoe::generate {
namespace {

using testing::random_row;
using testing::tiny_config;
using testing::tiny_sparse_config;

std::vector<std::vector<int32_t>> random_prompts(const model::ModelConfig& config) {
  std::vector<std::vector<int32_t>> prompts;
  const size_t lengths[] = {7, 1, 13, 4, 7, 2};
  for (size_t i = 0; i < std::size(lengths); ++i)
    prompts.push_back(random_row(config, lengths[i], i));
  return prompts;
}

TokenRows to_rows(const std::vector<std::vector<int32_t>>& rows) {
  TokenRows result;
  for (const auto& row : rows) result.push_back(&row);
  return result;
}

// Logits [V] after start id and `tokens`, for one prompt alone, with the whole sequence at once.
at::Tensor logits_without_cache(const model::Model& model, const std::vector<int32_t>& prompt,
                                const std::vector<int64_t>& tokens) {
  const at::NoGradGuard no_grad;
  nn::Context context;
  const auto length = static_cast<int64_t>(prompt.size());
  const at::Tensor ids = to_tensor({prompt.begin(), prompt.end()}, {1, length}, at::kCPU);
  const nn::TokenLayout encoder_layout = nn::make_layout(1, length);
  const at::Tensor encoded = model.encode(ids, encoder_layout, context);
  std::vector<int64_t> decoder_ids = {model.config().decoder_start_token_id};
  decoder_ids.insert(decoder_ids.end(), tokens.begin(), tokens.end());
  const auto decoder_length = static_cast<int64_t>(decoder_ids.size());
  const nn::TokenLayout layout = nn::make_layout(1, decoder_length);
  const at::Tensor hidden = model.decode(to_tensor(decoder_ids, {1, decoder_length}, at::kCPU),
                                         layout, encoded, encoder_layout, context);
  return model.logits(hidden[0][decoder_length - 1], context);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return a.sub(b).abs().max().item<double>();
}

TEST(Decoder, GivesTheLogitsOfAWholePass) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_sparse_config()}) {
    const model::Model model(config, 3);
    const auto prompts = random_prompts(config);
    Decoder decoder(model, to_rows(prompts), 5, at::kFloat);
    std::vector<std::vector<int64_t>> tokens(prompts.size());
    std::vector<int64_t> next(prompts.size(), 0);
    for (int64_t step = 0; step < 5; ++step) {
      const at::Tensor logits = decoder.step(next);
      for (size_t row = 0; row < prompts.size(); ++row) {
        EXPECT_LT(max_difference(logits[static_cast<int64_t>(row)],
                                 logits_without_cache(model, prompts[row], tokens[row])),
                  1e-4)
            << "row " << row << ", step " << step;
        next[row] = static_cast<int64_t>((row * 7 + static_cast<size_t>(step) * 11) % 50);
        tokens[row].push_back(next[row]);
      }
    }
  }
}

TEST(Decoder, RearrangesDropsAndRepeatsRows) {
  const model::ModelConfig config = tiny_config();
  const model::Model model(config, 3);
  const auto prompts = random_prompts(config);
  Decoder decoder(model, to_rows(prompts), 4, at::kFloat);
  decoder.step(std::vector<int64_t>(prompts.size(), 0));
  decoder.step({10, 11, 12, 13, 14, 15});
  decoder.select_rows({5, 2, 2});
  ASSERT_EQ(decoder.num_rows(), 3);
  const at::Tensor logits = decoder.step({20, 21, 22});
  EXPECT_LT(max_difference(logits[0], logits_without_cache(model, prompts[5], {15, 20})), 1e-4);
  EXPECT_LT(max_difference(logits[1], logits_without_cache(model, prompts[2], {12, 21})), 1e-4);
  EXPECT_LT(max_difference(logits[2], logits_without_cache(model, prompts[2], {12, 22})), 1e-4);
  // The comparison sees a wrong row and a wrong token.
  EXPECT_GT(max_difference(logits[0], logits_without_cache(model, prompts[4], {15, 20})), 1e-3);
  EXPECT_GT(max_difference(logits[1], logits_without_cache(model, prompts[2], {13, 21})), 1e-3);
}

// One prompt, no cache, in double: argmax after argmax.
Hypothesis plain_greedy(const model::Model& model, const std::vector<int32_t>& prompt,
                        int64_t max_new_tokens) {
  Hypothesis result;
  std::vector<int64_t> tokens;
  while (static_cast<int64_t>(tokens.size()) < max_new_tokens &&
         (tokens.empty() || tokens.back() != 1)) {
    const at::Tensor log_probability =
        at::log_softmax(logits_without_cache(model, prompt, tokens).to(at::kDouble), 0);
    const auto best = at::argmax(log_probability).item<int64_t>();
    result.log_likelihood += log_probability[best].item<double>();
    tokens.push_back(best);
  }
  result.token_ids.assign(tokens.begin(), tokens.end());
  return result;
}

// One prompt, no cache: beam search written down from its rules.
std::vector<Hypothesis> plain_beams(const model::Model& model, const std::vector<int32_t>& prompt,
                                    const Config& config) {
  struct Item {
    std::vector<int64_t> tokens;
    double sum;
  };
  const auto num_beams = static_cast<size_t>(config.num_beams);
  std::vector<Item> running = {{{}, 0.0}};
  std::vector<Hypothesis> finished;
  for (int64_t length = 1;; ++length) {
    std::vector<Item> candidates;
    for (const Item& item : running) {
      const at::Tensor log_probability =
          at::log_softmax(logits_without_cache(model, prompt, item.tokens).to(at::kDouble), 0);
      for (int64_t token = 0; token < model.config().vocab_size; ++token) {
        candidates.push_back({item.tokens, item.sum + log_probability[token].item<double>()});
        candidates.back().tokens.push_back(token);
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Item& a, const Item& b) { return a.sum > b.sum; });
    candidates.resize(2 * num_beams);
    running.clear();
    for (size_t rank = 0; rank < candidates.size(); ++rank) {
      Item& item = candidates[rank];
      if (length == config.max_new_tokens || item.tokens.back() == 1) {
        if (rank < num_beams)
          finished.push_back(
              {{item.tokens.begin(), item.tokens.end()},
               item.sum,
               item.sum / std::pow(static_cast<double>(length), config.length_penalty)});
      } else if (running.size() < num_beams) {
        running.push_back(item);
      }
    }
    std::stable_sort(finished.begin(), finished.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    if (finished.size() > num_beams) finished.resize(num_beams);
    if (length == config.max_new_tokens) break;
    if (finished.size() == num_beams &&
        (config.stops_early ||
         running[0].sum / std::pow(static_cast<double>(length), config.length_penalty) <=
             finished.back().score))
      break;
  }
  finished.resize(static_cast<size_t>(config.num_return));
  return finished;
}

TEST(Generate, GreedyAgreesWithPlainLoops) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_sparse_config()}) {
    const model::Model model(config, 5);
    const auto prompts = random_prompts(config);
    Config options;
    options.max_new_tokens = 6;
    const auto hypotheses = generate(model, prompts, options, at::kFloat);
    for (size_t i = 0; i < prompts.size(); ++i) {
      const Hypothesis want = plain_greedy(model, prompts[i], 6);
      EXPECT_EQ(hypotheses[i].at(0).token_ids, want.token_ids) << "prompt " << i;
      EXPECT_NEAR(hypotheses[i][0].log_likelihood, want.log_likelihood, 1e-4);
      EXPECT_NEAR(hypotheses[i][0].score,
                  want.log_likelihood / static_cast<double>(want.token_ids.size()), 1e-4);
    }
  }
}

TEST(Generate, BeamsAgreeWithPlainLoops) {
  model::ModelConfig config = tiny_config();
  config.vocab_size = 12;  // </s> comes often
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const model::Model model(config, seed);
    const auto prompts = random_prompts(config);
    for (const bool stops_early : {false, true})
      for (const double length_penalty : {0.0, 1.0, 2.0}) {
        Config options;
        options.max_new_tokens = 5;
        options.num_beams = options.num_return = 3;
        options.stops_early = stops_early;
        options.length_penalty = length_penalty;
        const auto hypotheses = generate(model, prompts, options, at::kFloat);
        for (size_t i = 0; i < prompts.size(); ++i) {
          const std::vector<Hypothesis> want = plain_beams(model, prompts[i], options);
          ASSERT_EQ(hypotheses[i].size(), 3u);
          for (size_t rank = 0; rank < 3; ++rank) {
            EXPECT_EQ(hypotheses[i][rank].token_ids, want[rank].token_ids)
                << "seed " << seed << ", prompt " << i << ", rank " << rank;
            EXPECT_NEAR(hypotheses[i][rank].score, want[rank].score, 1e-4);
          }
        }
      }
  }
}

TEST(Generate, OneBeamIsGreedy) {
  const model::ModelConfig config = tiny_config();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const model::Model model(config, seed);
    const auto prompts = random_prompts(config);
    Config options;
    options.max_new_tokens = 8;
    const auto greedy = search_greedily(model, to_rows(prompts), options, at::kFloat);
    const auto beam = search_beams(model, to_rows(prompts), options, at::kFloat);
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(greedy[i].at(0).token_ids, beam[i].at(0).token_ids);
      EXPECT_NEAR(greedy[i][0].log_likelihood, beam[i][0].log_likelihood, 1e-4);
    }
  }
}

TEST(Generate, DoesNotDependOnTheBatch) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_sparse_config()}) {
    const model::Model model(config, 11);
    const auto prompts = random_prompts(config);
    for (int64_t num_beams : {1, 4}) {
      Config options;
      options.max_new_tokens = 7;
      options.num_beams = num_beams;
      const auto want = generate(model, prompts, options, at::kFloat, 1);
      for (int64_t max_batch_tokens : {14, 30, 8192}) {
        const auto got = generate(model, prompts, options, at::kFloat, max_batch_tokens);
        for (size_t i = 0; i < prompts.size(); ++i)
          EXPECT_EQ(got[i][0].token_ids, want[i][0].token_ids)
              << "prompt " << i << ", " << max_batch_tokens;
      }
    }
  }
}

TEST(Generate, StopsAtTheLimit) {
  const model::ModelConfig config = tiny_config();
  const model::Model model(config, 1);
  for (int64_t limit : {1, 3}) {
    Config options;
    options.max_new_tokens = limit;
    options.num_beams = options.num_return = 2;
    for (const auto& hypotheses : generate(model, random_prompts(config), options, at::kFloat))
      for (const Hypothesis& hypothesis : hypotheses) {
        EXPECT_LE(static_cast<int64_t>(hypothesis.token_ids.size()), limit);
        EXPECT_GE(hypothesis.token_ids.size(), 1u);
      }
  }
  EXPECT_TRUE(generate(model, {}, {}, at::kFloat).empty());
}

TEST(Generate, RefusesWhatCannotBe) {
  const model::Model model(tiny_config(), 0);
  const auto call = [&](const std::vector<std::vector<int32_t>>& prompts, const Config& config) {
    return [&model, prompts, config] { generate(model, prompts, config, at::kFloat); };
  };
  expect_error(ErrorCode::InvalidArgument, "prompt 1 has no tokens", call({{5, 1}, {}}, {}));
  expect_error(ErrorCode::InvalidArgument, "token id 50", call({{50, 1}}, {}));
  expect_error(ErrorCode::InvalidArgument, "token id -1", call({{-1, 1}}, {}));
  Config config;
  config.num_return = 2;
  expect_error(ErrorCode::InvalidConfig, "num_return is 2, but num_beams is 1",
               call({{5, 1}}, config));
  config.num_beams = 26;
  expect_error(ErrorCode::InvalidArgument, "at most half of the 50 tokens", call({{5, 1}}, config));
  config = {};
  config.max_new_tokens = 0;
  expect_error(ErrorCode::InvalidConfig, "max_new_tokens is 0", call({{5, 1}}, config));
}

TEST(Generate, RefusesAModelThatGivesNoNumbers) {
  const model::Model model(tiny_config(), 0);
  {
    const at::NoGradGuard no_grad;
    for (const nn::Parameter& parameter : model.parameters())
      if (parameter.name == "lm_head.weight")
        parameter.tensor.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  for (int64_t num_beams : {1, 2}) {
    Config config;
    config.num_beams = num_beams;
    expect_error(ErrorCode::NonFinite, "finite", [&] {
      generate(model, {{5, 1}}, config, at::kFloat);
    });
  }
}

TEST(Batching, KeepsWithinTheLimitAndLosesNoRow) {
  const std::vector<int64_t> lengths = {3, 10, 1, 10, 7, 3, 25, 2};
  std::vector<int> count(lengths.size(), 0);
  for (const auto& batch : plan_batches(lengths, 20, 3)) {
    int64_t longest = 0;
    for (size_t row : batch) {
      ++count[row];
      longest = std::max(longest, lengths[row]);
    }
    EXPECT_LE(batch.size(), 3u);
    if (batch.size() > 1) {
      EXPECT_LE(static_cast<int64_t>(batch.size()) * longest, 20);
    }
  }
  EXPECT_EQ(count, std::vector<int>(lengths.size(), 1));
  EXPECT_TRUE(plan_batches({}, 20).empty());
}

}  // namespace
}  // namespace flanmoe::generate
