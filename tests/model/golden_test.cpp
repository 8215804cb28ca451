// The whole model against `transformers` (tests/golden/README.md): hidden states, logits, losses
// and every gradient.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/json.h"
#include "model/folder.h"
#include "model/name_table.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace flanmoe::model {
namespace {

using testing::compare;

ModelInput golden_input(const testing::Golden& golden, const ModelConfig& config,
                        const std::string& prefix = "") {
  const at::Tensor& labels = golden[prefix + "labels"];
  const at::Tensor is_real = labels.ne(-100);
  return make_input(golden[prefix + "input_ids"],
                    prefix.empty() ? golden["attention_mask"] : at::Tensor(), labels.mul(is_real),
                    is_real.to(at::kLong), config);
}

// Rows of [B, L, D] at real tokens.
at::Tensor real(const at::Tensor& x_BLD, const nn::TokenLayout& layout) {
  return x_BLD.reshape({-1, x_BLD.size(2)}).index_select(0, layout.real_index_N);
}

struct Case {
  const char* name;
  const char* config;  // file
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name << ", " << c.config;
}

std::string case_name(const ::testing::TestParamInfo<Case>& instance) {
  std::string name = std::string(instance.param.name) + "_" + instance.param.config;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

class GoldenModel : public ::testing::TestWithParam<Case> {
 protected:
  GoldenModel() : golden_(testing::load_golden(GetParam().name)) {
    for (const char* file : {"model.safetensors", "spiece.model"})
      std::filesystem::create_symlink(golden_.folder + "/" + file, folder_ / file);
    put_file(folder_ / "config.json", get_file(golden_.folder + "/" + GetParam().config));
  }
  LoadedModel load(at::ScalarType dtype = at::kFloat) const {
    return load_model(folder_.path(), dtype);
  }
  double expected(const char* key) const { return golden_.expected.at(key).get<double>(); }
  bool is_switch() const { return std::string(GetParam().name).starts_with("switch"); }

  TemporaryFolder folder_;
  testing::Golden golden_;
};

TEST_P(GoldenModel, HasTheReferencesHiddenStatesAndLogits) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load();
  const Model& model = *loaded.model;
  const ModelInput input = golden_input(golden_, model.config());
  EXPECT_EQ(testing::integers(input.decoder_input_ids_BM.mul(input.decoder.segment_ids_BL)),
            testing::integers(golden_["decoder_input_ids"].mul(input.decoder.segment_ids_BL)));
  nn::Context context;
  const at::Tensor encoded = model.encode(input.input_ids_BL, input.encoder, context);
  EXPECT_EQ(compare(real(encoded, input.encoder),
                    real(golden_["encoder_last_hidden_state"], input.encoder), 1e-4),
            "");
  const at::Tensor hidden =
      model.decode(input.decoder_input_ids_BM, input.decoder, encoded, input.encoder, context);
  EXPECT_EQ(compare(real(hidden, input.decoder),
                    real(golden_["decoder_last_hidden_state"], input.decoder), 1e-4),
            "");
  const at::Tensor want = real(golden_["logits"], input.decoder);
  EXPECT_EQ(compare(model.logits(real(hidden, input.decoder), context), want, 1e-4), "");
  EXPECT_EQ(compare(real(model.forward(input, context), input.decoder), want, 1e-4), "");
}

TEST_P(GoldenModel, HasTheReferencesLosses) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load();
  const ModelInput input = golden_input(golden_, loaded.model->config());
  for (const bool is_training : {false, true}) {  // there is no dropout in these configs
    nn::Context context;
    context.is_training = is_training;
    const LossOutput output = loaded.model->loss(input, context);
    EXPECT_EQ(output.num_target_tokens, 24);
    EXPECT_EQ(compare(output.token_loss_BM, golden_["token_loss"], 1e-4), "");
    EXPECT_NEAR(output.cross_entropy.item<double>(), expected("loss_cross_entropy"), 1e-5);
    EXPECT_NEAR(output.loss.item<double>(),
                expected(is_training ? "loss_total" : "loss_cross_entropy"), 1e-5);
  }
}

