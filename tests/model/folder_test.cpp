// Models as folders: what is written comes back bit by bit, and what does not fit is named.
#include "model/folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "model/initialisation.h"
#include "model/name_table.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

ModelConfig v1_0_config() {
  ModelConfig config = testing::tiny_config();
  config.feed_forward = FeedForwardKind::Relu;
  config.has_tied_embeddings = config.scales_decoder_outputs = true;
  return config;
}

ModelConfig switch_config() {
  ModelConfig config = v1_0_config();
  config.encoder_sparse_layers = config.decoder_sparse_layers = {1};
  moe::Config moe;
  moe.router = "switch";
  moe.set_defaults();
  moe.num_experts = 3;
  moe.is_dropless = true;
  config.set_moe(moe);
  return config;
}

void expect_same(const Model& got, const Model& want) {
  ASSERT_EQ(got.parameters().size(), want.parameters().size());
  for (size_t i = 0; i < want.parameters().size(); ++i) {
    EXPECT_EQ(got.parameters()[i].name, want.parameters()[i].name);
    EXPECT_EQ(testing::compare_bits(got.parameters()[i].tensor, want.parameters()[i].tensor), "")
        << want.parameters()[i].name;
  }
}

// A folder of any config and tensors.
void write_folder(const std::string& folder, const Json& config,
                  const checkpoint::NamedTensors& tensors) {
  std::filesystem::create_directories(folder);
  put_file(folder + "/config.json", config.dump());
  checkpoint::save_folder(folder, tensors);
}

struct Named {
  const char* name;
  ModelConfig config;
};
void PrintTo(const Named& named, std::ostream* out) {
  *out << named.name;
}

class FolderOf : public ::testing::TestWithParam<Named> {
 protected:
  Model make_model() const { return Model(GetParam().config, 7); }
  TemporaryFolder folder_;
};

TEST_P(FolderOf, ComesBackBitByBit) {
  const Model model = make_model();
  save_model(folder_ / "saved", model, nullptr);
  const LoadedModel loaded = load_model(folder_ / "saved");
  expect_same(*loaded.model, model);
  EXPECT_EQ(loaded.tokenizer, nullptr);
  EXPECT_EQ(loaded.folder, folder_ / "saved");
  EXPECT_EQ(to_hf_config(loaded.model->config()).dump(), to_hf_config(model.config()).dump());
  for (const char* file : {"config.json", "generation_config.json", "model.safetensors"})
    EXPECT_TRUE(std::filesystem::is_regular_file(folder_ / "saved" + "/" + file)) << file;

  save_model(folder_ / "again", *loaded.model, nullptr);
  for (const char* file : {"config.json", "model.safetensors"})
    EXPECT_EQ(get_file(folder_ / "saved" + "/" + file), get_file(folder_ / "again" + "/" + file))
        << file;
  EXPECT_EQ(folder_hash(folder_ / "saved"), folder_hash(folder_ / "again"));
}

TEST_P(FolderOf, ComesBackFromShards) {
  const Model model = make_model();
  save_model(folder_ / "saved", model, nullptr, 6000);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "saved/model.safetensors.index.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "saved/model.safetensors"));
  expect_same(*load_model(folder_ / "saved").model, model);
}

TEST_P(FolderOf, KeepsThePredictions) {
  const at::NoGradGuard no_grad;
  const Model model = make_model();
  save_model(folder_ / "saved", model, nullptr);
  const LoadedModel loaded = load_model(folder_ / "saved");
  const ModelInput input =
      make_input(testing::index_tensor({5, 6, 7, 8, 9, 1}, {2, 3}), {},
                 testing::index_tensor({9, 1, 8, 1}, {2, 2}), {}, model.config());
  nn::Context context;
  EXPECT_EQ(
      testing::compare_bits(loaded.model->forward(input, context), model.forward(input, context)),
      "");
}

