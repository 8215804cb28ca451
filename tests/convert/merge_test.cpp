// Merged weights compute what base and adapter computed.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "convert/merge_adapter.h"
#include "model/adapter_folder.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/tiny_adapter.h"
#include "support/tiny_model.h"

namespace flanmoe::convert {
namespace {

at::Tensor logits(const model::Model& model) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> ids, targets;
  for (int64_t i = 0; i < 18; ++i) ids.push_back(2 + (i * 7) % 40);
  for (int64_t i = 0; i < 10; ++i) targets.push_back(2 + (i * 11) % 40);
  const model::ModelInput input =
      model::make_input(testing::index_tensor(ids, {2, 9}), {},
                        testing::index_tensor(targets, {2, 5}), {}, model.config());
  nn::Context context;
  context.compute_dtype = model.parameters().front().tensor.scalar_type();
  return model.forward(input, context);
}

const std::set<std::string> kMergeable = {"ia3", "lora", "norm"};

bool is_mergeable(const std::vector<std::string>& components) {
  for (const std::string& component : components)
    if (!kMergeable.contains(component.substr(0, component.find(',')))) return false;
  return true;
}

model::ModelConfig ungated_config() {
  model::ModelConfig config = testing::tiny_config();
  config.feed_forward = model::FeedForwardKind::Relu;
  return config;
}

TEST(MergeAdapter, ComputesTheSameInDoublePrecision) {
  for (const model::ModelConfig& config :
       {testing::tiny_config(), ungated_config(), testing::tiny_sparse_config()}) {
    auto all = testing::adapters_of_all_kinds();
    const std::string first = config.feed_forward == model::FeedForwardKind::Relu ? "wi" : "wi_0";
    // Products and scales at one place, in both orders.
    all.push_back({"ia3,sites=act|wo|k", "lora,sites=" + first + "|wo|k"});
    all.push_back({"lora,sites=" + first + "|wo|k", "ia3,sites=act|wo|k"});
    for (const auto& components : all) {
      model::Model model(config, 3, at::kDouble);
      const auto adapter = testing::make_adapter(model, components, 5);
      SCOPED_TRACE(peft::to_spec(adapter->config()));
      const at::Tensor plain = logits(model);
      if (!is_mergeable(components)) {
        expect_error(ErrorCode::Unsupported, "cannot be merged",
                     [&] { merge_adapter(model, *adapter); });
        EXPECT_EQ(testing::compare_bits(logits(model), plain), "");
        continue;
      }
      model.activate(model.attach(adapter));
      const at::Tensor attached = logits(model);
      model.activate(std::nullopt);
      merge_adapter(model, *adapter);
      EXPECT_EQ(testing::compare(logits(model), attached, 1e-9, 1e-9), "");
      EXPECT_NE(testing::compare(plain, attached, 1e-3), "");
    }
  }
}

TEST(MergeFolder, GivesAWholeModelThatComputesWhatPeftsAdapterDoes) {
  for (const char* name : {"t5-v1_1-tiny-lora", "t5-v1_1-tiny-ia3-wo", "t5-v1_1-tiny-ia3-wi1"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const std::string source = testing::golden_folder(name);
    const MergeResult result = merge_folder(source, folder / "merged");
    EXPECT_GT(result.num_weights, 0);
    const model::LoadedModel attached = model::load_model(source),
                             merged = model::load_model(folder / "merged");
    EXPECT_TRUE(merged.tokenizer);
    EXPECT_TRUE(merged.model->adapter_names().empty());
    // about what `peft` has between its merged weights and its adapter
    const at::Tensor difference = logits(*merged.model).sub(logits(*attached.model)).abs();
    EXPECT_LT(difference.max().item<double>(), 1e-4);
  }
}

TEST(MergeFolder, RefusesMixturesAndPromptsBeforeItReadsWeights) {
  for (const std::string kind : {"mov", "molora", "prompt"}) {
    if (!peft::kind_registry().contains(kind)) continue;
    const TemporaryFolder folder;
    const model::Model model(testing::tiny_config(), 3);
    model::save_model(folder / "base", model, nullptr);
    const auto adapter = testing::make_adapter(model, {kind}, 1);
    model::save_adapter(folder / "adapter", *adapter, model, {folder / "base", ""});
    std::filesystem::remove((folder / "base") + "/model.safetensors");
    expect_error(ErrorCode::Unsupported, "'" + kind + "' cannot be merged",
                 [&] { (void)merge_folder(folder / "adapter", folder / "merged"); });
    EXPECT_FALSE(std::filesystem::exists(folder / "merged"));
  }
  peft::Config config;
  config.components.resize(1);
  config.components[0].kind = "mov";
  expect_error(ErrorCode::Unsupported, "anew for every token", [&] { check_mergeable(config); });
  config.components[0].kind = "prompt";
  expect_error(ErrorCode::Unsupported, "before the input", [&] { check_mergeable(config); });
}

TEST(MergeFolder, RefusesAnotherBase) {
  const TemporaryFolder folder;
  const model::Model model(testing::tiny_config(), 3), other(testing::tiny_config(), 4);
  model::save_model(folder / "base", model, nullptr);
  model::save_model(folder / "other", other, nullptr);
  const auto adapter = testing::make_adapter(model, {"lora"}, 1);
  model::save_adapter(folder / "adapter", *adapter, model,
                      {folder / "base", model::base_hash(folder / "base")});
  model::LoadOptions options;
  options.base = folder / "other";
  expect_error(ErrorCode::ShapeMismatch, "hash", [&] {
    (void)merge_folder(folder / "adapter", folder / "merged", at::kFloat, options);
  });
  expect_error(ErrorCode::NotFound, "whole model",
               [&] { (void)merge_folder(folder / "base", folder / "merged"); });
}

}  // namespace
}  // namespace flanmoe::convert
