// The architecture of an encoder-decoder, dense or sparse, and its config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/json_fwd.h"
#include "moe/config.h"

namespace flanmoe::model {

enum class FeedForwardKind { Relu, GatedGelu };

}  // namespace flanmoe::model

template <>
struct flanmoe::EnumNames<flanmoe::model::FeedForwardKind> {
  static constexpr std::pair<model::FeedForwardKind, std::string_view> values[] = {
      {model::FeedForwardKind::Relu, "relu"}, {model::FeedForwardKind::GatedGelu, "gated-gelu"}};
};

namespace flanmoe::model {

struct ModelConfig {
  int64_t vocab_size = 32128;
  int64_t d_model = 512;
  int64_t d_kv = 64;
  int64_t d_ff = 1024;
  int64_t num_layers = 8;
  int64_t num_decoder_layers = 8;
  int64_t num_heads = 6;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double dropout_rate = 0.1;
  double layer_norm_epsilon = 1e-6;
  FeedForwardKind feed_forward = FeedForwardKind::GatedGelu;
  bool has_tied_embeddings = false;     // one matrix for input and output
  bool scales_decoder_outputs = false;  // hidden * d_model^-0.5 before the output matrix
  int64_t pad_token_id = 0;
  int64_t eos_token_id = 1;
  int64_t decoder_start_token_id = 0;

  moe::Config moe;                             // of the encoder; read only where a layer is sparse
  moe::Config decoder_moe = moe;               // of the decoder
  std::vector<int64_t> encoder_sparse_layers;  // indices of MoE layers; both empty: a dense model
  std::vector<int64_t> decoder_sparse_layers;

  bool is_sparse() const {
    return !encoder_sparse_layers.empty() || !decoder_sparse_layers.empty();
  }

  const moe::Config& moe_of(bool is_decoder) const { return is_decoder ? decoder_moe : moe; }
  // Sets both stacks' sparse layers; the decoder's are moe::decoder_default().
  void set_moe(const moe::Config& config) {
    moe = config;
    decoder_moe = moe::decoder_default(config);
  }

  // Whether a router looks at what stands at padding.
  bool counts_padding() const {
    return is_sparse() && (moe.padding == moe::PaddingRule::Counted ||
                           decoder_moe.padding == moe::PaddingRule::Counted);
  }

  template <class Visitor>
  void visit(Visitor& v) {
    v("vocab_size", vocab_size, "rows of the embedding");
    v("d_model", d_model, "width of the residual stream");
    v("d_kv", d_kv, "width of an attention head");
    v("d_ff", d_ff, "width of the feed-forward block (of one expert)");
    v("num_layers", num_layers, "encoder blocks");
    v("num_decoder_layers", num_decoder_layers, "decoder blocks");
    v("num_heads", num_heads, "attention heads");
    v("relative_attention_num_buckets", relative_attention_num_buckets,
      "buckets of the relative position bias");
    v("relative_attention_max_distance", relative_attention_max_distance,
      "distances from here on share a bucket");
    v("dropout_rate", dropout_rate, "dropout in training");
    v("layer_norm_epsilon", layer_norm_epsilon, "epsilon of the RMS norms");
    v("feed_forward", feed_forward, "relu (T5 v1.0) or gated-gelu (T5 v1.1)");
    v("has_tied_embeddings", has_tied_embeddings, "the output matrix is the embedding");
    v("scales_decoder_outputs", scales_decoder_outputs,
      "multiply the last hidden state by d_model^-0.5");
  }
};

// A named published size: "t5-v1_1-small", "flan-t5-small", "flan-t5-base", "-large", "-xl",
// "-xxl", "t5-small", "t5-base", "mt5-small", ... Throws NotFound with the nearest name.
ModelConfig named_size(const std::string& name);
std::vector<std::string> size_names();

// From a Hugging Face config.json (t5, mt5, umt5-like refused, switch_transformers, or one that we
// wrote). Throws, naming file and key, Unsupported on an unknown architecture or an activation we
// lack, InvalidConfig on a missing or wrong key.
ModelConfig parse_hf_config(const Json& json, const std::string& where);
// Dense T5 and Switch top-1 with ungated experts are written so that `transformers` loads them; all
// else adds documented `flanmoe_*` keys.
Json to_hf_config(const ModelConfig& config);
Json to_hf_generation_config(const ModelConfig& config);
// Whether transformers' SwitchTransformers computes this model in evaluation: top-1, raw weights,
// ungated experts as wide as the dense blocks, an absolute capacity a row or none, the same in both
// stacks, sparse layers in both, regularly spaced, and outputs scaled where embeddings are tied.
bool is_switch_expressible(const ModelConfig& config);
// Throws InvalidConfig where sizes do not go together (zero, negative, heads, sparse layer past the
// end, top_k > num_experts).
void validate(const ModelConfig& config, const std::string& where);

}  // namespace flanmoe::model