TEST_P(FolderOf, WidensAndNarrowsToTheTypeThatIsAskedFor) {
  const Model model = make_model();
  save_model(folder_ / "saved", model, nullptr);
  for (const at::ScalarType dtype : {at::kDouble, at::kBFloat16}) {
    const LoadedModel loaded = load_model(folder_ / "saved", dtype);
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      const nn::Parameter& got = loaded.model->parameters()[i];
      const bool stays_wide = got.tags.is_norm || got.tags.is_router || got.tags.is_relative_bias;
      EXPECT_EQ(got.tensor.scalar_type(), dtype == at::kBFloat16 && stays_wide ? at::kFloat : dtype)
          << got.name;
      EXPECT_EQ(testing::compare_bits(got.tensor,
                                      model.parameters()[i].tensor.to(got.tensor.scalar_type())),
                "")
          << got.name;
    }
    if (dtype != at::kBFloat16) continue;
    save_model(folder_ / "narrow", *loaded.model, nullptr);
    expect_same(*load_model(folder_ / "narrow", dtype).model, *loaded.model);
  }
}

std::vector<Named> every_form() {
  ModelConfig tied_unscaled = testing::tiny_config(), untied_scaled = testing::tiny_config(),
              one_stack = testing::tiny_sparse_config();
  tied_unscaled.has_tied_embeddings = true;
  untied_scaled.scales_decoder_outputs = true;
  one_stack.encoder_sparse_layers = {};
  one_stack.feed_forward = FeedForwardKind::Relu;
  return {{"v1_1", testing::tiny_config()},
          {"v1_0", v1_0_config()},
          {"tied_unscaled", tied_unscaled},
          {"untied_scaled", untied_scaled},
          {"top_2", testing::tiny_sparse_config()},
          {"switch_", switch_config()},
          {"sparse_decoder", one_stack}};
}

INSTANTIATE_TEST_SUITE_P(Forms, FolderOf, ::testing::ValuesIn(every_form()),
                         [](const auto& instance) { return instance.param.name; });

// ---- names

TEST(DiskNames, AreOneAnExpertAsSwitchHasThem) {
  const checkpoint::NamedTensors tensors = to_named_tensors(Model(switch_config(), 1));
  for (const char* name : {"encoder.block.1.layer.1.mlp.experts.expert_0.wi.weight",
                           "encoder.block.1.layer.1.mlp.experts.expert_2.wo.weight",
                           "decoder.block.1.layer.2.mlp.experts.expert_1.wi.weight",
                           "decoder.block.1.layer.2.mlp.router.classifier.weight",
                           "encoder.block.0.layer.1.mlp.wi.weight",
                           "decoder.block.0.layer.2.mlp.wo.weight", "shared.weight"})
    EXPECT_TRUE(tensors.count(name)) << name;
  EXPECT_EQ(tensors.at("encoder.block.1.layer.1.mlp.experts.expert_0.wi.weight").sizes(),
            (at::IntArrayRef{24, 16}));
  EXPECT_FALSE(tensors.count("lm_head.weight"));
  for (const auto& [name, tensor] : tensors)
    EXPECT_EQ(name.find("DenseReluDense"), std::string::npos) << name;
}

TEST(DiskNames, AreT5sForADenseModel) {
  const checkpoint::NamedTensors tensors = to_named_tensors(Model(testing::tiny_config(), 1));
  for (const char* name : {"encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
                           "decoder.block.1.layer.2.DenseReluDense.wi_1.weight", "lm_head.weight"})
    EXPECT_TRUE(tensors.count(name)) << name;
  const checkpoint::NamedTensors v1_0 = to_named_tensors(Model(v1_0_config(), 1));
  EXPECT_TRUE(v1_0.count("encoder.block.0.layer.1.DenseReluDense.wi.weight"));
}

