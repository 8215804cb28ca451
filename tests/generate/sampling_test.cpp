#include "generate/sampling.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "generate/decoder.h"
#include "generate/generate.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace flanmoe::generate {
namespace {

using testing::random_row;
using testing::tiny_config;

std::vector<double> random_logits(size_t count, uint64_t seed) {
  RandomStream random(RandomKey(seed, RandomPurpose::Generator));
  std::vector<double> logits;
  for (size_t i = 0; i < count; ++i) logits.push_back(3 * random.normal());
  return logits;
}

// Written down from the rules, one after the other: everything sorted, masks by comparison.
std::map<int64_t, double> plain_candidates(const std::vector<double>& logits,
                                           const SamplingRule& rule) {
  std::vector<std::pair<double, int64_t>> p;  // (-probability, id)
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    p.emplace_back(-std::exp(logits[i] / rule.temperature), static_cast<int64_t>(i));
    sum -= p.back().first;
  }
  for (auto& one : p) one.first /= sum;
  std::sort(p.begin(), p.end());
  if (rule.top_k > 0 && rule.top_k < static_cast<int64_t>(p.size()))
    p.resize(static_cast<size_t>(rule.top_k));
  double kept = 0;
  for (const auto& one : p) kept -= one.first;
  std::map<int64_t, double> result;
  double before = 0, mass = 0;
  for (const auto& one : p) {
    if (rule.top_p < 1 && before >= rule.top_p && !result.empty()) break;
    result[one.second] = -one.first / kept;
    before += -one.first / kept;
    mass += -one.first / kept;
  }
  for (auto& one : result) one.second /= mass;
  return result;
}

TEST(Sampling, CandidatesAreThoseOfThePlainRules) {
  for (const size_t count : {1u, 7u, 300u, 2000u})
    for (const double temperature : {0.3, 1.0, 2.5})
      for (const int64_t top_k : {0, 1, 5, 100000})
        for (const double top_p : {1e-9, 0.3, 0.95, 1.0}) {
          const SamplingRule rule{temperature, top_k, top_p};
          const std::vector<double> logits = random_logits(count, count);
          const std::vector<Candidate> found = find_candidates(logits, rule);
          const std::map<int64_t, double> want = plain_candidates(logits, rule);
          ASSERT_EQ(found.size(), want.size())
              << count << " " << temperature << " " << top_k << " " << top_p;
          for (const Candidate& candidate : found) {
            ASSERT_TRUE(want.contains(candidate.token_id));
            EXPECT_NEAR(candidate.probability, want.at(candidate.token_id), 1e-12);
          }
        }
}

