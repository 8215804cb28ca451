#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint_test_support.h"
#include "checkpoint/named_tensors.h"

namespace flanmoe::checkpoint {
namespace {

NamedTensors make_tensors() {
  NamedTensors tensors;
  for (int i = 0; i < 5; ++i)
    tensors[fmt::format("layer.{}.weight", i)] =
        at::full({10}, i, at::TensorOptions().dtype(at::kFloat));
  return tensors;
}

void expect_same(const NamedTensors& found, const NamedTensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(is_same_tensor(found.at(name), tensor)) << name;
  }
}

TEST(CheckpointFolder, SmallModelIsOneFile) {
  TemporaryFolder folder;
  save_folder(folder / "deeper", make_tensors());
  EXPECT_EQ(list_files(folder.path()).size(), 1u);
  EXPECT_TRUE(is_file(folder / "deeper/model.safetensors"));
  expect_same(load_folder(folder / "deeper"), make_tensors());
}

TEST(CheckpointFolder, LargeModelIsSharded) {
  TemporaryFolder folder;
  save_folder(folder.path(), make_tensors(), 80);  // two tensors of 40 bytes a shard
  EXPECT_EQ(folder.num_files(), 4u);
  const Json index = load_json(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 200);
  EXPECT_EQ(index["weight_map"]["layer.0.weight"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["layer.4.weight"], "model-00003-of-00003.safetensors");
  expect_same(load_folder(folder.path()), make_tensors());
}

TEST(CheckpointFolder, TensorLargerThanAShardHasOneOfItsOwn) {
  TemporaryFolder folder;
  save_folder(folder.path(), make_tensors(), 1);
  EXPECT_EQ(folder.num_files(), 6u);
  expect_same(load_folder(folder.path()), make_tensors());
  error_of(ErrorCode::InvalidArgument, [&] { save_folder(folder.path(), make_tensors(), 0); });
}

TEST(CheckpointFolder, WholeFileIsPreferredToShards) {
  TemporaryFolder folder;
  save_folder(folder.path(), make_tensors(), 80);
  const NamedTensors other = {{"w", at::full({2}, 1.0)}};
  save_folder(folder.path(), other);
  expect_same(load_folder(folder.path()), other);
}

TEST(CheckpointFolder, NamesTheFourFilesThatAreMissing) {
  TemporaryFolder folder;
  const std::string message = error_of(ErrorCode::NotFound, [&] { load_folder(folder.path()); });
  for (const char* name : {"model.safetensors,", "model.safetensors.index.json",
                           "pytorch_model.bin,", "pytorch_model.bin.index.json"})
    EXPECT_NE(message.find(name), std::string::npos) << message;
  EXPECT_NE(
      error_of(ErrorCode::NotFound, [&] { load_folder(folder / "none"); }).find("no such folder"),
      std::string::npos);
}

TEST(CheckpointFolder, SaysWhatIsWrongWithAnIndex) {
  TemporaryFolder folder;
  const std::string path = folder / "model.safetensors.index.json";
  save_safetensors(folder / "a.safetensors", make_tensors());
  const auto load = [&](const std::string& index) {
    write_plainly(path, index);
    load_folder(folder.path());
  };
  std::string good = R"({"weight_map":{)";
  for (const auto& [name, tensor] : make_tensors()) good += "\"" + name + "\":\"a.safetensors\",";
  load(good.substr(0, good.size() - 1) + "}}");

  const auto message_of = [&](ErrorCode code, const std::string& index) {
    return error_of(code, [&] { load(index); });
  };
  EXPECT_NE(message_of(ErrorCode::CorruptFile, good + R"("layer.9.weight":"a.safetensors"}})")
                .find("'layer.9.weight'"),
            std::string::npos);
  EXPECT_NE(
      message_of(ErrorCode::NotFound, good + R"("w":"b.safetensors"}})").find("b.safetensors"),
      std::string::npos);
  EXPECT_NE(
      message_of(ErrorCode::CorruptFile, R"({"weight_map":{"layer.0.weight":"a.safetensors"}})")
          .find("'layer.1.weight'"),
      std::string::npos);
  for (const char* wrong :
       {"", "{", "[]", "3", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"../a.safetensors"}})", R"({"weight_map":{"a":""}})",
        R"({"weight_map":{"a":".."}})", "{\"weight_map\":{\"a\":\"b\\u0000\"}}"})
    message_of(ErrorCode::CorruptFile, wrong);
}

}  // namespace
}  // namespace flanmoe::checkpoint