TEST(DiskNames, PutEveryExpertIntoItsOwnTensor) {
  const Model model(testing::tiny_sparse_config(), 1);
  const checkpoint::NamedTensors tensors = to_named_tensors(model);
  int num_checked = 0;
  for (const nn::Parameter& parameter : model.parameters()) {
    if (parameter.name != "decoder.block.1.layer.2.mlp.experts.wo.weight") continue;
    for (int64_t e = 0; e < 4; ++e, ++num_checked)
      EXPECT_EQ(testing::compare_bits(tensors.at("decoder.block.1.layer.2.mlp.experts.expert_" +
                                                 std::to_string(e) + ".wo.weight"),
                                      parameter.tensor[e]),
                "");
  }
  EXPECT_EQ(num_checked, 4);
}

// ---- loading what others wrote

class Foreign : public ::testing::Test {
 protected:
  Foreign()
      : model_(testing::tiny_config(), 3),
        config_(to_hf_config(model_.config())),
        tensors_(to_named_tensors(model_)) {}
  LoadedModel load() {
    write_folder(folder_ / "model", config_, tensors_);
    return load_model(folder_ / "model");
  }
  void use(const ModelConfig& config) {
    model_ = Model(config, 3);
    config_ = to_hf_config(config);
    tensors_ = to_named_tensors(model_);
  }

  TemporaryFolder folder_;
  Model model_;
  Json config_;
  checkpoint::NamedTensors tensors_;
};

