// config.json in and out, the named sizes, parameters and FLOPs counted from a config.
#include "model/config.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/accounting.h"
#include "model/model.h"
#include "moe/router.h"
#include "peft/adapter.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

std::string text(const ModelConfig& config) {
  Json json = to_json(to_config_node(config));
  json["pad"] = config.pad_token_id;
  json["eos"] = config.eos_token_id;
  json["start"] = config.decoder_start_token_id;
  json["encoder"] = config.encoder_sparse_layers;
  json["decoder"] = config.decoder_sparse_layers;
  if (config.is_sparse()) {
    json["moe"] = to_json(to_config_node(config.moe));
    json["decoder_moe"] = to_json(to_config_node(config.decoder_moe));
  }
  return json.dump(1);
}

ModelConfig v1_0_config() {
  ModelConfig config = testing::tiny_config();
  config.feed_forward = FeedForwardKind::Relu;
  config.has_tied_embeddings = config.scales_decoder_outputs = true;
  return config;
}

ModelConfig switch_config() {
  ModelConfig config = v1_0_config();
  config.num_layers = 4;
  config.encoder_sparse_layers = {1, 3};
  config.decoder_sparse_layers = {1};
  moe::Config moe;
  moe.preset = moe::Preset::Hf;
  moe.router = "switch";
  moe.set_defaults();
  moe.num_experts = 3;
  moe.expert_capacity = 17;
  moe.jitter = 0.03;
  moe.expert_dropout_rate = config.dropout_rate;
  config.set_moe(moe);
  return config;
}

std::vector<ModelConfig> every_form() {
  std::vector<ModelConfig> forms = {testing::tiny_config(), v1_0_config(),
                                    testing::tiny_sparse_config(), switch_config()};
  ModelConfig config = testing::tiny_sparse_config();
  config.num_layers = 3;
  config.num_decoder_layers = 4;
  config.encoder_sparse_layers = {};
  config.decoder_sparse_layers = {0, 3};
  config.feed_forward = FeedForwardKind::Relu;
  config.moe.is_dropless = false;
  config.moe.eval_capacity_factor = 1.75;
  config.moe.load_balance_coefficient = 0.125;
  config.set_moe(config.moe);
  config.decoder_moe.router = "expert-choice";
  config.decoder_moe.has_extra_feed_forward = true;
  config.decoder_moe.expert_d_ff = 12;
  config.dropout_rate = 0.05;
  config.layer_norm_epsilon = 1e-5;
  config.relative_attention_num_buckets = 16;
  config.relative_attention_max_distance = 64;
  forms.push_back(config);
  ModelConfig scaled = testing::tiny_config();
  scaled.scales_decoder_outputs = true;
  scaled.pad_token_id = 3;
  scaled.eos_token_id = 4;
  scaled.decoder_start_token_id = 5;
  forms.push_back(scaled);
  return forms;
}

Json t5_json() {
  return to_hf_config(testing::tiny_config());
}

// ---- reading and writing

TEST(HfConfig, ReadsBackWhatItWrote) {
  for (const ModelConfig& config : every_form())
    EXPECT_EQ(text(parse_hf_config(to_hf_config(config), "x")), text(config));
}

TEST(HfConfig, IsReadableByTransformersWhereItCanBe) {
  EXPECT_EQ(to_hf_config(testing::tiny_config())["model_type"], "t5");
  EXPECT_EQ(to_hf_config(v1_0_config())["model_type"], "t5");
  EXPECT_EQ(to_hf_config(switch_config())["model_type"], "switch_transformers");
  EXPECT_EQ(to_hf_config(testing::tiny_sparse_config())["model_type"], "flanmoe");
  for (const ModelConfig& config : every_form())
    EXPECT_EQ(is_switch_expressible(config), text(config) == text(switch_config()));
}

