// The encoder or the decoder: blocks of attention and feed-forward around a residual stream. It
// does not know dense from sparse blocks.
//
// Shape letters: B rows, L length, K memory length, D model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/attention.h"
#include "nn/feed_forward.h"

namespace flanmoe::nn {

struct StackConfig {
  std::string name;  // "encoder" or "decoder"
  bool is_decoder = false;
  int64_t num_layers = 0;
  AttentionConfig attention;
  int64_t num_buckets = 32;
  int64_t max_distance = 128;
  double dropout_rate = 0;
  double layer_norm_epsilon = 1e-6;
};

class Stack {
 public:
  // `make_extra`, where given, may make a second feed-forward sublayer with a norm and a residual
  // of its own behind that of a layer, or return nothing.
  Stack(const StackConfig& config, const MakeFeedForward& make_feed_forward,
        const at::TensorOptions& options, const MakeFeedForward& make_extra = {});
  ~Stack();

  // Embedded tokens x_BLD -> final-normed hidden states [B, L, D]. memory_BKD is the encoder's
  // output (decoder only; may be undefined when context.cache holds its keys). Losses go to
  // context.auxiliary. `block_inputs`, where given, takes the residual stream before every block.
  at::Tensor forward(at::Tensor x_BLD, const at::Tensor& memory_BKD, const Context& context,
                     std::vector<at::Tensor>* block_inputs = nullptr) const;
  void collect(Parameters& parameters) const;
  void collect_sites(Sites& sites);

 private:
  struct FeedForwardSublayer;
  struct Block;
  struct Kept;
  at::Tensor drop(const at::Tensor& x, uint64_t site, const Context& context) const;
  at::Tensor add_dropped(const at::Tensor& residual, const at::Tensor& x, uint64_t site,
                         const Context& context) const;
  at::Tensor run_block(size_t index, at::Tensor x_BLD, const at::Tensor& bias_HQK,
                       const at::Tensor& memory_BKD, const Context& context) const;
  at::Tensor run_recomputed_block(size_t index, const at::Tensor& x_BLD, const at::Tensor& bias_HQK,
                                  const at::Tensor& memory_BKD,
                                  const std::shared_ptr<Kept>& kept) const;

  StackConfig config_;
  std::vector<std::unique_ptr<Block>> blocks_;
  at::Tensor relative_attention_bias_NH_;  // [buckets, H], at least fp32
  RmsNorm final_layer_norm_;
  uint64_t input_site_, output_site_;
};

}  // namespace flanmoe::nn
