// An example as token ids.
#pragma once

#include <cstdint>
#include <vector>

namespace flanmoe::data {

// Token ids, each list with </s> at its end.
struct TokenizedExample {
  uint64_t key = 0;  // identity for keyed noise: hash of source, id and epoch
  std::vector<int32_t> inputs;
  std::vector<int32_t> targets;
};

}  // namespace flanmoe::data
