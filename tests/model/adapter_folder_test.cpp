// Adapters as folders of `peft`: its own folders compute what it computes (tests/golden), what is
// written comes back, and what does not fit is named.
#include "model/adapter_folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "model/folder.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/tiny_adapter.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

using testing::compare;
using testing::compare_bits;
using testing::make_adapter;

ModelInput golden_input(const testing::Golden& golden, const ModelConfig& config) {
  const at::Tensor& labels = golden["labels"];
  const at::Tensor is_real = labels.ne(-100);
  return make_input(golden["input_ids"], golden["attention_mask"], labels.mul(is_real),
                    is_real.to(at::kLong), config);
}

ModelInput tiny_input(const ModelConfig& config) {
  std::vector<int64_t> ids, targets;
  for (int64_t i = 0; i < 14; ++i) ids.push_back(2 + (i * 7) % 40);
  for (int64_t i = 0; i < 8; ++i) targets.push_back(2 + (i * 11) % 40);
  return make_input(testing::index_tensor(ids, {2, 7}), {}, testing::index_tensor(targets, {2, 4}),
                    {}, config);
}

at::Tensor logits(const Model& model, const ModelInput& input) {
  const at::NoGradGuard no_grad;
  nn::Context context;
  return model.forward(input, context);
}

at::Tensor real(const at::Tensor& x_BLD, const nn::TokenLayout& layout) {
  return x_BLD.reshape({-1, x_BLD.size(2)}).index_select(0, layout.real_index_N);
}

ModelConfig ungated_config() {
  ModelConfig config = testing::tiny_config();
  config.feed_forward = FeedForwardKind::Relu;
  config.has_tied_embeddings = config.scales_decoder_outputs = true;
  return config;
}

void expect_same(const peft::Adapter& got, const peft::Adapter& want) {
  ASSERT_EQ(got.parameters().size(), want.parameters().size());
  for (size_t i = 0; i < want.parameters().size(); ++i) {
    EXPECT_EQ(got.parameters()[i].name, want.parameters()[i].name);
    EXPECT_EQ(compare_bits(got.parameters()[i].tensor, want.parameters()[i].tensor), "")
        << want.parameters()[i].name;
  }
}

// --- golden
// ---------------------------------------------------------------------------------------

class GoldenAdapter : public ::testing::TestWithParam<const char*> {
 protected:
  testing::Golden golden_ = testing::load_golden(GetParam());
};

TEST_P(GoldenAdapter, ComputesWhatPeftComputes) {
  const LoadedModel loaded = load_model(golden_.folder);
  const Model& model = *loaded.model;
  EXPECT_EQ(loaded.folder, golden_.folder);
  EXPECT_TRUE(loaded.base_folder.ends_with("t5-v1_1-tiny"));
  ASSERT_TRUE(loaded.tokenizer);
  const peft::Adapter& adapter = model.adapter(*model.active_adapter());
  EXPECT_EQ(nn::num_elements(adapter.parameters()),
            golden_.expected["n_adapter_parameters"].get<int64_t>());

  const ModelInput input = golden_input(golden_, model.config());
  EXPECT_EQ(compare(real(logits(model, input), input.decoder),
                    real(golden_["logits"], input.decoder), 2e-4, 1e-4),
            "");
  nn::Context context;
  const LossOutput output = model.loss(input, context);
  EXPECT_NEAR(output.loss.item<double>(), golden_.expected["loss"].get<double>(), 1e-5 * 5);

  output.loss.backward();
  size_t num_compared = 0;
  for (const auto& [name, want] : golden_.tensors) {
    constexpr std::string_view kGradient = "grad.base_model.model.";
    if (!name.starts_with(kGradient)) continue;
    // The input of wo and the output of wi_1 are scaled where the activated value is.
    std::string parameter_name = name.substr(kGradient.size());
    for (const std::string end : {".wo.ia3_l", ".wi_1.ia3_l"})
      if (parameter_name.ends_with(end))
        parameter_name.replace(parameter_name.size() - end.size(), end.size(), ".act.ia3_l");
    for (const nn::Parameter& parameter : adapter.parameters()) {
      if (parameter.name != parameter_name) continue;
      ++num_compared;
      const at::Tensor& got = parameter.tensor.grad();
      ASSERT_TRUE(got.defined()) << name;
      EXPECT_EQ(compare(got, want.reshape(got.sizes()), 1e-3 * want.abs().max().item<double>()), "")
          << name;
    }
  }
  EXPECT_EQ(num_compared, golden_.expected["n_adapter_tensors"].get<size_t>());
}

