// What is handed down a forward pass and is not a parameter.
//
// Shape letters: B rows, L length, N real tokens of the batch, D model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "ops/routing.h"

namespace flanmoe::nn {

class KvCache;

// One side (encoder or decoder) of a batch of rows.
struct TokenLayout {
  int64_t num_rows = 0;
  int64_t length = 0;
  at::Tensor segment_ids_BL;  // int64; 0 is padding; several segments a row when packed
  at::Tensor positions_BL;    // int64, position inside the segment
  at::Tensor token_keys_BL;   // int64, identity of a token for keyed noise: example key mixed with
                              // the position inside the segment
  at::Tensor real_index_N;    // int64 [N], flattened index of every real token, rising
  bool has_padding = false;
  bool is_packed = false;  // some row holds more than one segment

  int64_t num_real_tokens() const { return real_index_N.size(0); }
};

// An int64 tensor's elements, wherever it lies.
std::vector<int64_t> to_host(const at::Tensor& values);

// `example_keys` [B, S], well mixed: that of segment s of a row at s - 1, S at least the number of
// segments of any row (none: made from the row's number). Undefined segment ids: no padding, one
// segment a row. Undefined positions: counted from the start of every segment. Throws ShapeMismatch
// where a segment has no key.
TokenLayout make_layout(int64_t num_rows, int64_t length, const at::Tensor& segment_ids_BL = {},
                        const at::Tensor& positions_BL = {},
                        const std::vector<uint64_t>& example_keys = {},
                        const at::Device& device = at::kCPU);

// Takes the statistics of every routing of a pass; `layer` is the parameter prefix
// ("encoder.block.1.layer.1").
class RoutingSink {
 public:
  virtual ~RoutingSink() = default;
  virtual void record(const std::string& layer, const ops::Routing& routing) = 0;
  // The same with whose the routed tokens are: `index_N` int64 [N], flattened index of every routed
  // token in `tokens`.
  virtual void record_rows(const std::string& /*layer*/, const ops::Routing& /*routing*/,
                           const at::Tensor& /*index_N*/, const TokenLayout& /*tokens*/) {}
  // Weights of a merging router of an adapter at `site` ("decoder.block.5.layer.2.DenseReluDense.
  // act"): [B, L, experts], or [B, L, heads, experts], of the tokens of `tokens`, padding included;
  // fp32 (fp64), what top-k leaves out is 0. Inside experts the assignments are one row of tokens.
  virtual void record_merging(const std::string& /*site*/, const at::Tensor& /*weights*/,
                              const TokenLayout& /*tokens*/) {}
};

// Takes the residual stream of a pass as it stands before the first block ("encoder.input"), behind
// every sublayer ("encoder.block.1.layer.0") and at the end ("encoder.final_layer_norm").
class ActivationSink {
 public:
  virtual ~ActivationSink() = default;
  virtual void record(const std::string& place, const at::Tensor& x_BLD) = 0;
};

// Rates of training that take the place of those in the model's config.
struct Regularisation {
  std::optional<double> dropout_rate;         // all but inside experts
  std::optional<double> expert_dropout_rate;  // of the activated value inside experts
  std::optional<double> jitter;               // of the router's input
};

// A loss besides cross-entropy that a module asks for; the training loss adds coefficient * value.
struct AuxiliaryLoss {
  std::string name;  // "load_balance_loss", "z_loss"
  std::string layer;
  at::Tensor value;  // scalar, fp32
  double coefficient = 0;
  std::vector<at::Tensor> factors;  // what pooling over layers needs (moe::reduce_over_layers)
  bool is_of_memory = false;        // in a decoder: a mean over the encoder's tokens
};

struct Auxiliary {
  std::vector<AuxiliaryLoss> losses;
  void append(Auxiliary&& other) {
    for (auto& loss : other.losses) losses.push_back(std::move(loss));
  }
};

// Which rows of a batch use which adapter.
struct AdapterRows {
  int64_t adapter = 0;  // its number in the model
  at::Tensor rows_R;    // int64, rising; undefined: all rows
};

struct Context {
  bool is_training = false;                   // dropout, jitter, training capacity
  at::ScalarType compute_dtype = at::kFloat;  // parameters are cast to it where they are used
  uint64_t seed = 0;                          // with `step`, the key of all noise
  int64_t step = 0;
  Regularisation regularisation;
  const TokenLayout* tokens = nullptr;         // of the stack that computes
  at::Tensor token_ids_BL;                     // int64, the stack's input
  const TokenLayout* memory_tokens = nullptr;  // of the encoder's output, in a decoder
  bool computes_padding = false;   // padding positions get the values that transformers computes at
                                   // them: they attend to real keys, in a decoder to all earlier
                                   // ones. Not for packed rows
  bool recomputes_blocks = false;  // a block keeps its input alone for the backward pass, which
                                   // computes the rest anew (ops::recompute)
  // Outside of training: experts drop what is above the capacity of the model's config. False:
  // every request is served, what competes for experts are the tokens of one sequence alone, and
  // padding is not routed, so that an example's values do not depend on its batch.
  bool uses_capacity = true;
  KvCache* cache = nullptr;  // none: the whole sequence at once
  RoutingSink* routing_sink = nullptr;
  ActivationSink* activation_sink = nullptr;
  // The adapter of every row by its number in the model, -1 for the base alone; none: all rows use
  // the model's active adapter.
  std::optional<std::vector<int64_t>> adapter_of_row;
  std::vector<AdapterRows> adapters;  // of the pass; set by the model from `adapter_of_row`
  // For routers that look at sentences: fp32, that of segment s of a row at s - 1. Given by the
  // caller, or undefined: then every Model::encode() sets the computed ones where an adapter wants
  // them, and decoding uses these. Who reorders the rows of a decoder reorders them too.
  at::Tensor sentence_vectors_BSD, computed_sentence_vectors_BSD;
  Auxiliary* auxiliary = nullptr;  // takes the losses that deltas ask for; set by the callee

  RandomKey noise_key(RandomPurpose purpose, uint64_t site) const {
    return RandomKey(seed, purpose).fold(site).fold(static_cast<uint64_t>(step));
  }
};

// The number of a place that draws noise, from its parameter prefix and what it is
// ("encoder.block.1.layer.0.output").
uint64_t noise_site(const std::string& name);

}  // namespace flanmoe::nn
