// Tensors read and written one at a time: the same tensors and the same bytes as all at once.
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "checkpoint/checkpoint_test_support.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/tensor_reader.h"
#include "checkpoint/tensor_writer.h"
#include "support/tensors.h"

namespace flanmoe::checkpoint {
namespace {

NamedTensors mixed_tensors() {
  NamedTensors tensors;
  const at::ScalarType dtypes[] = {at::kFloat, at::kBFloat16, at::kDouble, at::kLong, at::kByte};
  for (int64_t i = 0; i < 13; ++i)
    tensors[fmt::format("layer.{}.weight", i)] =
        testing::random_tensor({3, i}, static_cast<uint64_t>(i), at::kDouble, 50)
            .abs()
            .to(dtypes[i % 5]);
  tensors["turned"] = testing::random_tensor({4, 6}, 99, at::kFloat).t();
  return tensors;
}

TensorInfos infos_of(const NamedTensors& tensors) {
  TensorInfos infos;
  for (const auto& [name, tensor] : tensors)
    infos[name] = {tensor.scalar_type(), tensor.sizes().vec()};
  return infos;
}

void expect_same_files(const std::string& a, const std::string& b) {
  const std::vector<std::string> in_a = list_files(a), in_b = list_files(b);
  ASSERT_EQ(in_a.size(), in_b.size());
  for (size_t i = 0; i < in_a.size(); ++i) {
    EXPECT_EQ(in_a[i].substr(a.size()), in_b[i].substr(b.size()));
    EXPECT_EQ(read_file(in_a[i]), read_file(in_b[i])) << in_a[i];
  }
}

TEST(TensorStream, WritesTheBytesOfSaveFolder) {
  const NamedTensors tensors = mixed_tensors();
  for (const int64_t shard_bytes : {int64_t{1}, int64_t{300}, kMaxShardBytes}) {
    const TemporaryFolder folder;
    save_folder(folder / "whole", tensors, shard_bytes);
    FolderWriter writer(folder / "streamed", infos_of(tensors), shard_bytes);
    ASSERT_EQ(writer.order().size(), tensors.size());
    for (const std::string& name : writer.order()) writer.write(name, tensors.at(name));
    writer.finish();
    expect_same_files(folder / "whole", folder / "streamed");
  }
}

TEST(TensorStream, ReadsWhatWasWritten) {
  const NamedTensors tensors = mixed_tensors();
  for (const int64_t shard_bytes : {int64_t{300}, kMaxShardBytes}) {
    const TemporaryFolder folder;
    save_folder(folder.path(), tensors, shard_bytes);
    const TensorReader reader(folder.path());
    ASSERT_EQ(reader.tensors().size(), tensors.size());
    ASSERT_EQ(reader.names().size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
      const TensorInfo& info = reader.tensors().at(name);
      EXPECT_EQ(info.dtype, tensor.scalar_type());
      EXPECT_EQ(info.shape, tensor.sizes().vec());
      EXPECT_EQ(info.num_bytes(), static_cast<int64_t>(tensor.nbytes()));
      EXPECT_TRUE(is_same_tensor(reader.read(name), tensor)) << name;
      const at::Tensor flat = tensor.reshape(-1);
      const int64_t first = flat.size(0) / 3, count = flat.size(0) / 2;
      EXPECT_TRUE(
          is_same_tensor(reader.read_elements(name, first, count), flat.narrow(0, first, count)));
      if (flat.size(0) > 0)
        error_of(ErrorCode::Internal, [&] { reader.read_elements(name, 1, flat.size(0)); });
    }
  }
}

// Shared storages, views and both forms of the file, in an order that no file has.
TEST(TensorStream, ReadsPytorchBinInAnyOrder) {
  const std::string golden = std::string(FLANMOE_SOURCE_DIR) + "/tests/golden/pytorch_bin";
  int num_files = 0;
  for (const std::string& path : list_files(golden)) {
    if (!path.ends_with(".bin") && !path.ends_with(".pt")) continue;
    NamedTensors whole;
    try {
      whole = load_pytorch_bin(path);
    } catch (const Error&) {
      continue;  // a planted broken one
    }
    ++num_files;
    const auto file = open_pytorch_bin(path);
    EXPECT_EQ(file->names().size(), whole.size());
    for (auto it = whole.rbegin(); it != whole.rend(); ++it) {
      EXPECT_EQ(file->tensors().at(it->first).shape, it->second.sizes().vec());
      EXPECT_TRUE(is_same_tensor(file->read(it->first), it->second)) << path << ' ' << it->first;
      const int64_t half = it->second.numel() / 2;
      EXPECT_TRUE(is_same_tensor(file->read_elements(it->first, 0, half),
                                 it->second.reshape(-1).narrow(0, 0, half)));
    }
  }
  EXPECT_GE(num_files, 2);
}

TEST(TensorStream, UnfinishedFileIsNotThere) {
  const TemporaryFolder folder;
  const NamedTensors tensors = mixed_tensors();
  {
    SafetensorsWriter writer(folder / "x.safetensors", infos_of(tensors));
    writer.write(writer.order().front(), tensors.at(writer.order().front()));
    EXPECT_EQ(folder.num_files(), 1u);
    EXPECT_FALSE(is_file(folder / "x.safetensors"));
  }
  EXPECT_EQ(folder.num_files(), 0u);
}

TEST(TensorStream, RefusesWhatWasNotAnnounced) {
  const TemporaryFolder folder;
  const at::Tensor tensor = at::full({2, 3}, 1.0);
  SafetensorsWriter writer(folder / "x", {{"a", {at::kFloat, {2, 3}}}, {"b", {at::kFloat, {1}}}});
  error_of(ErrorCode::Internal, [&] { writer.write("b", at::full({1}, 1.0)); });
  error_of(ErrorCode::InvalidArgument, [&] { writer.write("a", tensor.t()); });
  error_of(ErrorCode::InvalidArgument, [&] { writer.write("a", tensor.to(at::kDouble)); });
  error_of(ErrorCode::InvalidArgument, [&] { writer.write("a", at::Tensor()); });
  writer.write("a", tensor);
  error_of(ErrorCode::Internal, [&] { writer.finish(); });
}

}  // namespace
}  // namespace flanmoe::checkpoint