TEST_P(GoldenAdapter, IsWrittenAsPeftWroteIt) {
  const TemporaryFolder folder;
  const LoadedModel loaded = load_model(golden_.folder);
  const peft::Adapter& adapter = loaded.model->adapter(*loaded.model->active_adapter());
  save_adapter(folder / "adapter", adapter, *loaded.model, {loaded.base_folder, ""});
  const auto got = checkpoint::load_safetensors((folder / "adapter") + "/" + kAdapterWeightsFile);
  // The activated value's vector is written as that of wi_1.
  const std::string like = std::string(GetParam()) == "t5-v1_1-tiny-ia3-wo"
                               ? testing::golden_folder("t5-v1_1-tiny-ia3-wi1")
                               : golden_.folder;
  const auto want = checkpoint::load_safetensors(like + "/" + kAdapterWeightsFile);
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_EQ(compare_bits(got.at(name), tensor), "") << name;
  }
  const Json json = load_json((folder / "adapter") + "/" + kAdapterConfigFile),
             original = load_json(like + "/" + kAdapterConfigFile);
  for (const auto& [key, value] : json.items()) {
    if (key == "base_model_name_or_path") continue;
    ASSERT_TRUE(original.contains(key)) << key;
    EXPECT_EQ(value, original[key]) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenAdapter,
                         ::testing::Values("t5-v1_1-tiny-lora", "t5-v1_1-tiny-ia3-wo",
                                           "t5-v1_1-tiny-ia3-wi1"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

// --- there and back
// -------------------------------------------------------------------------------

TEST(AdapterFolder, ComesBackBitByBitOfEveryKind) {
  for (const ModelConfig& config :
       {testing::tiny_config(), ungated_config(), testing::tiny_sparse_config()}) {
    const TemporaryFolder folder;
    Model model(config, 3);
    save_model(folder / "base", model, nullptr);
    const std::string hash = base_hash(folder / "base");
    const ModelInput input = tiny_input(config);
    uint64_t seed = 0;
    for (const auto& components : testing::adapters_of_all_kinds()) {
      const auto adapter = make_adapter(model, components, ++seed, "one");
      const std::string path = (folder / "adapter") + std::to_string(seed);
      SCOPED_TRACE(peft::to_spec(adapter->config()) + (config.is_sparse() ? ", sparse" : ""));
      save_adapter(path, *adapter, model, {folder / "base", hash});
      const LoadedModel loaded = load_model(path);
      const peft::Adapter& back = loaded.model->adapter(*loaded.model->active_adapter());
      EXPECT_EQ(peft::to_spec(back.config()), peft::to_spec(adapter->config()));
      expect_same(back, *adapter);
      const at::Tensor plain = logits(model, input);
      model.activate(model.attach(adapter));
      const at::Tensor want = logits(model, input);
      EXPECT_EQ(compare_bits(logits(*loaded.model, input), want), "");
      // a prompt stands before inputs that have its ids
      if (components.front() != "prompt")
        EXPECT_GT(want.sub(plain).abs().max().item<double>(), 1e-3);
      model.activate(std::nullopt);
      model.detach("one");

      // once more, into the same folder, the same bytes
      const std::string config_text = get_file(path + "/" + kAdapterConfigFile),
                        weights = get_file(path + "/" + kAdapterWeightsFile);
      save_adapter(path, back, *loaded.model, {folder / "base", hash});
      EXPECT_EQ(get_file(path + "/" + kAdapterConfigFile), config_text);
      EXPECT_TRUE(get_file(path + "/" + kAdapterWeightsFile) == weights);
    }
  }
}

TEST(AdapterFolder, HasPeftsTypeWherePeftHasIt) {
  const TemporaryFolder folder;
  const Model model(testing::tiny_config(), 3);
  const auto type_of = [&](const std::vector<std::string>& components) {
    const auto adapter = make_adapter(model, components, 1);
    return parse_json(describe_adapter(folder / "a", *adapter, model, {"base", ""}).config, "")
        .at("peft_type")
        .get<std::string>();
  };
  EXPECT_EQ(type_of({"lora"}), "LORA");
  EXPECT_EQ(type_of({"lora,sites=q,rank=2", "lora,sites=v,rank=3"}), "LORA");
  EXPECT_EQ(type_of({"ia3"}), "IA3");
  EXPECT_EQ(type_of({"ia3,sites=wi_1|act|wo"}), "FLANMOE");  // wo once by input, once by output
  EXPECT_EQ(type_of({"ia3,sites=wi_1|act"}), "IA3");
  EXPECT_EQ(type_of({"ia3,sites=k", "lora,sites=v"}), "FLANMOE");
  const std::map<std::string, std::string> others = {{"norm", "LN_TUNING"},
                                                     {"prompt", "PROMPT_TUNING"},
                                                     {"mov", "FLANMOE"},
                                                     {"molora", "FLANMOE"}};
  for (const auto& [kind, type] : others) {
    if (peft::kind_registry().contains(kind)) EXPECT_EQ(type_of({kind}), type);
  }
}

TEST(AdapterFolder, KeepsWhatSitesOfManyFormsMean) {
  const TemporaryFolder folder;
  const Model model(testing::tiny_config(), 3);
  for (const std::vector<std::string>& components : std::vector<std::vector<std::string>>{
           {"lora,sites=SelfAttention.q"},
           {"lora,sites=/encoder.*wi_0/|EncDecAttention.o,rank=2,alpha=5"},
           {"lora,sites=q,rank=2,alpha=3", "lora,sites=v,rank=5,alpha=0.5"},
           {"ia3,sites=/decoder.*(k|act)$/"},
           {"ia3,sites=wi_1|act"},
           {"ia3,sites=q|wo"}}) {
    const auto adapter = make_adapter(model, components, 5);
    SCOPED_TRACE(peft::to_spec(adapter->config()));
    save_adapter(folder / "adapter", *adapter, model, {"nowhere", ""});
    const auto back = load_adapter(folder / "adapter", "back", model);
    // (IA)3 of one feed-forward output may come back as that of the activated value: they agree.
    std::map<std::string, at::Tensor> tensors;
    for (const nn::Parameter& parameter : back->parameters())
      tensors[parameter.name] = parameter.tensor;
    ASSERT_EQ(tensors.size(), adapter->parameters().size());
    for (const nn::Parameter& parameter : adapter->parameters()) {
      ASSERT_TRUE(tensors.contains(parameter.name)) << parameter.name;
      EXPECT_EQ(compare_bits(tensors[parameter.name], parameter.tensor), "") << parameter.name;
    }
    Model first(testing::tiny_config(), 3), second(testing::tiny_config(), 3);
    first.activate(first.attach(adapter));
    second.activate(second.attach(back));
    const ModelInput input = tiny_input(first.config());
    EXPECT_EQ(compare_bits(logits(first, input), logits(second, input)), "");
  }
}

TEST(AdapterFolder, IsSmallForAMixtureOnTheBaseShape) {
  if (!peft::kind_registry().contains("mov")) return;
  const TemporaryFolder folder;
  const Model model(named_size("flan-t5-base"), std::nullopt);
  const peft::Adapter adapter("mov", peft::parse_components({"mov,num_experts=10"}), model.sites(),
                              0);
  save_adapter(folder / "adapter", adapter, model, {"google/flan-t5-base", ""});
  int64_t bytes = 0;
  for (const std::string& file : list_files(folder / "adapter"))
    bytes += static_cast<int64_t>(get_file(file).size());
  EXPECT_LT(bytes, 7'000'000);
}

// --- foreign folders
// ------------------------------------------------------------------------------

class ForeignFolder : public ::testing::Test {
 protected:
  ForeignFolder() : model_(testing::tiny_config(), 3) {
    config_ = {{"peft_type", "LORA"},
               {"base_model_name_or_path", "some/base"},
               {"target_modules", {"q", "v"}},
               {"r", 2},
               {"lora_alpha", 4},
               {"task_type", "SEQ_2_SEQ_LM"}};
    add("q", 2);
    add("v", 2);
  }
  // LoRA tensors of every module of this name.
  void add(const std::string& end, int64_t rank) {
    uint64_t seed = 0;
    for (const nn::Site& site : model_.sites()) {
      if (!site.name.ends_with("." + end)) continue;
      const std::string name = "base_model.model." + site.name;
      tensors_[name + ".lora_A.weight"] =
          testing::random_tensor({rank, site.in_dim}, ++seed, at::kFloat);
      tensors_[name + ".lora_B.weight"] =
          testing::random_tensor({site.out_dim, rank}, ++seed, at::kFloat);
    }
  }
  std::string write() {
    std::filesystem::create_directories(folder_ / "adapter");
    put_file((folder_ / "adapter") + "/adapter_config.json", config_.dump());
    checkpoint::save_safetensors((folder_ / "adapter") + "/adapter_model.safetensors", tensors_);
    return folder_ / "adapter";
  }
  std::shared_ptr<const peft::Adapter> load() { return load_adapter(write(), "foreign", model_); }
  void expect_refused(ErrorCode code, const std::string& part, const std::string& other = "") {
    const std::string message = error_of(code, [&] { (void)load(); });
    EXPECT_CONTAINS(message, part);
    EXPECT_CONTAINS(message, other);
  }
  // What the adapter adds to the output of a projection for an input of ones.
  at::Tensor change_at(const peft::Adapter& adapter, const std::string& site) {
    const at::NoGradGuard no_grad;
    for (const peft::Adapter::Part& part : adapter.parts()) {
      if (part.site != site) continue;
      const int64_t in = part.parameters[0].tensor.size(1), out = part.parameters[1].tensor.size(0);
      const nn::TokenLayout layout = nn::make_layout(1, 1);
      const nn::Context context;
      const at::Tensor x = testing::random_tensor({1, 1, in}, 9, at::kFloat);
      return part.delta->apply(x, testing::random_tensor({1, 1, out}, 9, at::kFloat).mul(0),
                               {context, layout, x, {}});
    }
    return {};
  }
  at::Tensor expected_change(const std::string& site, double scale) {
    const at::Tensor &a = tensors_.at("base_model.model." + site + ".lora_A.weight"),
                     &b = tensors_.at("base_model.model." + site + ".lora_B.weight");
    const at::Tensor x = testing::random_tensor({1, 1, a.size(1)}, 9, at::kFloat);
    return at::matmul(at::matmul(x, a.t()), b.t()).mul(scale);
  }

  TemporaryFolder folder_;
  Model model_;
  Json config_;
  checkpoint::NamedTensors tensors_;
};

constexpr const char* kQ = "encoder.block.0.layer.0.SelfAttention.q";
constexpr const char* kV = "encoder.block.1.layer.0.SelfAttention.v";

TEST_F(ForeignFolder, HasAlphaOverRank) {
  const auto adapter = load();
  EXPECT_EQ(peft::to_spec(adapter->config()), "lora,sites=q|v,rank=2,alpha=4");
  EXPECT_EQ(compare(change_at(*adapter, kQ), expected_change(kQ, 2), 1e-4), "");
}

TEST_F(ForeignFolder, HasAlphaOverTheRootOfRankWithRslora) {
  config_["use_rslora"] = true;
  EXPECT_EQ(compare(change_at(*load(), kQ), expected_change(kQ, 4 / std::sqrt(2.0)), 1e-4), "");
}

TEST_F(ForeignFolder, HasRanksAndAlphasByPattern) {
  add("v", 3);
  config_["rank_pattern"] = {{"SelfAttention.v", 3}, {".*EncDecAttention\\.v", 3}};
  config_["alpha_pattern"] = {{"block.1.layer.0.SelfAttention.v", 7}};
  const auto adapter = load();
  EXPECT_EQ(adapter->config().components.size(), 3u);
  EXPECT_EQ(compare(change_at(*adapter, kQ), expected_change(kQ, 2), 1e-4), "");
  EXPECT_EQ(compare(change_at(*adapter, kV), expected_change(kV, 7.0 / 3), 1e-4), "");
  const std::string other = "encoder.block.0.layer.0.SelfAttention.v";
  EXPECT_EQ(compare(change_at(*adapter, other), expected_change(other, 4.0 / 3), 1e-4), "");
}

TEST_F(ForeignFolder, MayNameItsModulesByARegularExpression) {
  config_["target_modules"] = ".*\\.(q|v)";
  EXPECT_EQ(load()->parameters().size(), tensors_.size());
  config_["target_modules"] = ".*\\.(q|k|v)";
  expect_refused(ErrorCode::CorruptFile, "SelfAttention.k");
  config_["exclude_modules"] = {"k"};
  EXPECT_EQ(load()->parameters().size(), tensors_.size());
}

TEST_F(ForeignFolder, MayBeOnAllLinearModules) {
  for (const char* end : {"k", "o", "wi_0", "wi_1", "wo"}) add(end, 2);
  config_["target_modules"] = "all-linear";
  const auto adapter = load();
  EXPECT_EQ(adapter->parameters().size(), tensors_.size());
}

TEST_F(ForeignFolder, MayBeOnSomeLayersAlone) {
  std::erase_if(tensors_, [](const auto& entry) {
    return entry.first.find("block.0.") != std::string::npos;
  });
  expect_refused(ErrorCode::CorruptFile, "target_modules", "block.0");
  config_["layers_to_transform"] = {1};
  EXPECT_EQ(load()->parameters().size(), tensors_.size());
}

TEST_F(ForeignFolder, MayBeHalfPrecision) {
  for (auto& [name, tensor] : tensors_) tensor = tensor.to(at::kBFloat16);
  const auto adapter = load();
  for (const nn::Parameter& parameter : adapter->parameters()) {
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat);
    EXPECT_EQ(compare(parameter.tensor, tensors_.at("base_model.model." + parameter.name), 0), "");
  }
}

TEST_F(ForeignFolder, IsRefusedWithTheKeyThatWeCannotExpress) {
  const Json original = config_;
  const std::pair<const char*, Json> cases[] = {{"use_dora", true},
                                                {"bias", "all"},
                                                {"modules_to_save", {"lm_head"}},
                                                {"lora_bias", true},
                                                {"layer_replication", {{0, 1}}},
                                                {"trainable_token_indices", {1, 2}},
                                                {"target_parameters", {"x"}},
                                                {"init_lora_weights", "pissa"},
                                                {"use_qalora", true},
                                                {"a_key_of_tomorrow", 3}};
  for (const auto& [key, value] : cases) {
    config_ = original;
    config_[key] = value;
    expect_refused(ErrorCode::Unsupported, std::string("'") + key + "'", "cannot express");
  }
  config_ = original;
  config_["peft_type"] = "VERA";
  expect_refused(ErrorCode::Unsupported, "VERA", "LORA, IA3");
  config_ = original;
  config_["target_modules"] = {"q", "v", "lm_head"};
  expect_refused(ErrorCode::Unsupported, "lm_head");
  config_ = original;
  config_["r"] = 0;
  expect_refused(ErrorCode::InvalidConfig, "'r'");
  config_ = original;
  config_["target_modules"] = "(";
  expect_refused(ErrorCode::InvalidConfig, "target_modules", "regular expression");
}

TEST_F(ForeignFolder, NamesTensorsThatDoNotFit) {
  const auto original = tensors_;
  const std::string name = std::string("base_model.model.") + kQ + ".lora_B.weight";
  tensors_.erase(name);
  expect_refused(ErrorCode::CorruptFile, std::string(kQ) + ".lora_B.weight", "not in the file");
  tensors_ = original;
  tensors_["base_model.model.lm_head.weight"] = testing::random_tensor({3, 3}, 1, at::kFloat);
  expect_refused(ErrorCode::CorruptFile, "lm_head.weight", "belong to no parameter");
  tensors_ = original;
  tensors_[name] = testing::random_tensor({9, 2}, 1, at::kFloat);
  expect_refused(ErrorCode::ShapeMismatch, "[9, 2]", "[16, 2]");
  tensors_ = original;
  const std::string deep = "base_model.model.encoder.block.7.layer.0.SelfAttention.q.lora_A.weight";
  tensors_[deep] = testing::random_tensor({2, 16}, 1, at::kFloat);
  expect_refused(ErrorCode::ShapeMismatch, "encoder.block.7", "another base");
}

TEST_F(ForeignFolder, OfIa3ScalesInputsOfWoAlone) {
  tensors_.clear();
  config_ = {{"peft_type", "IA3"}, {"target_modules", {"k", "o"}}, {"feedforward_modules", {"o"}}};
  for (const nn::Site& site : model_.sites())
    for (const std::string end : {".k", ".o"})
      if (site.name.ends_with(end))
        tensors_["base_model.model." + site.name + ".ia3_l"] = testing::random_tensor(
            {end == ".k" ? site.out_dim : 1, end == ".k" ? 1 : site.in_dim}, 1, at::kFloat);
  expect_refused(ErrorCode::Unsupported, "feedforward_modules", "only that of wo");
}

TEST_F(ForeignFolder, IsNotThereOrNotWhole) {
  expect_error(ErrorCode::NotFound, folder_ / "nowhere",
               [&] { (void)load_adapter(folder_ / "nowhere", "x", model_); });
  const std::string path = write();
  std::filesystem::remove(path + "/adapter_model.safetensors");
  expect_error(ErrorCode::NotFound, "adapter_model.safetensors",
               [&] { (void)load_adapter(path, "x", model_); });
  write();
  put_file(path + "/adapter_config.json", "[]");
  expect_error(ErrorCode::CorruptFile, "adapter_config.json",
               [&] { (void)load_adapter(path, "x", model_); });
}

// --- the base
// -------------------------------------------------------------------------------------

class WithBase : public ::testing::Test {
 protected:
  WithBase() : model_(testing::tiny_config(), 3) {
    save_model(folder_ / "base", model_, nullptr);
    adapter_ = make_adapter(model_, {"lora"}, 1);
    save_adapter(folder_ / "adapter", *adapter_, model_,
                 {folder_ / "base", base_hash(folder_ / "base")});
  }
  TemporaryFolder folder_;
  Model model_;
  std::shared_ptr<const peft::Adapter> adapter_;
};

TEST_F(WithBase, FindsItWhereItIsNamed) {
  const AdapterBase base = find_adapter_base(folder_ / "adapter");
  EXPECT_EQ(base.path, folder_ / "base");
  EXPECT_EQ(base.hash, base_hash(folder_ / "base"));
  EXPECT_TRUE(is_adapter_folder(folder_ / "adapter"));
  EXPECT_FALSE(is_adapter_folder(folder_ / "base"));
  EXPECT_EQ(load_model_config(folder_ / "adapter").d_model, 16);
}

TEST_F(WithBase, FindsItAfterBothWereMoved) {
  std::filesystem::create_directories(folder_ / "elsewhere");
  for (const char* name : {"base", "adapter"})
    std::filesystem::rename(folder_ / name, (folder_ / "elsewhere") + "/" + name);
  EXPECT_EQ(load_model((folder_ / "elsewhere") + "/adapter").base_folder,
            (folder_ / "elsewhere") + "/base");
}

TEST_F(WithBase, IsGivenWhereItIsLost) {
  std::filesystem::rename(folder_ / "base", folder_ / "other");
  const std::string message =
      error_of(ErrorCode::NotFound, [&] { (void)load_model(folder_ / "adapter"); });
  EXPECT_CONTAINS(message, folder_ / "base");
  EXPECT_CONTAINS(message, "--base DIR");
  LoadOptions options;
  options.base = folder_ / "other";
  EXPECT_EQ(load_model(folder_ / "adapter", at::kFloat, at::kCPU, options).base_folder,
            folder_ / "other");
  expect_error(ErrorCode::InvalidArgument, "no adapter's folder",
               [&] { (void)load_model(folder_ / "other", at::kFloat, at::kCPU, options); });
}

TEST_F(WithBase, OfOtherWeightsIsRefusedUnlessToldOtherwise) {
  save_model(folder_ / "base", Model(testing::tiny_config(), 4), nullptr);
  const std::string message =
      error_of(ErrorCode::ShapeMismatch, [&] { (void)load_model(folder_ / "adapter"); });
  EXPECT_CONTAINS(message, "hash");
  EXPECT_CONTAINS(message, "--ignore-base-hash");
  LoadOptions options;
  options.ignores_base_hash = true;
  (void)load_model(folder_ / "adapter", at::kFloat, at::kCPU, options);
}

TEST_F(WithBase, OfAnotherShapeIsRefused) {
  ModelConfig wide = testing::tiny_config();
  wide.num_heads = 3;
  save_model(folder_ / "base", Model(wide, 3), nullptr);
  LoadOptions options;
  options.ignores_base_hash = true;
  for (const bool ignores : {false, true}) {
    options.ignores_base_hash = ignores;
    const std::string message = error_of(ErrorCode::ShapeMismatch, [&] {
      (void)load_model(folder_ / "adapter", at::kFloat, at::kCPU, options);
    });
    EXPECT_CONTAINS(message, "another base");
  }
  ModelConfig deep = testing::tiny_config();
  deep.num_layers = 3;
  save_model(folder_ / "base", Model(deep, 3), nullptr);
  expect_error(ErrorCode::CorruptFile, "is it for this base?",
               [&] { (void)load_model(folder_ / "adapter"); });
}

TEST_F(WithBase, HashIsOfContentNotOfFiles) {
  const std::string hash = base_hash(folder_ / "base");
  save_model(folder_ / "shards", model_, nullptr, /*max_shard_bytes=*/4000);
  EXPECT_EQ(base_hash(folder_ / "shards"), hash);
  put_file((folder_ / "shards") + "/README.md", "notes");
  EXPECT_EQ(base_hash(folder_ / "shards"), hash);
  const at::NoGradGuard no_grad;
  model_.parameters().back().tensor.detach().view(-1)[0] += 1e-3;
  save_model(folder_ / "changed", model_, nullptr);
  EXPECT_NE(base_hash(folder_ / "changed"), hash);
}

TEST_F(WithBase, ServesSeveralAdapters) {
  const auto other = make_adapter(model_, {"ia3"}, 2);
  save_adapter(folder_ / "other", *other, model_, {folder_ / "base", ""});
  LoadOptions options;
  options.adapters = {{"a", folder_ / "adapter"}, {"b", folder_ / "other"}};
  const LoadedModel both = load_model(folder_ / "base", at::kFloat, at::kCPU, options);
  EXPECT_EQ(both.model->adapter_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(both.model->active_adapter());
  options.adapters.pop_back();
  const LoadedModel one = load_model(folder_ / "base", at::kFloat, at::kCPU, options);
  EXPECT_EQ(one.model->adapter_number("a"), *one.model->active_adapter());
  options.adapters = {{"b", folder_ / "other"}};
  const LoadedModel own = load_model(folder_ / "adapter", at::kFloat, at::kCPU, options);
  EXPECT_EQ(own.model->adapter_number("default"), *own.model->active_adapter());
  EXPECT_EQ(own.model->adapter_names().size(), 2u);
}

TEST_F(WithBase, IsNotAnAdapterItself) {
  expect_error(ErrorCode::Unsupported, "flanmoe merge",
               [&] { (void)ModelReader(folder_ / "adapter"); });
  LoadOptions options;
  options.adapters = {{"a", folder_ / "base"}};
  expect_error(ErrorCode::NotFound, "whole model",
               [&] { (void)load_model(folder_ / "base", at::kFloat, at::kCPU, options); });
}

TEST_F(WithBase, FillsAnAdapterThatIsThere) {
  const auto fresh =
      std::make_shared<peft::Adapter>("fresh", adapter_->config(), model_.sites(), 9);
  fill_adapter(*fresh, folder_ / "adapter", model_);
  expect_same(*fresh, *adapter_);
  const peft::Adapter other("other", peft::parse_components({"lora,rank=2"}), model_.sites(), 9);
  expect_error(ErrorCode::ShapeMismatch, "lora_A",
               [&] { fill_adapter(other, folder_ / "adapter", model_); });
}

// --- counts
// ---------------------------------------------------------------------------------------

// facts.md, item 65.
TEST(AdapterCounts, AreThoseOfTheReleasedCode) {
  const struct {
    const char *size, *component;
    int64_t count;
  } cases[] = {{"flan-t5-base", "ia3", 104'448},
               {"flan-t5-large", "ia3", 282'624},
               {"flan-t5-xl", "ia3", 540'672},
               {"flan-t5-xxl", "ia3", 1'081'344},
               {"flan-t5-large", "mov,num_experts=1", 427'008},
               {"flan-t5-xl", "mov,num_experts=1", 795'648},
               {"flan-t5-xl", "mov,num_experts=10", 7'956'480},
               {"flan-t5-xxl", "mov,num_experts=60", 94'924'800},
               {"flan-t5-large", "lora", 3'833'856},
               {"flan-t5-xl", "lora", 7'471'104},
               {"flan-t5-xxl", "lora", 14'942'208},
               {"flan-t5-large", "molora,num_experts=1", 4'313'088},
               {"flan-t5-xl", "molora,num_experts=15", 126'074'880},
               {"flan-t5-xxl", "molora,num_experts=1", 16'809'984}};
  size_t num_checked = 0;
  for (const auto& [size, component, count] : cases) {
    const std::string kind = std::string(component).substr(0, std::string(component).find(','));
    if (!peft::kind_registry().contains(kind)) continue;
    const Model shape(named_size(size), std::nullopt, at::kFloat, at::kMeta);
    const peft::Adapter adapter("new", peft::parse_components({component}), shape.sites(), 0);
    EXPECT_EQ(nn::num_elements(adapter.parameters()), count) << size << " " << component;
    ++num_checked;
  }
  EXPECT_GE(num_checked, 7u);
}

}  // namespace
}  // namespace flanmoe::model
