#include "peft/config.h"

#include <gtest/gtest.h>

#include "peft/sites.h"
#include "support/expect_error.h"

namespace flanmoe::peft {
namespace {

ComponentConfig component(const char* kind) {
  ComponentConfig config;
  config.kind = kind;
  return config;
}

void expect_refused(const ComponentConfig& config, const std::string& part) {
  expect_error(ErrorCode::InvalidConfig, part, [&] { validate({{config}}, "stage.adapter"); });
}

TEST(PeftConfig, AcceptsEveryKindAsItIs) {
  for (const char* kind : {"ia3", "lora", "mov", "molora", "norm", "prompt"})
    EXPECT_NO_THROW(validate({{component(kind)}}, "stage.adapter")) << kind;
}

TEST(PeftConfig, NamesTheKeyThatIsWrong) {
  expect_error(ErrorCode::InvalidConfig, "[stage.adapter]", [] { validate({}, "stage.adapter"); });
  expect_refused(component("molra"), "unknown value 'molra' (did you mean 'molora'");
  ComponentConfig config = component("mov");
  config.num_experts = 0;
  expect_refused(config, "[stage.adapter.components[0].num_experts] is 0");
  config.num_experts = 4;
  config.top_k = 5;
  expect_refused(config, "[stage.adapter.components[0].top_k] is 5");
  config.top_k = 4;
  config.load_balance_coefficient = -1;
  expect_refused(config, "load_balance_coefficient");
  config = component("molora");
  config.rank = -1;
  expect_refused(config, "rank] is -1");
  config.rank = 1;
  config.dropout_rate = 1;
  expect_refused(config, "dropout_rate] is 1");
  config = component("prompt");
  config.num_virtual_tokens = 0;
  expect_refused(config, "num_virtual_tokens");
}

TEST(PeftConfig, RefusesKeysThatTheKindHasNoUseFor) {
  ComponentConfig config = component("ia3");
  config.rank = 8;
  expect_refused(config, "rank] is set, but 'ia3' has no use for it");
  config = component("lora");
  config.num_experts = 3;
  expect_refused(config, "num_experts] is set, but 'lora'");
  config = component("mov");
  config.sentence_dim = 8;
  expect_refused(config, "sentence_dim");
  config.router_input = RouterInput::Sentence;
  EXPECT_NO_THROW(validate({{config}}, "stage.adapter"));
}

nn::Sites named(const std::vector<std::string>& names) {
  nn::Sites sites;
  for (const std::string& name : names) sites.emplace_back().name = name;
  return sites;
}

std::vector<std::string> choose(const std::vector<std::string>& patterns) {
  static const nn::Sites sites =
      named({"shared", "encoder.block.0.layer.0.SelfAttention.q",
             "encoder.block.0.layer.0.SelfAttention.k", "decoder.block.0.layer.1.EncDecAttention.k",
             "encoder.block.0.layer.1.DenseReluDense.wi_0"});
  std::vector<std::string> names;
  for (const nn::Site* site : choose_sites(sites, patterns, "adapter.sites"))
    names.push_back(site->name);
  return names;
}

TEST(ChooseSites, ByTheEndOfANameOrARegex) {
  EXPECT_EQ(choose({"k"}).size(), 2u);
  EXPECT_EQ(choose({"SelfAttention.k"}).size(), 1u);
  EXPECT_EQ(choose({"shared"}).size(), 1u);
  EXPECT_EQ(choose({"/encoder.*(q|wi_0)$/"}).size(), 2u);
  EXPECT_EQ(choose({"k", "/Attention/"}).size(), 3u);
}

TEST(ChooseSites, NamesTheNearestOfAPatternThatMatchesNothing) {
  expect_error(ErrorCode::InvalidConfig, "'wi_O' matches no module", [] { choose({"k", "wi_O"}); });
  expect_error(ErrorCode::InvalidConfig, "wi_0", [] { choose({"wi_O"}); });
  expect_error(ErrorCode::InvalidConfig, "no regular expression", [] { choose({"/(/"}); });
}

}  // namespace
}  // namespace flanmoe::peft
