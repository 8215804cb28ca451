// `flanmoe eval --compare A.json B.json`: two evaluations that are there, in place of a new one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "options.h"

namespace flanmoe::apps {

struct CompareEvaluations {
  std::vector<std::string> sides;  // two, each files separated by commas; empty: not asked for

  // --compare. MODEL, which must be there already, is no longer required.
  void add_to(Options& options);
  bool is_given() const { return !sides.empty(); }
  // Prints the comparison, or with is_json its document; that goes to the file `out` too, unless it
  // is "". Throws InvalidArgument for options that an evaluation alone has.
  void run(uint64_t seed, bool is_json, const std::string& out) const;

 private:
  CLI::App* app_ = nullptr;
};

}  // namespace flanmoe::apps
