#include "model/config.h"

#include <algorithm>

#include "base/json.h"
#include "base/nearest.h"
#include "moe/router.h"

namespace flanmoe::model {
namespace {

// Our own key in config.json: everything about the sparse layers that Switch's keys cannot say.
constexpr const char* kOwnKey = "flanmoe";

class HfConfigReader {
 public:
  HfConfigReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail(ErrorCode::InvalidConfig, "{}: expected a JSON object", where_);
  }

  int64_t integer(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end())
      fail(ErrorCode::InvalidConfig, "{}: key '{}' is missing", where_, key);
    if (!found->is_number_integer())
      fail(ErrorCode::InvalidConfig, "{}: key '{}': expected an integer, found {}", where_, key,
           found->dump());
    return found->get<int64_t>();
  }
  int64_t integer(const char* key, int64_t fallback) const {
    return has(key) ? integer(key) : fallback;
  }
  double number(const char* key, double fallback) const {
    if (!has(key)) return fallback;
    if (!json_[key].is_number())
      fail(ErrorCode::InvalidConfig, "{}: key '{}': expected a number, found {}", where_, key,
           json_[key].dump());
    return json_[key].get<double>();
  }
  bool boolean(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!json_[key].is_boolean())
      fail(ErrorCode::InvalidConfig, "{}: key '{}': expected true or false, found {}", where_, key,
           json_[key].dump());
    return json_[key].get<bool>();
  }
  std::string text(const char* key, const std::string& fallback) const {
    if (!has(key)) return fallback;
    if (!json_[key].is_string())
      fail(ErrorCode::InvalidConfig, "{}: key '{}': expected a string, found {}", where_, key,
           json_[key].dump());
    return json_[key].get<std::string>();
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

FeedForwardKind parse_feed_forward(const HfConfigReader& reader) {
  const std::string name = reader.text("feed_forward_proj", "relu");
  if (name == "relu") return FeedForwardKind::Relu;
  if (name == "gated-gelu" || name == "gated-gelu_new") return FeedForwardKind::GatedGelu;
  fail(ErrorCode::Unsupported,
       "{}: key 'feed_forward_proj': found '{}', expected 'relu' or 'gated-gelu'", reader.where(),
       name);
}

// HF: layer i is sparse iff i % step == 1, or every layer where step is 1; the step of a stack
// "without" sparse layers is its depth, which makes its layer 1 sparse.
std::vector<int64_t> switch_sparse_layers(int64_t num_layers, int64_t num_sparse) {
  std::vector<int64_t> layers;
  const int64_t step = num_sparse > 0 ? num_layers / num_sparse : num_layers;
  if (step == 0) return layers;
  for (int64_t i = 0; i < num_layers; ++i)
    if (step == 1 || i % step == 1) layers.push_back(i);
  return layers;
}

struct OwnConfig {
  moe::Config moe, decoder_moe;
  std::vector<int64_t> encoder_sparse_layers, decoder_sparse_layers;
  template <class Visitor>
  void visit(Visitor& v) {
    v("moe", moe, "the encoder's sparse layers");
    if (was_given(v, "moe")) decoder_moe = moe::decoder_default(moe);
    v("decoder_moe", decoder_moe, "the decoder's sparse layers");
    v("encoder_sparse_layers", encoder_sparse_layers, "indices of the encoder's sparse layers");
    v("decoder_sparse_layers", decoder_sparse_layers, "indices of the decoder's sparse layers");
  }
};

int64_t sparse_step(const std::vector<int64_t>& layers, int64_t num_layers) {
  return layers.empty() ? 0 : num_layers / static_cast<int64_t>(layers.size());
}

}  // namespace

bool is_switch_expressible(const ModelConfig& config) {
  const auto fits = [&](bool is_decoder, const std::vector<int64_t>& layers, int64_t num_layers) {
    const moe::Config& moe = config.moe_of(is_decoder);
    const bool has_its_capacity =
        moe.is_dropless ||
        (moe.capacity_rule == moe::CapacityRule::Absolute &&
         moe.group == moe::RoutingGroup::Sequence && moe.priority == moe::Priority::Position);
    return switch_sparse_layers(num_layers, static_cast<int64_t>(layers.size())) == layers &&
           (layers.empty() ||
            (moe.router == "switch" && moe.combine_weights == moe::CombineWeights::Raw &&
             has_its_capacity && !moe.has_extra_feed_forward &&
             (moe.expert_d_ff == 0 || moe.expert_d_ff == config.d_ff) &&
             moe.expert_feed_forward != moe::ExpertFeedForward::GatedGelu));
  };
  const bool has_one_capacity = config.moe.is_dropless == config.decoder_moe.is_dropless &&
                                config.moe.expert_capacity == config.decoder_moe.expert_capacity;
  return config.is_sparse() && config.feed_forward == FeedForwardKind::Relu && has_one_capacity &&
         config.scales_decoder_outputs == config.has_tied_embeddings &&
         config.moe.num_experts == config.decoder_moe.num_experts &&
         fits(false, config.encoder_sparse_layers, config.num_layers) &&
         fits(true, config.decoder_sparse_layers, config.num_decoder_layers);
}

