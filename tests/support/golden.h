// Expected values from a pinned reference: tests/golden/<case> (its README says how they were
// made).
#pragma once

#include <string>

#include "base/json.h"
#include "checkpoint/named_tensors.h"

namespace flanmoe::testing {

struct Golden {
  std::string folder;
  Json expected;                     // expected.json
  checkpoint::NamedTensors tensors;  // expected.safetensors

  const at::Tensor& operator[](const std::string& name) const { return tensors.at(name); }
};

inline std::string golden_folder(const std::string& name) {
  return std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/" + name;
}

inline Golden load_golden(const std::string& name) {
  const std::string folder = golden_folder(name);
  return {folder, load_json(folder + "/expected.json"),
          checkpoint::load_safetensors(folder + "/expected.safetensors")};
}

}  // namespace flanmoe::testing