TEST_P(GoldenModel, HasTheReferencesLossInDoublePrecision) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load(at::kDouble);
  nn::Context context;
  context.compute_dtype = at::kDouble;
  const LossOutput output =
      loaded.model->loss(golden_input(golden_, loaded.model->config()), context);
  EXPECT_EQ(output.loss.scalar_type(), at::kDouble);
  if (is_switch()) {  // the reference's total has the router losses in it
    EXPECT_NEAR(output.loss.item<double>(), expected("loss_cross_entropy_sum") / 24, 2e-6);
    context.is_training = true;
    EXPECT_NEAR(loaded.model->loss(golden_input(golden_, loaded.model->config()), context)
                    .loss.item<double>(),
                expected("loss_total_float64"), 1e-7);
  } else {
    EXPECT_NEAR(output.loss.item<double>(), expected("loss_total_float64"), 1e-7);
  }
}

TEST_P(GoldenModel, HasTheReferencesValuesPastTheLargestDistance) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load();
  const Model& model = *loaded.model;
  const ModelInput input = golden_input(golden_, model.config(), "long.");
  const Json& expected = golden_.expected.at("long");
  nn::Context context;
  const at::Tensor encoded = model.encode(input.input_ids_BL, input.encoder, context);
  ASSERT_EQ(encoded.size(1), expected.at("input_length").get<int64_t>());
  EXPECT_EQ(compare(encoded.slice(1, -16),
                    golden_["long.encoder_last_hidden_state.last16"].view({1, 16, -1}), 1e-4),
            "");
  const at::Tensor hidden =
      model.decode(input.decoder_input_ids_BM, input.decoder, encoded, input.encoder, context);
  EXPECT_EQ(compare(hidden.slice(1, -16),
                    golden_["long.decoder_last_hidden_state.last16"].view({1, 16, -1}), 1e-4),
            "");
  EXPECT_EQ(compare(model.logits(hidden.slice(1, -4), context),
                    golden_["long.logits.last4"].view({1, 4, -1}), 1e-4),
            "");
  if (!is_switch()) {
    EXPECT_NEAR(model.loss(input, context).loss.item<double>(),
                expected.at("loss_total_float64").get<double>(), 1e-5);
  }
}

TEST_P(GoldenModel, WritesTheReferencesTensors) {
  const LoadedModel loaded = load();
  const checkpoint::NamedTensors want = checkpoint::load_safetensors(golden_.folder +
                                                                     "/model.safetensors"),
                                 got = to_named_tensors(*loaded.model);
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.count(name)) << name;
    EXPECT_EQ(testing::compare_bits(got.at(name), tensor), "") << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenModel,
                         ::testing::Values(Case{"t5-v1_0-tiny", "config.json"},
                                           Case{"t5-v1_1-tiny", "config.json"},
                                           Case{"t5-v1_1-tiny", "config.transformers5.json"},
                                           Case{"switch-tiny", "config.json"},
                                           Case{"switch-tiny-drop", "config.json"}),
                         case_name);

