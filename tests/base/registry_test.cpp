#include "base/registry.h"

#include <functional>

#include "support/expect_error.h"

namespace flanmoe {
namespace {

using Maker = std::function<int()>;

Registry<Maker> make_registry() {
  Registry<Maker> registry("router");
  registry.add("switch", [] { return 1; });
  registry.add("expert_choice", [] { return 2; });
  return registry;
}

TEST(Registry, GivesWhatWasAddedUnderTheName) {
  const auto registry = make_registry();
  EXPECT_EQ(registry.get("switch")(), 1);
  EXPECT_EQ(registry.get("expert_choice")(), 2);
  EXPECT_TRUE(registry.contains("switch"));
  EXPECT_FALSE(registry.contains("swich"));
}

TEST(Registry, ListsItsNamesSorted) {
  EXPECT_EQ(make_registry().names(), (std::vector<std::string>{"expert_choice", "switch"}));
}

TEST(Registry, RefusesANameTwice) {
  auto registry = make_registry();
  EXPECT_EQ(error_of(ErrorCode::Internal, [&] { registry.add("switch", [] { return 3; }); }),
            "[router] 'switch' is registered twice");
  EXPECT_EQ(registry.get("switch")(), 1);
}

TEST(Registry, AnswersAnUnknownNameWithTheNearest) {
  const auto registry = make_registry();
  EXPECT_EQ(error_of(ErrorCode::NotFound, [&] { registry.get("swich"); }),
            "[router] unknown router 'swich' (did you mean 'switch'?)");
  EXPECT_EQ(error_of(ErrorCode::NotFound, [&] { registry.get("gshard"); }),
            "[router] unknown router 'gshard' (one of: expert_choice, switch)");
}

}  // namespace
}  // namespace flanmoe