TEST_F(Foreign, CopiesOfTheEmbeddingAreAccepted) {
  use(v1_0_config());
  for (const char* name :
       {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"})
    tensors_[name] = tensors_.at("shared.weight").clone();
  tensors_["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] =
      testing::random_tensor({32, 2}, 1, at::kFloat);
  const LoadedModel loaded = load();
  EXPECT_TRUE(loaded.model->config().has_tied_embeddings);
  expect_same(*loaded.model, model_);
}

TEST_F(Foreign, AnOutputMatrixOfItsOwnIsUsedWhateverTheConfigSays) {
  use(v1_0_config());
  tensors_["lm_head.weight"] = tensors_.at("shared.weight").mul(2);
  const LoadedModel loaded = load();
  EXPECT_FALSE(loaded.model->config().has_tied_embeddings);
  EXPECT_TRUE(loaded.model->config().scales_decoder_outputs);
  EXPECT_EQ(testing::compare_bits(loaded.model->parameters().back().tensor,
                                  tensors_.at("lm_head.weight")),
            "");
}

TEST_F(Foreign, AnUntiedModelMayHaveEqualMatrices) {
  tensors_["lm_head.weight"] = tensors_.at("shared.weight").clone();
  EXPECT_FALSE(load().model->config().has_tied_embeddings);
}

TEST_F(Foreign, TheFormOfTransformers5IsTheSameModel) {
  config_["tie_word_embeddings"] = true;
  config_["scale_decoder_outputs"] = false;
  expect_same(*load().model, model_);
  tensors_.erase("lm_head.weight");
  EXPECT_TRUE(load().model->config().has_tied_embeddings);
  config_["tie_word_embeddings"] = nullptr;
  EXPECT_TRUE(load().model->config().has_tied_embeddings);
}

TEST_F(Foreign, SwitchsNamesOfDenseBlocksAreAcceptedAndTheOtherWayRound) {
  const auto rename = [&](const std::string& from, const std::string& to) {
    checkpoint::NamedTensors renamed;
    for (const auto& [name, tensor] : tensors_) {
      const size_t at = name.find(from);
      renamed[at == std::string::npos ? name : std::string(name).replace(at, from.size(), to)] =
          tensor;
    }
    tensors_ = renamed;
  };
  rename(".DenseReluDense.w", ".mlp.w");
  EXPECT_TRUE(tensors_.count("encoder.block.0.layer.1.mlp.wi_0.weight"));
  expect_same(*load().model, model_);
  use(switch_config());
  rename(".mlp.w", ".DenseReluDense.w");
  EXPECT_TRUE(tensors_.count("encoder.block.0.layer.1.DenseReluDense.wi.weight"));
  expect_same(*load().model, model_);
}

TEST_F(Foreign, MissingTensorsAreListed) {
  tensors_.erase("decoder.final_layer_norm.weight");
  tensors_.erase("encoder.block.1.layer.0.SelfAttention.q.weight");
  expect_error(ErrorCode::CorruptFile, "2 parameter(s)", [&] { load(); });
  expect_error(ErrorCode::CorruptFile,
               "encoder.block.1.layer.0.SelfAttention.q.weight, decoder.final_layer_norm.weight",
               [&] { load(); });
  expect_error(ErrorCode::CorruptFile, folder_ / "model", [&] { load(); });
}

TEST_F(Foreign, ALostOutputMatrixIsNotTakenForATiedModel) {
  tensors_.erase("lm_head.weight");
  expect_error(ErrorCode::CorruptFile, "lm_head.weight", [&] { load(); });
}

TEST_F(Foreign, TheFirstOfManyMissingTensorsAreListed) {
  for (int i = 0; i < 2; ++i)
    for (const char* part : {"q", "k", "v", "o"})
      for (const char* attention : {".layer.0.SelfAttention.", ".layer.1.EncDecAttention."})
        tensors_.erase("decoder.block." + std::to_string(i) + attention + part + ".weight");
  expect_error(ErrorCode::CorruptFile, "16 parameter(s)", [&] { load(); });
  expect_error(ErrorCode::CorruptFile, "and 8 more", [&] { load(); });
}

TEST_F(Foreign, UnusedTensorsAreListed) {
  tensors_["encoder.block.0.layer.9.extra.weight"] = testing::random_tensor({2}, 1, at::kFloat);
  expect_error(ErrorCode::CorruptFile, "encoder.block.0.layer.9.extra.weight", [&] { load(); });
  tensors_["encoder.block.7.layer.0.layer_norm.weight"] =
      testing::random_tensor({2}, 1, at::kFloat);
  expect_error(ErrorCode::CorruptFile, "2 tensor(s)", [&] { load(); });
  tensors_.erase("shared.weight");  // both lists
  expect_error(ErrorCode::CorruptFile,
               "shared.weight; in the file but not in the model: encoder.block.0.layer.9",
               [&] { load(); });
}

TEST_F(Foreign, ABlockUnderBothNamesIsNotGuessedAt) {
  tensors_["encoder.block.0.layer.1.mlp.wo.weight"] =
      tensors_.at("encoder.block.0.layer.1.DenseReluDense.wo.weight").clone();
  expect_error(ErrorCode::CorruptFile, "encoder.block.0.layer.1.mlp.wo.weight", [&] { load(); });
}

TEST_F(Foreign, AnExpertThatIsMissingOrTooManyIsNamed) {
  use(switch_config());
  const std::string name = "encoder.block.1.layer.1.mlp.experts.expert_2.wi.weight";
  const at::Tensor expert = tensors_.at(name);
  tensors_.erase(name);
  expect_error(ErrorCode::CorruptFile, name, [&] { load(); });
  tensors_[name] = expert;
  const std::string extra = "encoder.block.1.layer.1.mlp.experts.expert_3.wi.weight";
  tensors_[extra] = expert.clone();
  expect_error(ErrorCode::CorruptFile, extra, [&] { load(); });
}

TEST_F(Foreign, AWrongShapeIsNamedWithBothShapes) {
  tensors_["encoder.block.0.layer.0.SelfAttention.q.weight"] =
      testing::random_tensor({16, 17}, 1, at::kFloat);
  expect_error(ErrorCode::ShapeMismatch,
               "'encoder.block.0.layer.0.SelfAttention.q.weight' has shape [16, 17], the model "
               "expects [16, 16]",
               [&] { load(); });
  use(switch_config());
  tensors_["decoder.block.1.layer.2.mlp.experts.expert_1.wo.weight"] =
      testing::random_tensor({24, 16}, 1, at::kFloat);
  expect_error(ErrorCode::ShapeMismatch, "has shape [24, 16], the model expects [16, 24]",
               [&] { load(); });
}

TEST_F(Foreign, AConfigThatDoesNotFitIsRefused) {
  config_["model_type"] = "t55";
  expect_error(ErrorCode::Unsupported, "did you mean 't5'", [&] { load(); });
  expect_error(ErrorCode::Unsupported, folder_ / "model/config.json", [&] { load(); });
  config_["model_type"] = "t5";
  config_.erase("d_model");
  expect_error(ErrorCode::InvalidConfig, "'d_model' is missing", [&] { load(); });
}

TEST(LoadModel, NamesWhatIsNotThere) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::NotFound, folder / "nowhere", [&] { load_model(folder / "nowhere"); });
  put_file(folder / "file", "x");
  expect_error(ErrorCode::NotFound, folder / "file", [&] { load_model(folder / "file"); });
  expect_error(ErrorCode::NotFound, "config.json", [&] { load_model(folder.path()); });
  put_file(folder / "config.json", to_hf_config(testing::tiny_config()).dump());
  expect_error(ErrorCode::NotFound, "model.safetensors", [&] { load_model(folder.path()); });
  put_file(folder / "config.json", "{");
  expect_error(ErrorCode::CorruptFile, "config.json", [&] { load_model(folder.path()); });
}

TEST(LoadModelWithTokenizer, NamesTheTokenizerThatIsNotThere) {
  const TemporaryFolder folder;
  save_model(folder / "model", Model(testing::tiny_config(), 1), nullptr);
  expect_error(ErrorCode::NotFound, "spiece.model",
               [&] { load_model_with_tokenizer(folder / "model"); });
  expect_error(ErrorCode::NotFound, folder / "nowhere",
               [&] { load_model_with_tokenizer(folder / "nowhere"); });
}

TEST(LoadModelWithTokenizer, RefusesATokenizerWithMoreIdsThanTheEmbeddingHasRows) {
  const TemporaryFolder folder;
  save_model(folder / "model", Model(testing::tiny_config(), 1), nullptr);
  std::filesystem::copy(testing::golden_folder("t5-v1_1-tiny") + "/spiece.model",
                        folder / "model/spiece.model");
  expect_error(ErrorCode::ShapeMismatch, "1500",
               [&] { load_model_with_tokenizer(folder / "model"); });
}

TEST(SaveModel, KeepsTheTokenizerAndReplacesWhatWasThere) {
  const TemporaryFolder folder;
  const LoadedModel golden = load_model_with_tokenizer(testing::golden_folder("t5-v1_1-tiny"));
  save_model(folder / "model", *golden.model, golden.tokenizer.get());
  const LoadedModel loaded = load_model_with_tokenizer(folder / "model");
  EXPECT_EQ(loaded.tokenizer->size(), 1500);
  expect_same(*loaded.model, *golden.model);
  save_model(folder / "model", Model(testing::tiny_config(), 1), nullptr);
  EXPECT_EQ(load_model(folder / "model").model->config().d_model, 16);
  EXPECT_FALSE(std::filesystem::exists(folder / "model/spiece.model"));
}

// ---- beginnings

TEST(SaveModel, CarriesWhatTransformersNeedsForAnArchitectureOfOurOwn) {
  const TemporaryFolder folder;
  const std::string code = folder / "m" + "/modeling_flanmoe.py";
  save_model(folder / "m", Model(testing::tiny_sparse_config()), nullptr);
  const std::string source =
      read_file(std::string(FLANMOE_SOURCE_DIR) + "/src/model/modeling_flanmoe.py");
  EXPECT_EQ(read_file(code), source);
  const Json config = load_json(folder / "m" + "/config.json");
  for (const auto& [kind, name] : config.at("auto_map").items()) {
    const std::string text = name.get<std::string>();
    EXPECT_TRUE(text.starts_with("modeling_flanmoe.")) << kind;
    EXPECT_CONTAINS(source, "class " + text.substr(text.find('.') + 1) + "(");
  }
  for (const ModelConfig& native : {switch_config(), testing::tiny_config()}) {
    save_model(folder / "m", Model(native), nullptr);
    EXPECT_FALSE(is_file(code));
    EXPECT_FALSE(load_json(folder / "m" + "/config.json").contains("auto_map"));
  }
}

TEST(Initialisation, HasTheStandardDeviationsOfT5) {
  ModelConfig config = testing::tiny_sparse_config();
  config.d_model = 96;
  config.d_kv = 24;
  config.num_heads = 4;
  config.d_ff = 160;
  config.vocab_size = 300;
  config.moe.num_experts = 16;
  config.set_moe(config.moe);
  const Model model(config, 5);
  const std::vector<std::pair<const char*, double>> kStd = {
      {"shared.weight", 1},
      {"lm_head.weight", std::sqrt(1 / 96.0)},
      {"encoder.block.0.layer.0.SelfAttention.q.weight", std::sqrt(1 / (96.0 * 24))},
      {"encoder.block.0.layer.0.SelfAttention.k.weight", std::sqrt(1 / 96.0)},
      {"decoder.block.1.layer.1.EncDecAttention.v.weight", std::sqrt(1 / 96.0)},
      {"decoder.block.1.layer.1.EncDecAttention.o.weight", std::sqrt(1 / 96.0)},
      {"encoder.block.0.layer.1.DenseReluDense.wi_0.weight", std::sqrt(1 / 96.0)},
      {"encoder.block.0.layer.1.DenseReluDense.wo.weight", std::sqrt(1 / 160.0)},
      {"encoder.block.1.layer.1.mlp.experts.wi_1.weight", std::sqrt(1 / 96.0)},
      {"encoder.block.1.layer.1.mlp.experts.wo.weight", std::sqrt(1 / 160.0)},
      {"encoder.block.1.layer.1.mlp.router.classifier.weight", 0.02}};
  std::map<std::string, at::Tensor> tensors;
  for (const nn::Parameter& parameter : model.parameters()) {
    tensors[parameter.name] = parameter.tensor.detach();
    if (parameter.tags.is_norm) {
      EXPECT_EQ(testing::compare(parameter.tensor, at::ones_like(parameter.tensor), 0), "");
    }
  }
  for (const auto& [name, std] : kStd) {
    ASSERT_TRUE(tensors.count(name)) << name;
    // The estimate of a standard deviation from n values has one of std / sqrt(2 n).
    const double n = static_cast<double>(tensors.at(name).numel());
    EXPECT_NEAR(tensors.at(name).to(at::kDouble).std().item<double>(), std,
                5 * std / std::sqrt(2 * n))
        << name;
    EXPECT_NEAR(tensors.at(name).to(at::kDouble).mean().item<double>(), 0, 5 * std / std::sqrt(n))
        << name;
  }
  const at::Tensor experts = tensors.at("encoder.block.1.layer.1.mlp.experts.wo.weight");
  EXPECT_NE(testing::compare(experts[0], experts[1], 1e-3), "");
}

TEST(Initialisation, IsAFunctionOfSeedAndName) {
  const Model a(testing::tiny_config(), 5), b(testing::tiny_config(), 5),
      c(testing::tiny_config(), 6);
  expect_same(a, b);
  EXPECT_NE(testing::compare_bits(a.parameters()[0].tensor, c.parameters()[0].tensor), "");
  ModelConfig longer = testing::tiny_config();
  longer.num_layers = 3;  // what both have is the same
  const Model d(longer, 5);
  for (const nn::Parameter& parameter : a.parameters())
    for (const nn::Parameter& other : d.parameters())
      if (other.name == parameter.name) {
        EXPECT_EQ(testing::compare_bits(other.tensor, parameter.tensor), "") << other.name;
      }
}

}  // namespace
}  // namespace flanmoe::model
