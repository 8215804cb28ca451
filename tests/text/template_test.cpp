#include "text/template.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/expect_error.h"

namespace flanmoe::text {
namespace {

TEST(Template, PutsFieldsIntoTheText) {
  const Template source("{premise}\nDoes it follow that {hypothesis}? {premise}");
  EXPECT_EQ(source.render({{"premise", "It rains."}, {"hypothesis", "it is wet"}, {"unused", "x"}}),
            "It rains.\nDoes it follow that it is wet? It rains.");
  EXPECT_EQ(source.field_names(), (std::vector<std::string>{"premise", "hypothesis"}));
}

TEST(Template, DoubledBracesAreBraces) {
  EXPECT_EQ(Template("{{{a}}} }}{{").render({{"a", "x"}}), "{x} }{");
  EXPECT_EQ(Template("").render({}), "");
  EXPECT_EQ(Template("no fields").render({}), "no fields");
}

TEST(Template, ValuesAreNotReadAgain) {
  EXPECT_EQ(Template("{a}").render({{"a", "{b} {{"}}), "{b} {{");
}

TEST(Template, RefusesWhatIsNotAField) {
  EXPECT_NE(error_of(ErrorCode::InvalidConfig, [] { Template("ask {question", "tasks/x.toml:3"); })
                .find("tasks/x.toml:3: "),
            std::string::npos);
  error_of(ErrorCode::InvalidConfig, [] { Template("a } b"); });
  error_of(ErrorCode::InvalidConfig, [] { Template("a {} b"); });
  error_of(ErrorCode::InvalidConfig, [] { Template("{\"key\": 1}"); });
  error_of(ErrorCode::InvalidConfig, [] { Template("{"); });
  error_of(ErrorCode::InvalidConfig, [] { Template("}"); });
}

TEST(Template, NamesTheFieldThatIsMissingAndTheNearest) {
  const std::string message = error_of(ErrorCode::NotFound, [] {
    (void)Template("{hypotesis}").render({{"hypothesis", "x"}, {"premise", "y"}});
  });
  EXPECT_NE(message.find("'hypotesis'"), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean 'hypothesis'"), std::string::npos) << message;
  error_of(ErrorCode::NotFound, [] { (void)Template("{a}").render({}); });
}

}  // namespace
}  // namespace flanmoe::text