TEST(Sampling, HandComputed) {
  // probabilities 0.5, 0.3, 0.2
  const std::vector<double> logits = {std::log(0.3), std::log(0.5), std::log(0.2)};
  const auto ids = [&](const SamplingRule& rule) {
    std::vector<int64_t> found;
    for (const Candidate& candidate : find_candidates(logits, rule))
      found.push_back(candidate.token_id);
    return found;
  };
  EXPECT_EQ(ids({1, 2, 1}), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(ids({1, 0, 0.4}), (std::vector<int64_t>{1}));
  EXPECT_EQ(ids({1, 0, 0.6}), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(ids({1, 0, 0.9}), (std::vector<int64_t>{1, 0, 2}));
  EXPECT_EQ(ids({1, 2, 0.6}), (std::vector<int64_t>{1}));  // 0.5 / 0.8 is enough
  EXPECT_EQ(draw(find_candidates(logits, {1, 0, 1}), 0.29), 0);
  EXPECT_EQ(draw(find_candidates(logits, {1, 0, 1}), 0.31), 1);
  EXPECT_EQ(draw(find_candidates(logits, {1, 0, 1}), 0.999), 2);
}

// Pearson's statistic of drawn first tokens against softmax(logits / temperature).
double chi_square(const std::map<int64_t, int64_t>& counts, const std::vector<double>& probability,
                  double num_draws) {
  double sum = 0;
  for (size_t i = 0; i < probability.size(); ++i) {
    const auto found = counts.find(static_cast<int64_t>(i));
    const double count = found == counts.end() ? 0.0 : static_cast<double>(found->second);
    const double want = probability[i] * num_draws;
    sum += (count - want) * (count - want) / want;
  }
  return sum;
}

TEST(Sampling, FirstTokensAreDistributedAsSoftmax) {
  model::ModelConfig config = tiny_config();
  config.vocab_size = 12;
  const model::Model model(config, 3);
  const std::vector<int32_t> prompt = {5, 7, 1};
  Config options;
  options.do_sample = true;
  options.temperature = 1.5;
  options.num_samples = 4000;
  options.max_new_tokens = 1;
  std::map<int64_t, int64_t> counts;
  const auto samples = generate(model, {prompt}, options, at::kFloat);
  for (const Hypothesis& sample : samples.at(0)) ++counts[sample.token_ids.at(0)];
  const at::NoGradGuard no_grad;
  Decoder decoder(model, {&prompt}, {.max_length = 1});
  const at::Tensor logits = decoder.step({0})[0].to(at::kDouble);
  const auto probabilities = [&](double temperature) {
    const at::Tensor p = at::softmax(logits.div(temperature), 0).contiguous();
    return std::vector<double>(p.const_data_ptr<double>(), p.const_data_ptr<double>() + 12);
  };
  // 99.9 % quantile with 11 degrees of freedom
  EXPECT_LT(chi_square(counts, probabilities(1.5), 4000), 31.26);
  EXPECT_GT(chi_square(counts, probabilities(0.5), 4000), 31.26);  // sees another temperature
}

TEST(Sampling, DoesNotDependOnTheBatchAndRepeats) {
  model::ModelConfig config = tiny_config();
  config.vocab_size = 14;
  const model::Model model(config, 3);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < 9; ++i) prompts.push_back(random_row(config, 4 + i % 4, i));
  Config options;
  options.do_sample = true;
  options.num_samples = 5;
  options.max_new_tokens = 8;
  options.top_k = 9;
  options.top_p = 0.97;
  const auto together = generate(model, prompts, options, at::kFloat);
  for (const int64_t max_batch_tokens : {1, 20, 40}) {
    const auto got = generate(model, prompts, options, at::kFloat, max_batch_tokens);
    for (size_t i = 0; i < prompts.size(); ++i)
      for (size_t n = 0; n < 5; ++n) {
        EXPECT_EQ(got[i].at(n).token_ids, together[i].at(n).token_ids)
            << "prompt " << i << ", sample " << n << ", " << max_batch_tokens;
        EXPECT_NEAR(got[i][n].log_likelihood, together[i][n].log_likelihood, 1e-4);
      }
  }
  EXPECT_NE(together[0][0].token_ids, together[0][1].token_ids);
  options.num_samples = 2;  // the first ones stay
  EXPECT_EQ(generate(model, prompts, options, at::kFloat)[3][1].token_ids,
            together[3][1].token_ids);
  options.sampling_seed = 1;
  size_t num_equal = 0;
  const auto other = generate(model, prompts, options, at::kFloat);
  for (size_t i = 0; i < prompts.size(); ++i)
    num_equal += other[i][0].token_ids == together[i][0].token_ids ? 1 : 0;
  EXPECT_LT(num_equal, prompts.size());
}

TEST(Sampling, OfOneTokenIsGreedy) {
  const model::ModelConfig config = tiny_config();
  const model::Model model(config, 5);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < 4; ++i) prompts.push_back(random_row(config, 3 + i, i));
  Config greedy, sampling;
  greedy.max_new_tokens = sampling.max_new_tokens = 6;
  sampling.do_sample = true;
  sampling.top_k = 1;
  const auto want = generate(model, prompts, greedy, at::kFloat),
             got = generate(model, prompts, sampling, at::kFloat);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(got[i].at(0).token_ids, want[i].at(0).token_ids);
    EXPECT_NEAR(got[i][0].log_likelihood, want[i][0].log_likelihood, 1e-5);
  }
}

TEST(Sampling, RefusesWhatCannotBe) {
  const model::Model model(tiny_config(), 0);
  const auto expect = [&](const std::string& text, auto change) {
    Config config;
    config.do_sample = true;
    change(config);
    expect_error(ErrorCode::InvalidConfig, text, [&] {
      generate(model, {{5, 1}}, config, at::kFloat);
    });
  };
  expect("temperature is 0", [](Config& c) { c.temperature = 0; });
  expect("temperature is -1", [](Config& c) { c.temperature = -1; });
  expect("top_p is 0", [](Config& c) { c.top_p = 0; });
  expect("top_p is 1.5", [](Config& c) { c.top_p = 1.5; });
  expect("top_k is -1", [](Config& c) { c.top_k = -1; });
  expect("num_samples is 0", [](Config& c) { c.num_samples = 0; });
  expect("num_beams is 2", [](Config& c) { c.num_beams = 2; });
  expect("temperature is set, but do_sample is false", [](Config& c) {
    c.do_sample = false;
    c.temperature = 2;
  });
}

}  // namespace
}  // namespace flanmoe::generate