TEST(HfConfig, IsSwitchsOnlyWhereTransformersComputesTheSame) {
  const auto is_switchs = [](void (*change)(ModelConfig&)) {
    ModelConfig config = switch_config();
    change(config);
    return is_switch_expressible(config);
  };
  EXPECT_TRUE(is_switchs([](ModelConfig&) {}));
  EXPECT_TRUE(
      is_switchs([](ModelConfig& c) { c.moe.is_dropless = c.decoder_moe.is_dropless = true; }));
  EXPECT_TRUE(
      is_switchs([](ModelConfig& c) { c.has_tied_embeddings = c.scales_decoder_outputs = false; }));
  // it drops by an absolute capacity a row
  EXPECT_FALSE(
      is_switchs([](ModelConfig& c) { c.moe.capacity_rule = moe::CapacityRule::PerToken; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.moe.group = moe::RoutingGroup::Batch; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.moe.priority = moe::Priority::Probability; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.moe.is_dropless = true; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.decoder_moe.expert_capacity = 18; }));
  EXPECT_FALSE(
      is_switchs([](ModelConfig& c) { c.moe.combine_weights = moe::CombineWeights::Normalised; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.scales_decoder_outputs = false; }));
  // a decoder of two layers and no sparse one gets a sparse layer 1
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.decoder_sparse_layers = {}; }));
  EXPECT_FALSE(is_switchs([](ModelConfig& c) { c.encoder_sparse_layers = {0, 2}; }));
}

// What `transformers` sees of our Switch config is the same model.
TEST(HfConfig, SaysASwitchModelInSwitchsOwnKeys) {
  Json json = to_hf_config(switch_config());
  ASSERT_TRUE(json.contains("flanmoe"));
  json.erase("flanmoe");
  EXPECT_EQ(text(parse_hf_config(json, "x")), text(switch_config()));
}

TEST(HfConfig, GivesTransformersACapacityThatDoesNotDropWhereOursDoesNot) {
  ModelConfig config = switch_config();
  EXPECT_EQ(to_hf_config(config)["expert_capacity"], 17);
  config.moe.is_dropless = config.decoder_moe.is_dropless = true;
  const Json json = to_hf_config(config);
  EXPECT_GE(json["expert_capacity"].get<int64_t>(), 100000);
  EXPECT_EQ(text(parse_hf_config(json, "x")), text(config));
}

