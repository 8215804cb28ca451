// Components as they are written on a command line.
#include "peft/spec.h"

#include <gtest/gtest.h>

#include "peft/registry.h"
#include "support/expect_error.h"

namespace flanmoe::peft {
namespace {

TEST(Spec, ReadsKindAndKeys) {
  const ComponentConfig component =
      parse_component("lora,sites=SelfAttention.q|wo,rank=8,alpha=3.5,dropout_rate=0.1");
  EXPECT_EQ(component.kind, "lora");
  EXPECT_EQ(component.sites, (std::vector<std::string>{"SelfAttention.q", "wo"}));
  EXPECT_EQ(component.rank, 8);
  EXPECT_EQ(component.alpha, 3.5);
  EXPECT_EQ(component.dropout_rate, 0.1);
  EXPECT_EQ(component.num_experts, ComponentConfig().num_experts);
}

TEST(Spec, TakesIntegersForNumbersAndNamesForChoices) {
  const ComponentConfig component = parse_component("mov,alpha=3,router_input=sentence");
  EXPECT_EQ(component.alpha, 3);
  EXPECT_EQ(component.router_input, RouterInput::Sentence);
}

TEST(Spec, KeepsCommasAndBarsInsideRegularExpressions) {
  const ComponentConfig component = parse_component("ia3,sites=/a{1,2}|b/|k|/wo$/,rank=2");
  EXPECT_EQ(component.sites, (std::vector<std::string>{"/a{1,2}|b/", "k", "/wo$/"}));
  EXPECT_EQ(component.rank, 2);
}

TEST(Spec, IsWrittenAsItIsRead) {
  for (const char* text :
       {"ia3", "lora,sites=q|/wo$/,rank=8,dropout_rate=0.25",
        "mov,num_experts=60,top_k=2,router_input=block,load_balance_coefficient=0.01"})
    EXPECT_EQ(to_spec(parse_component(text)), text);
  EXPECT_EQ(to_spec(Config{{parse_component("ia3"), parse_component("lora,rank=2")}}),
            "ia3 + lora,rank=2");
}

TEST(Spec, NamesWhatIsWrong) {
  const struct {
    const char *text, *part, *other;
  } cases[] = {{"", "expected KIND", "--adapter"},
               {"rank=4", "expected KIND", "rank=4"},
               {"lora,rnak=4", "did you mean 'rank'", "lora,rnak=4"},
               {"lora,rank", "expected key=value", "'rank'"},
               {"lora,rank=", "expected key=value", "'rank='"},
               {"lora,rank=four", "rank", "integer"},
               {"lora,rank=4,rank=5", "'rank' is given twice", ""},
               {"mov,router_input=blok", "did you mean 'block'", "router_input"},
               {"lora,a.b=3", "unknown key", "a.b"}};
  for (const auto& [text, part, other] : cases) {
    const std::string message =
        error_of(ErrorCode::InvalidConfig, [&] { (void)parse_component(text); });
    EXPECT_CONTAINS(message, part);
    EXPECT_CONTAINS(message, other);
  }
}

TEST(Spec, JudgesNumbersOfWholeAdapters) {
  expect_error(ErrorCode::InvalidConfig, "did you mean 'lora'",
               [] { (void)parse_components({"lroa"}); });
  expect_error(ErrorCode::InvalidConfig, "--adapter.components[1].rank", [] {
    (void)parse_components({"ia3", "lora,rank=0"});
  });
  const std::string kind = kind_registry().contains("mov") ? "mov" : "lora";
  expect_error(ErrorCode::InvalidConfig, "num_experts",
               [&] { (void)parse_components({kind + ",num_experts=-1"}); });
  expect_error(ErrorCode::InvalidConfig, "top_k] is 3",
               [&] { (void)parse_components({kind + ",num_experts=2,top_k=3"}); });
  expect_error(ErrorCode::InvalidConfig, "no component", [] { (void)parse_components({}); });
}

}  // namespace
}  // namespace flanmoe::peft