ModelConfig parse_hf_config(const Json& json, const std::string& where) {
  const HfConfigReader reader(json, where);
  const std::string type = reader.text("model_type", "");
  static const std::vector<std::string> kKnown = {"t5", "mt5", "switch_transformers", "flanmoe"};
  if (std::find(kKnown.begin(), kKnown.end(), type) == kKnown.end())
    fail(ErrorCode::Unsupported, "{}: key 'model_type': unknown architecture '{}'{}", where, type,
         suggestion(type, kKnown));

  ModelConfig config;
  config.vocab_size = reader.integer("vocab_size");
  config.d_model = reader.integer("d_model");
  config.d_kv = reader.integer("d_kv");
  config.d_ff = reader.integer("d_ff");
  config.num_layers = reader.integer("num_layers");
  config.num_decoder_layers = reader.integer("num_decoder_layers", config.num_layers);
  config.num_heads = reader.integer("num_heads");
  config.relative_attention_num_buckets = reader.integer("relative_attention_num_buckets", 32);
  config.relative_attention_max_distance = reader.integer("relative_attention_max_distance", 128);
  config.dropout_rate = reader.number("dropout_rate", 0.1);
  config.layer_norm_epsilon = reader.number("layer_norm_epsilon", 1e-6);
  config.feed_forward = parse_feed_forward(reader);
  const bool is_tied = reader.boolean("tie_word_embeddings", true);
  config.scales_decoder_outputs = reader.boolean("scale_decoder_outputs", is_tied);
  // transformers 5 writes tie_word_embeddings = true on every T5 and the truth into
  // scale_decoder_outputs.
  config.has_tied_embeddings = is_tied && config.scales_decoder_outputs;
  config.pad_token_id = reader.integer("pad_token_id", 0);
  config.eos_token_id = reader.integer("eos_token_id", 1);
  config.decoder_start_token_id = reader.integer("decoder_start_token_id", config.pad_token_id);

  if (reader.has(kOwnKey)) {
    OwnConfig own;
    parse_config(from_json(json[kOwnKey], where), kOwnKey, own);
    config.moe = own.moe;
    config.decoder_moe = own.decoder_moe;
    config.encoder_sparse_layers = own.encoder_sparse_layers;
    config.decoder_sparse_layers = own.decoder_sparse_layers;
  } else if (type == "switch_transformers") {
    if (const std::string activation = reader.text("dense_act_fn", "relu"); activation != "relu")
      fail(ErrorCode::Unsupported, "{}: key 'dense_act_fn': found '{}', expected 'relu'", where,
           activation);
    moe::Config moe;
    moe.preset = moe::Preset::Hf;
    moe.router = "switch";
    moe.set_defaults();
    moe.num_experts = reader.integer("num_experts");
    moe.expert_capacity = reader.integer("expert_capacity", 64);
    moe.jitter = reader.number("router_jitter_noise", 0.01);
    moe.expert_dropout_rate = config.dropout_rate;
    moe.z_loss_coefficient = reader.number("router_z_loss_coef", 0.001);
    moe.load_balance_coefficient = reader.number("router_aux_loss_coef", 0.001);
    config.set_moe(moe);
    config.encoder_sparse_layers =
        switch_sparse_layers(config.num_layers, reader.integer("num_sparse_encoder_layers", 3));
    config.decoder_sparse_layers = switch_sparse_layers(
        config.num_decoder_layers, reader.integer("num_sparse_decoder_layers", 3));
  }
  validate(config, where);
  return config;
}

