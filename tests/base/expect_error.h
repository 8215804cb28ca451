// The message and code of the Error that a call throws.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace flanmoe {

// The message, or a text that no expectation matches where nothing (or another type) is thrown or
// the code differs.
template <class Call>
std::string error_of(ErrorCode code, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    if (error.code() == code) return error.what();
    return "<threw " + std::string(to_string(error.code())) + ": " + error.what() + ">";
  } catch (const std::exception& error) {
    return std::string("<threw no Error: ") + error.what() + ">";
  }
  return "<threw nothing>";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace flanmoe

#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(::flanmoe::contains, (text), (part))
