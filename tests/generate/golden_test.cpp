// Greedy and beam search give what `transformers` gives (tests/golden; made as the shared golden
// README says).
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "generate/generate.h"
#include "model/folder.h"

namespace flanmoe::generate {
namespace {

struct Golden {
  model::LoadedModel loaded;
  Json expected;
  std::vector<std::vector<int32_t>> prompts;
};

Golden load_golden(const std::string& name) {
  const std::string folder = std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/" + name;
  Golden golden{model::load_model(folder), load_json(folder + "/expected.json"), {}};
  const checkpoint::NamedTensors tensors =
      checkpoint::load_safetensors(folder + "/expected.safetensors");
  const at::Tensor& ids = tensors.at("input_ids");
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t* begin = ids.const_data_ptr<int64_t>() + row * ids.size(1);
    golden.prompts.emplace_back(
        begin, begin + golden.expected["input_lengths"][static_cast<size_t>(row)].get<int64_t>());
  }
  return golden;
}

class GoldenModel : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenModel, DecodesGreedilyAsTransformers) {
  const Golden golden = load_golden(GetParam());
  const Json& expected = golden.expected["generation"]["greedy"];
  Config config;
  config.max_new_tokens = 24;
  config.uses_capacity = true;
  const auto hypotheses = generate(*golden.loaded.model, golden.prompts, config, at::kFloat);
  ASSERT_EQ(hypotheses.size(), golden.prompts.size());
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    auto want = expected["sequences_trimmed"][i].get<std::vector<int32_t>>();
    want.erase(want.begin());  // the start id
    ASSERT_EQ(hypotheses[i].size(), 1u);
    EXPECT_EQ(hypotheses[i][0].token_ids, want) << "prompt " << i;
    EXPECT_NEAR(hypotheses[i][0].log_likelihood, expected["sum_log_prob"][i].get<double>(), 2e-4)
        << "prompt " << i;
  }
}

TEST_P(GoldenModel, SearchesBeamsAsTransformers) {
  const Golden golden = load_golden(GetParam());
  struct Setting {
    const char* name;
    double length_penalty;
    bool stops_early;
  };
  for (const Setting& setting :
       {Setting{"beam4_lp0.6", 0.6, false}, Setting{"beam4_lp1.0", 1.0, false},
        Setting{"beam4_lp1.0_early_stopping", 1.0, true}}) {
    SCOPED_TRACE(setting.name);
    const Json& expected = golden.expected["generation"][setting.name];
    Config config;
    config.max_new_tokens = 24;
    config.uses_capacity = true;
    config.num_beams = config.num_return = 4;
    config.length_penalty = setting.length_penalty;
    config.stops_early = setting.stops_early;
    const auto hypotheses = generate(*golden.loaded.model, golden.prompts, config, at::kFloat);
    for (size_t i = 0; i < hypotheses.size(); ++i) {
      ASSERT_EQ(hypotheses[i].size(), 4u);
      for (size_t rank = 0; rank < 4; ++rank) {
        auto want = expected["sequences_trimmed"][i * 4 + rank].get<std::vector<int32_t>>();
        want.erase(want.begin());
        EXPECT_EQ(hypotheses[i][rank].token_ids, want) << "prompt " << i << ", rank " << rank;
        EXPECT_NEAR(hypotheses[i][rank].score, expected["scores"][i * 4 + rank].get<double>(), 1e-4)
            << "prompt " << i << ", rank " << rank;
      }
    }
  }
}

TEST_P(GoldenModel, GivesTheSameInAnyBatch) {
  const Golden golden = load_golden(GetParam());
  for (int64_t num_beams : {1, 3}) {
    Config config;
    config.max_new_tokens = 24;
    config.uses_capacity = true;
    config.num_beams = num_beams;
    const auto together = generate(*golden.loaded.model, golden.prompts, config, at::kFloat);
    const auto alone = generate(*golden.loaded.model, golden.prompts, config, at::kFloat, 1);
    for (size_t i = 0; i < golden.prompts.size(); ++i) {
      EXPECT_EQ(together[i][0].token_ids, alone[i][0].token_ids)
          << "prompt " << i << ", beams " << num_beams;
      EXPECT_NEAR(together[i][0].log_likelihood, alone[i][0].log_likelihood, 1e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenModel,
                         ::testing::Values("t5-v1_0-tiny", "t5-v1_1-tiny", "switch-tiny",
                                           "switch-tiny-drop"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace flanmoe::generate
