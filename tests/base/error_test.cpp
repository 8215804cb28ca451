#include "base/error.h"

#include <gtest/gtest-spi.h>

#include <set>

#include "support/expect_error.h"

namespace flanmoe {
namespace {

constexpr ErrorCode kAllCodes[] = {ErrorCode::InvalidArgument,
                                   ErrorCode::InvalidConfig,
                                   ErrorCode::ShapeMismatch,
                                   ErrorCode::NotFound,
                                   ErrorCode::CorruptFile,
                                   ErrorCode::Unsupported,
                                   ErrorCode::Io,
                                   ErrorCode::OutOfMemory,
                                   ErrorCode::NonFinite,
                                   ErrorCode::Interrupted,
                                   ErrorCode::Internal};

TEST(Error, CarriesItsCodeAndAFormattedMessage) {
  EXPECT_EQ(error_of(ErrorCode::ShapeMismatch,
                     [] { fail(ErrorCode::ShapeMismatch, "found {}, expected {}", 3, 4); }),
            "found 3, expected 4");
}

TEST(Error, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const ErrorCode code : kAllCodes) names.insert(to_string(code));
  EXPECT_EQ(names.size(), std::size(kAllCodes));
  EXPECT_EQ(names.count("?"), 0u);
}

TEST(Error, ExitsWithTwoForWrongInputAndOneForFailures) {
  EXPECT_EQ(exit_code(ErrorCode::InvalidConfig), 2);
  EXPECT_EQ(exit_code(ErrorCode::NotFound), 2);
  EXPECT_EQ(exit_code(ErrorCode::CorruptFile), 2);
  EXPECT_EQ(exit_code(ErrorCode::Io), 1);
  EXPECT_EQ(exit_code(ErrorCode::NonFinite), 1);
  EXPECT_EQ(exit_code(ErrorCode::Interrupted), 1);
  EXPECT_EQ(exit_code(ErrorCode::Internal), 1);
}

TEST(Error, AssertionSaysTheConditionAndTheFile) {
  const std::string message = error_of(ErrorCode::Internal, [] { FLANMOE_ASSERT(1 + 1 == 3); });
  EXPECT_CONTAINS(message, "1 + 1 == 3");
  EXPECT_CONTAINS(message, "error_test.cpp:");
  EXPECT_NO_THROW([] { FLANMOE_ASSERT(1 + 1 == 2); }());
}

TEST(ErrorOf, ObjectsToAnotherCodeAndToNoErrorAtAll) {
  EXPECT_NONFATAL_FAILURE(error_of(ErrorCode::Io, [] { fail(ErrorCode::NotFound, "x"); }), "x");
  EXPECT_NONFATAL_FAILURE(error_of(ErrorCode::Io, [] { throw std::logic_error("x"); }),
                          "threw no Error: x");
  EXPECT_NONFATAL_FAILURE(error_of(ErrorCode::Io, [] {}), "threw nothing");
}

}  // namespace
}  // namespace flanmoe