// A Switch folder as google/switch-base-8 is published: pytorch_model.bin, copies of the embedding.
TEST(GoldenSwitchBin, LoadsAndComputesAsTransformers) {
  const at::NoGradGuard no_grad;
  const std::string folder = testing::golden_folder("switch-bin");
  const checkpoint::NamedTensors expected =
      checkpoint::load_safetensors(folder + "/expected.safetensors");
  const LoadedModel loaded = load_model(folder);
  EXPECT_EQ(loaded.model->config().encoder_sparse_layers, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(loaded.model->config().decoder_sparse_layers, (std::vector<int64_t>{1}));
  EXPECT_TRUE(loaded.model->config().has_tied_embeddings);
  const auto logits = [&](const Model& model) {
    ModelInput input;
    input.input_ids_BL = expected.at("input_ids");
    input.encoder = nn::make_layout(2, 8);
    input.decoder_input_ids_BM = expected.at("decoder_input_ids");
    input.decoder = nn::make_layout(2, 4);
    nn::Context context;
    return model.forward(input, context);
  };
  EXPECT_EQ(compare(logits(*loaded.model), expected.at("logits"), 1e-5), "");
  // Its experts drop tokens, and it comes back from our own folder as what it is.
  const TemporaryFolder saved;
  save_model(saved / "model", *loaded.model, nullptr);
  EXPECT_TRUE(is_switch_expressible(load_model_config(saved / "model")));
  EXPECT_EQ(
      testing::compare_bits(logits(*load_model(saved / "model").model), logits(*loaded.model)), "");
  Model dropless(
      [&] {
        ModelConfig config = loaded.model->config();
        config.moe.is_dropless = true;
        return config;
      }(),
      std::nullopt);
  fill_from_named_tensors(dropless, to_named_tensors(*loaded.model), "golden");
  EXPECT_NE(compare(logits(dropless), expected.at("logits"), 1e-3), "");
}

// ---- gradients

class GoldenGradients : public GoldenModel {};

// In double, by the names on disk.
std::map<std::string, at::Tensor> gradients(const Model& model) {
  std::map<std::string, at::Tensor> result;
  for (const nn::Parameter& parameter : model.parameters()) {
    EXPECT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    const at::Tensor gradient = parameter.tensor.grad().to(at::kDouble);
    const std::vector<std::string> names = disk_names(parameter, model.config());
    for (size_t e = 0; e < names.size(); ++e)
      result[names[e]] = parameter.tags.is_expert()
                             ? gradient.select(parameter.tags.expert_axis, static_cast<int64_t>(e))
                             : gradient;
  }
  return result;
}

TEST_P(GoldenGradients, AreTheReferencesForEveryParameter) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const LoadedModel loaded = load(dtype);
    nn::Context context;
    context.compute_dtype = dtype;
    context.is_training = true;
    loaded.model->loss(golden_input(golden_, loaded.model->config()), context).loss.backward();
    const Json& stats = golden_.expected.at("grad_stats");
    size_t num_tensors = 0, num_parameters = 0, num_without = 0;
    for (const auto& [name, gradient] : gradients(*loaded.model)) {
      SCOPED_TRACE(name);
      ++num_parameters;
      if (!stats.contains(
              name)) {  // an expert without tokens: the reference has no gradient at all
        ++num_without;
        EXPECT_EQ(gradient.abs().max().item<double>(), 0);
        continue;
      }
      const Json& want = stats.at(name);
      const auto expect_near = [&](const char* key, double got, double slack) {
        EXPECT_NEAR(got, want.at(key).get<double>(), 1e-5 + 1e-3 * slack) << key;
      };
      const double l2 = gradient.square().sum().sqrt().item<double>();
      expect_near("l2", l2, l2);
      expect_near("max_abs", gradient.abs().max().item<double>(), want.at("max_abs").get<double>());
      expect_near("probe", testing::probe(gradient).item<double>(),
                  std::abs(want.at("probe").get<double>()));
      const auto found = golden_.tensors.find("grad." + name);
      if (found == golden_.tensors.end()) continue;
      ++num_tensors;
      EXPECT_EQ(
          compare(gradient, found->second, 1e-3 * found->second.abs().max().item<double>() + 1e-7),
          "");
    }
    EXPECT_EQ(num_tensors, golden_.expected.at("n_grad_tensors").get<size_t>());
    EXPECT_EQ(num_parameters, stats.size() + num_without);
    EXPECT_EQ(num_without,
              golden_.expected.value("parameters_without_gradient", Json::array()).size());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenGradients,
                         ::testing::Values(Case{"t5-v1_0-tiny", "config.json"},
                                           Case{"t5-v1_1-tiny", "config.json"},
                                           Case{"t5-v1_1-tiny", "config.transformers5.json"},
                                           Case{"switch-tiny", "config.json"},
                                           Case{"switch-tiny-drop", "config.json"}),
                         case_name);

// ---- routing

class Recorder final : public nn::RoutingSink {
 public:
  void record(const std::string& layer, const ops::Routing& routing) override {
    routings[layer] = routing;
  }
  std::map<std::string, ops::Routing> routings;
};

class GoldenRouting : public GoldenModel {};

