// The message and code of the Error that a call throws, and expectations of them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace flanmoe {

// The message of the Error that `call` throws. Anything else, and another code, fails the test.
template <class Call>
std::string error_of(ErrorCode code, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw no Error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "threw nothing";
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// An Error with this code and this part of a message.
template <class Call>
void expect_error(ErrorCode code, const std::string& part, const Call& call) {
  const std::string message = error_of(code, call);
  EXPECT_PRED2(contains, message, part);
}

}  // namespace flanmoe

#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(::flanmoe::contains, (text), (part))