TEST(HfConfig, ReadsPublishedForms) {
  const ModelConfig v1_1 =
      parse_hf_config(load_json(testing::golden_folder("t5-v1_1-tiny") + "/config.json"), "x");
  EXPECT_EQ(v1_1.feed_forward, FeedForwardKind::GatedGelu);
  EXPECT_FALSE(v1_1.has_tied_embeddings);
  EXPECT_FALSE(v1_1.scales_decoder_outputs);
  EXPECT_EQ(
      text(parse_hf_config(
          load_json(testing::golden_folder("t5-v1_1-tiny") + "/config.transformers5.json"), "x")),
      text(v1_1));
  const ModelConfig v1_0 =
      parse_hf_config(load_json(testing::golden_folder("t5-v1_0-tiny") + "/config.json"), "x");
  EXPECT_EQ(v1_0.feed_forward, FeedForwardKind::Relu);
  EXPECT_TRUE(v1_0.has_tied_embeddings);
  EXPECT_TRUE(v1_0.scales_decoder_outputs);
  const ModelConfig sparse =
      parse_hf_config(load_json(testing::golden_folder("switch-tiny-drop") + "/config.json"), "x");
  EXPECT_EQ(sparse.encoder_sparse_layers, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(sparse.decoder_sparse_layers, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(sparse.moe.router, "switch");
  EXPECT_EQ(sparse.moe.expert_capacity, 3);
  EXPECT_EQ(sparse.moe.combine_weights, moe::CombineWeights::Raw);
}

TEST(HfConfig, HasTransformersDefaults) {
  Json json = t5_json();
  for (const char* key :
       {"num_decoder_layers", "relative_attention_num_buckets", "relative_attention_max_distance",
        "dropout_rate", "layer_norm_epsilon", "feed_forward_proj", "tie_word_embeddings",
        "scale_decoder_outputs", "pad_token_id", "eos_token_id", "decoder_start_token_id"})
    json.erase(key);
  EXPECT_EQ(text(parse_hf_config(json, "x")), text(v1_0_config()));
  json["num_decoder_layers"] = nullptr;  // as T5 v1.0 folders of old have it
  EXPECT_EQ(text(parse_hf_config(json, "x")), text(v1_0_config()));
}

TEST(HfConfig, NamesFileAndKeyOfWhatIsWrong) {
  const auto expect_refused = [](ErrorCode code, const std::string& part, const char* key,
                                 const Json& value) {
    Json json = t5_json();
    value.is_discarded() ? void(json.erase(key)) : void(json[key] = value);
    expect_error(code, part, [&] { parse_hf_config(json, "folder/config.json"); });
    expect_error(code, "folder/config.json", [&] { parse_hf_config(json, "folder/config.json"); });
  };
  const Json missing(Json::value_t::discarded);
  for (const char* key : {"vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"})
    expect_refused(ErrorCode::InvalidConfig, std::string("key '") + key + "' is missing", key,
                   missing);
  expect_refused(ErrorCode::InvalidConfig, "'d_model': expected an integer, found \"64\"",
                 "d_model", "64");
  expect_refused(ErrorCode::InvalidConfig, "'d_ff': expected an integer, found 1.5", "d_ff", 1.5);
  expect_refused(ErrorCode::InvalidConfig, "'dropout_rate': expected a number", "dropout_rate",
                 true);
  expect_refused(ErrorCode::InvalidConfig, "'tie_word_embeddings': expected true or false",
                 "tie_word_embeddings", 1);
  expect_refused(ErrorCode::InvalidConfig, "'feed_forward_proj': expected a string",
                 "feed_forward_proj", 1);
  expect_refused(ErrorCode::InvalidConfig, "'d_kv': expected a positive number, found -8", "d_kv",
                 -8);
  expect_refused(ErrorCode::InvalidConfig, "'dropout_rate': expected a number in [0, 1), found 1",
                 "dropout_rate", 1);
  expect_refused(ErrorCode::Unsupported, "unknown architecture 'mt4' (did you mean", "model_type",
                 "mt4");
  expect_refused(ErrorCode::Unsupported, "unknown architecture 'gpt2'", "model_type", "gpt2");
  expect_refused(ErrorCode::Unsupported, "'model_type'", "model_type", missing);
  expect_refused(ErrorCode::Unsupported,
                 "'feed_forward_proj': found 'gated-silu', expected 'relu' or 'gated-gelu'",
                 "feed_forward_proj", "gated-silu");
  expect_error(ErrorCode::InvalidConfig, "expected a JSON object",
               [] { parse_hf_config(Json::array(), "x"); });
}

TEST(HfConfig, RefusesASwitchModelItDoesNotCompute) {
  Json json = load_json(testing::golden_folder("switch-tiny") + "/config.json");
  json["dense_act_fn"] = "gelu";
  expect_error(ErrorCode::Unsupported, "dense_act_fn", [&] { parse_hf_config(json, "x"); });
}

TEST(HfConfig, RefusesUnknownKeysOfItsOwn) {
  Json json = to_hf_config(testing::tiny_sparse_config());
  json["flanmoe"]["moe"]["num_expert"] = 3;
  expect_error(ErrorCode::InvalidConfig, "num_experts", [&] { parse_hf_config(json, "x"); });
}

TEST(Validate, RefusesSparseLayersThatDoNotFit) {
  const auto expect_refused = [](const std::string& part, auto change,
                                 ErrorCode code = ErrorCode::InvalidConfig) {
    ModelConfig config = testing::tiny_sparse_config();
    change(config);
    expect_error(code, part, [&] { Model model(config); });
  };
  expect_refused("'encoder_sparse_layers': layer 2", [](ModelConfig& c) {
    c.encoder_sparse_layers = {0, 2};
  });
  expect_refused("'decoder_sparse_layers': layer -1",
                 [](ModelConfig& c) { c.decoder_sparse_layers = {-1}; });
  expect_refused("'decoder_sparse_layers': layer 0", [](ModelConfig& c) {
    c.decoder_sparse_layers = {1, 0};
  });
  expect_refused("num_experts", [](ModelConfig& c) { c.moe.num_experts = 0; });
  expect_refused("at least 2 experts", [](ModelConfig& c) { c.moe.num_experts = 1; });
  expect_refused("jitter", [](ModelConfig& c) { c.moe.jitter = 1; });
  expect_refused("expert_dropout_rate", [](ModelConfig& c) { c.moe.expert_dropout_rate = -0.1; });
  expect_refused("decoder_moe.jitter", [](ModelConfig& c) { c.decoder_moe.jitter = 1; });
  expect_refused("layer_reduction",
                 [](ModelConfig& c) { c.decoder_moe.layer_reduction = moe::LayerReduction::Mean; });
  expect_refused("train_capacity_factor", [](ModelConfig& c) {
    c.moe.is_dropless = false;
    c.moe.train_capacity_factor = 0;
  });
  expect_refused("group_size", [](ModelConfig& c) {
    c.moe.group = moe::RoutingGroup::Tokens;
    c.moe.group_size = 0;
  });
  expect_refused("expert_capacity", [](ModelConfig& c) {
    c.moe.is_dropless = false;
    c.moe.capacity_rule = moe::CapacityRule::Absolute;
    c.moe.expert_capacity = 0;
  });
  expect_refused(
      "top-2", [](ModelConfig& c) { c.moe.router = "top-3"; }, ErrorCode::NotFound);
}

// ---- sizes

TEST(NamedSize, HasThePublishedNumberOfParameters) {
  const std::pair<const char*, int64_t> kPublished[] = {
      {"t5-v1_1-small", 76961152},  {"t5-v1_1-base", 247577856},  {"t5-v1_1-large", 783150080},
      {"t5-v1_1-xl", 2849757184},   {"t5-v1_1-xxl", 11135332352}, {"flan-t5-small", 76961152},
      {"flan-t5-xxl", 11135332352}, {"t5-small", 60506624},       {"t5-base", 222903552},
      {"t5-large", 737668096},      {"mt5-small", 300176768},     {"mt5-base", 582401280}};
  for (const auto& [name, count] : kPublished) {
    const ParameterCounts counts = count_parameters(named_size(name));
    EXPECT_EQ(counts.total, count) << name;
    EXPECT_EQ(counts.active, count) << name;
    EXPECT_EQ(counts.routers + counts.experts, 0) << name;
  }
}

TEST(NamedSize, NamesTheNearestOfAMistypedOne) {
  expect_error(ErrorCode::NotFound, "flan-t5-small", [] { named_size("flan-t5-smal"); });
  for (const std::string& name : size_names()) EXPECT_NO_THROW(validate(named_size(name), name));
}

// ---- accounting

std::vector<ModelConfig> counted_forms() {
  std::vector<ModelConfig> forms = every_form();
  for (const int64_t num_experts : {2, 7}) {
    ModelConfig config = testing::tiny_sparse_config();
    config.encoder_sparse_layers = {0, 1};
    config.moe.num_experts = num_experts;
    config.set_moe(config.moe);
    forms.push_back(config);
    config.moe.router = "switch";
    config.set_moe(config.moe);
    forms.push_back(config);
    config.moe.expert_d_ff = 10;  // narrower in the encoder, with a dense block behind
    config.moe.has_extra_feed_forward = true;
    config.decoder_moe.router = "hash";
    config.decoder_moe.top_k = 2;
    config.decoder_moe.expert_feed_forward = moe::ExpertFeedForward::Relu;
    forms.push_back(config);
  }
  return forms;
}

TEST(CountParameters, CountsWhatAModelHas) {
  for (const ModelConfig& config : counted_forms()) {
    const Model model(config, std::nullopt);
    const ParameterCounts counts = count_parameters(config);
    ParameterCounts want;
    for (const nn::Parameter& parameter : model.parameters()) {
      const moe::Config& moe = config.moe_of(parameter.name.starts_with("decoder"));
      const int64_t k = moe.router == "switch" ? 1 : 2;
      const int64_t count = parameter.tensor.numel();
      want.total += count;
      want.active += parameter.tags.is_expert() ? count / moe.num_experts * k : count;
      if (parameter.tags.is_expert()) want.experts += count;
      if (parameter.tags.is_router) want.routers += count;
      if (parameter.tags.is_embedding) want.embedding += count;
    }
    EXPECT_EQ(counts.total, nn::num_elements(model.parameters()));
    EXPECT_EQ(counts.total, want.total);
    EXPECT_EQ(counts.active, want.active);
    EXPECT_EQ(counts.experts, want.experts);
    EXPECT_EQ(counts.routers, want.routers);
    EXPECT_EQ(counts.embedding, want.embedding);
  }
}

// facts.md item 45 counts the cross-attention's keys and values with a target token, we with the
// input token that they are computed from.
TEST(CountFlops, HasThePublishedFigures) {
  struct Figure {
    const char* name;
    double encoder, decoder;  // 1e9
  };
  for (const Figure& figure :
       {Figure{"t5-v1_1-small", 0.04, 0.08}, Figure{"t5-v1_1-base", 0.17, 0.28},
        Figure{"t5-v1_1-large", 0.62, 0.88}, Figure{"t5-v1_1-xl", 2.32, 3.25},
        Figure{"t5-v1_1-xxl", 9.26, 12.75}}) {
    const ModelConfig config = named_size(figure.name);
    const FlopsPerToken flops = count_flops_per_token(config);
    const double cross = 2.0 * static_cast<double>(config.num_decoder_layers * 2 * config.d_model *
                                                   config.num_heads * config.d_kv);
    EXPECT_NEAR((flops.encoder - cross) * 1e-9, figure.encoder, 0.005) << figure.name;
    EXPECT_NEAR((flops.decoder + cross) * 1e-9, figure.decoder, 0.005) << figure.name;
  }
}

TEST(CountFlops, CountsTwoForEveryWeightThatATokenMeets) {
  for (const ModelConfig& config : counted_forms()) {
    const Model model(config, std::nullopt);
    double encoder = 0, decoder = 2.0 * static_cast<double>(config.vocab_size * config.d_model);
    for (const nn::Parameter& parameter : model.parameters()) {
      const auto& tags = parameter.tags;
      const moe::Config& moe = config.moe_of(parameter.name.starts_with("decoder"));
      const double k = moe.router == "switch" ? 1 : 2;
      if (tags.is_embedding || tags.is_norm || tags.is_relative_bias) continue;
      const double flops = 2.0 * static_cast<double>(parameter.tensor.numel()) *
                           (tags.is_expert() ? k / static_cast<double>(moe.num_experts) : 1);
      const bool is_memory = parameter.name.ends_with("EncDecAttention.k.weight") ||
                             parameter.name.ends_with("EncDecAttention.v.weight");
      (parameter.name.starts_with("encoder") || is_memory ? encoder : decoder) += flops;
    }
    const FlopsPerToken got = count_flops_per_token(config);
    EXPECT_DOUBLE_EQ(got.encoder, encoder);
    EXPECT_DOUBLE_EQ(got.decoder, decoder);
  }
}

TEST(CountFlops, AddsAttentionScoresForGivenLengths) {
  const ModelConfig config = named_size("t5-v1_1-base");
  const FlopsPerToken bare = count_flops_per_token(config),
                      full = count_flops_per_token(config, 100, 30);
  EXPECT_DOUBLE_EQ(full.encoder - bare.encoder, 12.0 * 4 * 100 * 768);
  EXPECT_DOUBLE_EQ(full.decoder - bare.decoder, 12.0 * 4 * (100 + 30) * 768);
  EXPECT_DOUBLE_EQ(count_train_flops(config, 500, 70, 100, 30),
                   3 * (500 * full.encoder + 70 * full.decoder));
}

// From the parameters and scores that a token meets, site by site.
TEST(CountFlops, OfAnAdapterLeavesOutTheWeightGradientsOfItsBase) {
  const double num_inputs = 500, num_targets = 70, input_length = 100, target_length = 30;
  for (const ModelConfig& config : counted_forms()) {
    const Model model(config, std::nullopt, at::kFloat, at::kMeta);
    struct Case {
      std::string pattern;      // of sites
      double encoder, decoder;  // the blocks from which on gradients flow
    };
    const double none = 99;
    for (const Case& c : {Case{"v", 0, 0}, Case{"/encoder.block.1.*SelfAttention.k/", 1, 0},
                          Case{"/decoder.*Attention.v/", none, 0},
                          Case{"/decoder.block.1.*SelfAttention.v/", none, 1}}) {
      SCOPED_TRACE(c.pattern);
      peft::ComponentConfig component;
      component.kind = "lora";
      component.sites = {c.pattern};
      const peft::Adapter adapter("a", {{component}}, model.sites(), 0);
      double expected = 3 * (num_inputs * adapter.flops_per_token(false) +
                             num_targets * adapter.flops_per_token(true));
      const auto add = [&](double flops, const std::string& name, double tokens,
                           double times_with_gradient) {
        const bool is_decoder = name.starts_with("decoder");
        const size_t begin = name.find(".block.") + 7;
        const double block = std::stod(name.substr(begin));
        const double first = is_decoder ? c.decoder : c.encoder;
        expected += tokens * flops * (block >= first ? times_with_gradient : 1);
      };
      for (const nn::Parameter& parameter : model.parameters()) {
        const auto& tags = parameter.tags;
        const bool is_decoder = parameter.name.starts_with("decoder");
        const moe::Config& moe = config.moe_of(is_decoder);
        const double k =
            tags.is_expert() ? moe::make_router(moe)->experts_per_token(true, is_decoder) : 0;
        if (tags.is_embedding || tags.is_norm || tags.is_relative_bias) continue;
        const double flops = 2.0 * static_cast<double>(parameter.tensor.numel()) *
                             (tags.is_expert() ? k / static_cast<double>(moe.num_experts) : 1);
        const bool is_memory = parameter.name.ends_with("EncDecAttention.k.weight") ||
                               parameter.name.ends_with("EncDecAttention.v.weight");
        if (is_memory)  // gradients of the memory are wanted where the encoder has a part
          expected += num_inputs * flops * (c.encoder < none ? 2 : 1);
        else
          add(flops, parameter.name,
              parameter.name.starts_with("encoder") ? num_inputs : num_targets, 2);
      }
      const double scores = 4.0 * static_cast<double>(config.num_heads * config.d_kv);
      for (int64_t i = 0; i < config.num_layers; ++i)
        add(scores * input_length, fmt::format("encoder.block.{}", i), num_inputs, 3);
      for (int64_t i = 0; i < config.num_decoder_layers; ++i)
        add(scores * (input_length + target_length), fmt::format("decoder.block.{}", i),
            num_targets, 3);
      expected += 2 * num_targets * 2.0 * static_cast<double>(config.vocab_size * config.d_model);
      EXPECT_DOUBLE_EQ(count_train_flops(config, adapter, 500, 70, 100, 30), expected);
    }
  }
}

}  // namespace
}  // namespace flanmoe::model