TEST_P(GoldenRouting, IsTheReferencesAtEveryToken) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = load();
  const ModelInput input = golden_input(golden_, loaded.model->config());
  Recorder recorder;
  nn::Context context;
  context.routing_sink = &recorder;
  loaded.model->forward(input, context);
  ASSERT_EQ(recorder.routings.size(), 4u);
  int64_t num_dropped = 0, want_dropped = 0;
  for (const auto& [layer, routing] : recorder.routings) {
    SCOPED_TRACE(layer);
    const nn::TokenLayout& layout = layer.starts_with("encoder") ? input.encoder : input.decoder;
    const auto valid = [&](const char* part) { return golden_[layer + "." + part].flatten(0, 1); };
    EXPECT_EQ(routing.num_tokens, layout.num_rows * layout.length);  // padding is counted
    EXPECT_EQ(compare(routing.probabilities_TE, valid("router_logits").softmax(1), 1e-5), "");
    EXPECT_EQ(testing::integers(routing.probabilities_TE.argmax(1)),
              testing::integers(valid("expert_index")));
    EXPECT_EQ(compare(std::get<0>(routing.probabilities_TE.max(1)), valid("gate"), 1e-5), "");

    std::vector<int64_t> kept(static_cast<size_t>(routing.num_tokens), 0);
    const auto tokens = testing::integers(routing.token_index_A);
    const auto weights = testing::doubles(routing.combine_weight_A),
               gates = testing::doubles(valid("gate"));
    const auto experts = testing::integers(valid("expert_index"));
    for (size_t e = 0; e < 8; ++e)
      for (auto a = static_cast<size_t>(routing.expert_offsets[e]);
           a < static_cast<size_t>(routing.expert_offsets[e + 1]); ++a) {
        const auto t = static_cast<size_t>(tokens[a]);
        kept[t] = 1;
        EXPECT_EQ(experts[t], static_cast<int64_t>(e));
        EXPECT_NEAR(weights[a], gates[t], 1e-5);
      }
    EXPECT_EQ(kept, testing::integers(valid("kept")));
    num_dropped += routing.num_tokens - static_cast<int64_t>(tokens.size());
    want_dropped += valid("kept").eq(0).sum().item<int64_t>();
  }
  EXPECT_EQ(num_dropped, want_dropped);
  EXPECT_EQ(num_dropped > 0, std::string(GetParam().name) == "switch-tiny-drop");
}

// expected.json also has the losses of the Switch paper: per layer, summed, without padding.
TEST_P(GoldenRouting, HasThePapersLossesPerLayer) {
  LoadedModel loaded = load();
  const bool drops = loaded.model->config().moe.expert_capacity < 100;
  {
    ModelConfig config = loaded.model->config();
    config.moe.padding = moe::PaddingRule::Excluded;
    config.moe.layer_reduction = moe::LayerReduction::Sum;
    // with room for all, the group changes the load-balance loss alone
    if (!drops) config.moe.group = moe::RoutingGroup::Batch;
    config.set_moe(config.moe);
    Model grouped(config, std::nullopt);
    fill_from_named_tensors(grouped, to_named_tensors(*loaded.model), "golden");
    *loaded.model = std::move(grouped);
  }
  const at::NoGradGuard no_grad;
  nn::Context context;
  context.is_training = true;
  const LossOutput output =
      loaded.model->loss(golden_input(golden_, loaded.model->config()), context);
  double total = output.cross_entropy.item<double>();
  std::map<std::string, std::vector<double>> got;
  for (const nn::AuxiliaryLoss& loss : output.auxiliary.losses) {
    got[loss.layer.substr(0, 7) + (loss.name == "z_loss" ? ".z" : ".aux")].push_back(
        loss.value.item<double>());
    EXPECT_EQ(loss.coefficient,
              expected(loss.name == "z_loss" ? "router_z_loss_coef" : "router_aux_loss_coef"));
    total += loss.coefficient * loss.value.item<double>();
  }
  EXPECT_NEAR(output.loss.item<double>(), total, 1e-6);
  for (const char* stack : {"encoder", "decoder"}) {
    const Json& want = golden_.expected.at("router_losses_float64")
                           .at(stack)
                           .at("per_layer_group_is_batch_without_padding");
    for (const char* part : {"z", "aux"}) {
      if (drops && part == std::string("aux")) continue;
      const auto& values = got[std::string(stack) + "." + part];
      ASSERT_EQ(values.size(), 2u);
      for (size_t i = 0; i < 2; ++i)
        EXPECT_NEAR(values[i], want.at(part)[i].get<double>(), 1e-4) << stack << "." << part;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenRouting,
                         ::testing::Values(Case{"switch-tiny", "config.json"},
                                           Case{"switch-tiny-drop", "config.json"}),
                         case_name);

}  // namespace
}  // namespace flanmoe::model