Json to_hf_config(const ModelConfig& config) {
  const bool is_gated = config.feed_forward == FeedForwardKind::GatedGelu;
  Json json;
  if (!config.is_sparse()) {
    json["architectures"] = {"T5ForConditionalGeneration"};
    json["model_type"] = "t5";
  } else if (is_switch_expressible(config)) {
    json["architectures"] = {"SwitchTransformersForConditionalGeneration"};
    json["model_type"] = "switch_transformers";
  } else {
    json["architectures"] = {"FlanmoeForConditionalGeneration"};
    json["model_type"] = "flanmoe";
    json["auto_map"] = {
        {"AutoConfig", "modeling_flanmoe.FlanmoeConfig"},
        {"AutoModelForSeq2SeqLM", "modeling_flanmoe.FlanmoeForConditionalGeneration"}};
  }
  json["is_encoder_decoder"] = true;
  json["vocab_size"] = config.vocab_size;
  json["d_model"] = config.d_model;
  json["d_kv"] = config.d_kv;
  json["d_ff"] = config.d_ff;
  json["num_layers"] = config.num_layers;
  json["num_decoder_layers"] = config.num_decoder_layers;
  json["num_heads"] = config.num_heads;
  json["relative_attention_num_buckets"] = config.relative_attention_num_buckets;
  json["relative_attention_max_distance"] = config.relative_attention_max_distance;
  json["dropout_rate"] = config.dropout_rate;
  json["layer_norm_epsilon"] = config.layer_norm_epsilon;
  json["initializer_factor"] = 1.0;
  json["feed_forward_proj"] = to_string(config.feed_forward);
  json["is_gated_act"] = is_gated;
  json["dense_act_fn"] = is_gated ? "gelu_new" : "relu";
  json["tie_word_embeddings"] = config.has_tied_embeddings;
  json["scale_decoder_outputs"] = config.scales_decoder_outputs;
  json["pad_token_id"] = config.pad_token_id;
  json["eos_token_id"] = config.eos_token_id;
  json["decoder_start_token_id"] = config.decoder_start_token_id;
  json["use_cache"] = true;
  json["torch_dtype"] = "float32";
  if (config.is_sparse()) {
    json["num_experts"] = config.moe.num_experts;
    // Switch knows only an absolute capacity; a dropless model needs one that no sequence reaches.
    json["expert_capacity"] =
        config.moe.is_dropless ? int64_t{1} << 20 : config.moe.expert_capacity;
    json["num_sparse_encoder_layers"] = config.encoder_sparse_layers.size();
    json["num_sparse_decoder_layers"] = config.decoder_sparse_layers.size();
    json["encoder_sparse_step"] = sparse_step(config.encoder_sparse_layers, config.num_layers);
    json["decoder_sparse_step"] =
        sparse_step(config.decoder_sparse_layers, config.num_decoder_layers);
    json["router_bias"] = false;
    json["router_dtype"] = "float32";
    json["router_jitter_noise"] = config.moe.jitter;
    json["router_z_loss_coef"] = config.moe.z_loss_coefficient;
    json["router_aux_loss_coef"] = config.moe.load_balance_coefficient;
    json[kOwnKey] = to_json(
        to_config_node(OwnConfig{config.moe, config.decoder_moe, config.encoder_sparse_layers,
                                 config.decoder_sparse_layers}));
  }
  return json;
}

Json to_hf_generation_config(const ModelConfig& config) {
  return {{"decoder_start_token_id", config.decoder_start_token_id},
          {"eos_token_id", config.eos_token_id},
          {"pad_token_id", config.pad_token_id}};
}

void validate(const ModelConfig& config, const std::string& where) {
  const auto expect_positive = [&](const char* key, int64_t value) {
    if (value <= 0)
      fail(ErrorCode::InvalidConfig, "{}: key '{}': expected a positive number, found {}", where,
           key, value);
  };
  expect_positive("vocab_size", config.vocab_size);
  expect_positive("d_model", config.d_model);
  expect_positive("d_kv", config.d_kv);
  expect_positive("d_ff", config.d_ff);
  expect_positive("num_layers", config.num_layers);
  expect_positive("num_decoder_layers", config.num_decoder_layers);
  expect_positive("num_heads", config.num_heads);
  expect_positive("relative_attention_num_buckets", config.relative_attention_num_buckets);
  if (config.dropout_rate < 0 || config.dropout_rate >= 1)
    fail(ErrorCode::InvalidConfig, "{}: key 'dropout_rate': expected a number in [0, 1), found {}",
         where, config.dropout_rate);
  if (!config.is_sparse()) return;
  if (!config.encoder_sparse_layers.empty()) moe::validate(config.moe, where + ": moe");
  if (!config.decoder_sparse_layers.empty())
    moe::validate(config.decoder_moe, where + ": decoder_moe");
  if (config.moe.layer_reduction != config.decoder_moe.layer_reduction)
    fail(ErrorCode::InvalidConfig,
         "{}: layer_reduction is '{}' in the encoder and '{}' in the decoder, expected one", where,
         to_string(config.moe.layer_reduction), to_string(config.decoder_moe.layer_reduction));
  const auto expect_layers = [&](const char* key, const std::vector<int64_t>& layers,
                                 int64_t num_layers) {
    for (size_t i = 0; i < layers.size(); ++i)
      if (layers[i] < 0 || layers[i] >= num_layers || (i > 0 && layers[i] <= layers[i - 1]))
        fail(ErrorCode::InvalidConfig, "{}: key '{}': layer {} is out of order or outside of 0..{}",
             where, key, layers[i], num_layers - 1);
  };
  expect_layers("encoder_sparse_layers", config.encoder_sparse_layers, config.num_layers);
  expect_layers("decoder_sparse_layers", config.decoder_sparse_layers, config.num_decoder_layers);
}

}  // namespace flanmoe::model
