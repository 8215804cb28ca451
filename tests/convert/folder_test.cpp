// From folder to folder: the bytes of the same in memory, whole or not at all, a few tensors at a
// time.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "convert/average.h"
#include "convert/upcycle.h"
#include "model/folder.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::convert {
namespace {

void expect_same_files(const std::string& a, const std::string& b) {
  const std::vector<std::string> in_a = list_files(a), in_b = list_files(b);
  ASSERT_EQ(in_a.size(), in_b.size());
  for (size_t i = 0; i < in_a.size(); ++i) {
    EXPECT_EQ(in_a[i].substr(a.size()), in_b[i].substr(b.size()));
    EXPECT_TRUE(read_file(in_a[i]) == read_file(in_b[i])) << in_a[i];
  }
}

// What `call` was doing is stopped at once.
template <class Call>
void expect_interrupted(const Call& call) {
  set_interrupted(true);
  const std::string message = error_of(ErrorCode::Interrupted, call);
  set_interrupted(false);
  EXPECT_CONTAINS(message, "stopped");
}

UpcycleConfig config_with_everything() {
  UpcycleConfig config;
  config.moe.num_experts = 6;
  config.decoder_moe.num_experts = 4;
  config.moe.has_extra_feed_forward = true;
  config.expert_noise = 0.1;
  config.reinitialised_fraction = 0.5;
  config.seed = 3;
  return config;
}

TEST(UpcycleFolder, WritesTheBytesOfTheModelInMemory) {
  const TemporaryFolder folder;
  for (const char* name : {"t5-v1_1-tiny", "t5-v1_0-tiny"}) {
    SCOPED_TRACE(name);
    const std::string source = testing::golden_folder(name);
    for (const int64_t shard_bytes : {int64_t{200'000}, checkpoint::kMaxShardBytes})
      for (const UpcycleConfig& config : {UpcycleConfig(), config_with_everything()}) {
        const model::LoadedModel dense = model::load_model(source);
        model::save_model(folder / "memory", upcycle(*dense.model, config), dense.tokenizer.get(),
                          shard_bytes);
        const model::ModelConfig written =
            upcycle_folder(source, folder / "streamed", config, {.max_shard_bytes = shard_bytes});
        expect_same_files(folder / "memory", folder / "streamed");
        EXPECT_EQ(model::to_hf_config(written),
                  model::to_hf_config(model::load_model_config(folder / "streamed")));
      }
  }
}

TEST(UpcycleFolder, ReadsAndWritesHalfTheBits) {
  const TemporaryFolder folder;
  const model::Model dense(testing::tiny_config(), 4, at::kBFloat16);
  model::save_model(folder / "dense", dense, nullptr);
  EXPECT_EQ(load_json(folder / "dense/config.json")["torch_dtype"], "bfloat16");
  const UpcycleConfig config = config_with_everything();
  model::save_model(folder / "memory", upcycle(dense, config), nullptr);
  upcycle_folder(folder / "dense", folder / "streamed", config, {.dtype = at::kBFloat16});
  expect_same_files(folder / "memory", folder / "streamed");
}

TEST(UpcycleFolder, LeavesNothingWhereItWasStopped) {
  const TemporaryFolder folder;
  const std::string source = testing::golden_folder("t5-v1_1-tiny");
  expect_interrupted([&] { upcycle_folder(source, folder / "sparse", UpcycleConfig()); });
  EXPECT_EQ(folder.num_files(), 0u);

  upcycle_folder(source, folder / "sparse", UpcycleConfig());
  const std::string before = read_file(folder / "sparse/model.safetensors");
  expect_interrupted([&] { upcycle_folder(source, folder / "sparse", config_with_everything()); });
  EXPECT_EQ(folder.num_files(), 1u);
  EXPECT_TRUE(read_file(folder / "sparse/model.safetensors") == before);
}

TEST(UpcycleFolder, MayReplaceItsSource) {
  const TemporaryFolder folder;
  model::save_model(folder / "model", model::Model(testing::tiny_config(), 4), nullptr);
  upcycle_folder(folder / "model", folder / "elsewhere", UpcycleConfig());
  upcycle_folder(folder / "model", folder / "model", UpcycleConfig());
  expect_same_files(folder / "model", folder / "elsewhere");
}

TEST(UpcycleFolder, RemovesWhatAKilledOneLeft) {
  const TemporaryFolder folder;
  model::save_model(folder / "model", model::Model(testing::tiny_config(), 4), nullptr);
  put_file(folder / "sparse.tmp-999999999/model-00001-of-00002.safetensors", "half");
  upcycle_folder(folder / "model", folder / "sparse", UpcycleConfig());
  EXPECT_EQ(folder.num_files(), 2u);
}

// The peak of a process of its own, above what it held before: VmHWM only grows.
TEST(UpcycleFolder, HoldsAFewTensorsAtATime) {
  constexpr const char* kChild = "FLANMOE_TEST_UPCYCLE_CHILD";
  if (const char* child = std::getenv(kChild)) {
    const std::string root = child;
    UpcycleConfig config;
    config.moe.num_experts = config.decoder_moe.num_experts = 64;
    config.placement.every = 1;
    config.expert_noise = 0.01;
    const auto measure = [&](const std::string& out, const auto& call) {
      const int64_t before = peak_memory_bytes();
      call();
      put_file(root + "/" + out, std::to_string(peak_memory_bytes() - before));
    };
    measure("first", [&] { upcycle_folder(root + "/dense", root + "/sparse", config); });
    measure("averaged", [&] {
      average_folders({root + "/sparse", root + "/sparse"}, root + "/mean");
    });
    return;
  }

  const TemporaryFolder folder;
  model::ModelConfig shape = testing::tiny_config();
  shape.d_model = 128;
  shape.d_ff = 512;
  model::save_model(folder / "dense", model::Model(shape, 1), nullptr);
  char self[PATH_MAX] = {};
  ASSERT_GT(::readlink("/proc/self/exe", self, sizeof self - 1), 0);
  // AddressSanitizer keeps freed memory for a while, which is not what is measured
  const char* options = std::getenv("ASAN_OPTIONS");
  const std::string command =
      "ASAN_OPTIONS='" + std::string(options ? options : "") +
      ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64' " + kChild + "=" + folder.path() +
      " '" + self + "' --gtest_filter=UpcycleFolder.HoldsAFewTensorsAtATime > " + (folder / "log");
  ASSERT_EQ(std::system(command.c_str()), 0) << get_file(folder / "log");
  const auto output = get_file(folder / "sparse/model.safetensors").size();
  EXPECT_GT(output, 190'000'000u);
  for (const char* name : {"first", "averaged"}) {
    const int64_t peak = std::stoll(get_file(folder / name));
    RecordProperty(std::string(name) + "_peak_bytes", std::to_string(peak));
    EXPECT_LT(peak, 40'000'000) << name << " of " << output;
  }
}

TEST(UpcycleFolder, GoesUpTo512ExpertsAndEightAToken) {
  const TemporaryFolder folder;
  const model::Model dense(testing::tiny_config(), 4);
  model::save_model(folder / "dense", dense, nullptr);
  const auto logits = [](const model::Model& model) {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> ids;
    for (int32_t id : testing::random_row(model.config(), 12, 1)) ids.push_back(id);
    const at::Tensor row = testing::index_tensor(ids, {1, 12});
    nn::Context context;
    return model.forward(model::make_input(row, {}, row, {}, model.config()), context);
  };
  UpcycleConfig config;
  moe::Config moe;
  moe.router = "top-k";
  moe.num_experts = 512;
  moe.top_k = 8;
  moe.is_dropless = true;
  config.set_moe(moe);
  config.router_init_std = 0.5;
  for (const int64_t slices : {1, 8}) {
    config.slices = slices;
    upcycle_folder(folder / "dense", folder / "sparse", config);
    const model::LoadedModel sparse = model::load_model(folder / "sparse");
    EXPECT_EQ(sparse.model->config().decoder_moe.num_experts, 512);
    EXPECT_EQ(testing::compare(logits(*sparse.model), logits(dense), 1e-5, 1e-5), "") << slices;
  }
}

class AverageFolders : public ::testing::Test {
 protected:
  AverageFolders() : config_(testing::tiny_sparse_config()) {
    for (const uint64_t seed : {1, 2, 3})
      model::save_model(path(seed), model::Model(config_, seed), nullptr);
  }
  std::string path(uint64_t seed) const { return folder_ / ("model-" + std::to_string(seed)); }
  checkpoint::NamedTensors load(const std::string& folder) const {
    return checkpoint::load_folder(folder);
  }

  TemporaryFolder folder_;
  model::ModelConfig config_;
};

TEST_F(AverageFolders, IsTheMeanOfEveryTensor) {
  average_folders({path(1), path(2), path(3)}, folder_ / "mean");
  average_folders({path(1), path(2), path(3)}, folder_ / "weighted", {1, 0, 3});
  const auto a = load(path(1)), b = load(path(2)), c = load(path(3)), mean = load(folder_ / "mean"),
             weighted = load(folder_ / "weighted");
  ASSERT_EQ(mean.size(), a.size());
  for (const auto& [name, tensor] : mean) {
    const auto wide = [&](const checkpoint::NamedTensors& t) { return t.at(name).to(at::kDouble); };
    EXPECT_EQ(
        testing::compare_bits(tensor, wide(a).add(wide(b)).add(wide(c)).div(3).to(at::kFloat)), "")
        << name;
    EXPECT_EQ(
        testing::compare_bits(weighted.at(name), wide(a).add(wide(c), 3).div(4).to(at::kFloat)), "")
        << name;
  }
  (void)model::load_model(folder_ / "mean");
}

TEST_F(AverageFolders, OfOneModelIsThatModel) {
  average_folders({path(2)}, folder_ / "one");
  average_folders({path(2), path(2), path(2)}, folder_ / "three");
  average_folders({path(1), path(2)}, folder_ / "other", {0, 0.1});
  for (const char* name : {"one", "three", "other"}) expect_same_files(path(2), folder_ / name);
}

TEST_F(AverageFolders, NamesTheKeyThatDiffers) {
  config_.moe.num_experts = config_.decoder_moe.num_experts = 5;
  model::save_model(path(4), model::Model(config_, 4), nullptr);
  expect_error(ErrorCode::InvalidConfig,
               "num_experts is 4 in '" + path(1) + "' and 5 in '" + path(4), [&] {
                 average_folders({path(1), path(4)}, folder_ / "mean");
               });
  expect_error(ErrorCode::InvalidArgument, "there are 1 for 2 models", [&] {
    average_folders({path(1), path(2)}, folder_ / "mean", {1});
  });
  expect_error(ErrorCode::InvalidArgument, "found -1", [&] {
    average_folders({path(1), path(2)}, folder_ / "mean", {2, -1});
  });
  expect_error(ErrorCode::InvalidArgument, "all are 0",
               [&] { average_folders({path(1)}, folder_ / "mean", {0}); });
  EXPECT_FALSE(is_folder(folder_ / "mean"));
}

TEST_F(AverageFolders, LeavesNothingWhereItWasStopped) {
  expect_interrupted([&] { average_folders({path(1), path(2)}, folder_ / "mean"); });
  EXPECT_EQ(folder_.num_files(), 3u);
}

TEST_F(AverageFolders, KeepsTheTokenizerOfTheFirst) {
  const std::string golden = testing::golden_folder("t5-v1_1-tiny");
  average_folders({golden, golden}, folder_ / "mean");
  const model::LoadedModel loaded = model::load_model_with_tokenizer(folder_ / "mean");
  EXPECT_EQ(read_file(golden + "/spiece.model"), read_file(folder_ / "mean/spiece.model"));
}

}  // namespace
}  // namespace flanmoe::convert
