// Expects an Error with a code and a part of its message.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace flanmoe::testing {

template <class Function>
void expect_error(ErrorCode code, const std::string& part, Function&& call) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace flanmoe::testing
