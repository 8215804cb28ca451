// Named parameters with tags. Freezing, learning-rate groups, factored optimizers and sharding read
// tags, not names.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace flanmoe::nn {

struct ParameterTags {
  bool is_router = false;
  bool is_embedding = false;
  bool is_norm = false;
  bool is_adapter = false;
  bool is_relative_bias = false;
  bool is_multiplied = false;  // used in one matrix product a pass and nothing else
  int expert_axis = -1;        // >= 0: stacked experts along this axis
  bool is_expert() const { return expert_axis >= 0; }
};

struct Parameter {
  std::string name;   // as on disk, except stacked experts ("...mlp.experts.wi_0.weight" [E, F, D])
  at::Tensor tensor;  // the leaf itself; shares storage with the module
  ParameterTags tags;
};

using Parameters = std::vector<Parameter>;

// Number of elements.
int64_t num_elements(const Parameters& parameters);

}  // namespace flanmoe::nn
