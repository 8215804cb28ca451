// tests/golden/pytorch_bin is made by tools/make_bin_fixture.py.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "checkpoint/checkpoint_test_support.h"
#include "checkpoint/named_tensors.h"

// libtorch's zip reader does not free what it holds when it refuses a file.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:mz_zip_reader_init\nleak:mz_zip_reader_read_central_dir\n";
}

namespace flanmoe::checkpoint {
namespace {

const std::string kGolden = FLANMOE_SOURCE_DIR "/tests/golden/pytorch_bin";

void expect_golden(const NamedTensors& found) {
  const NamedTensors expected = load_safetensors(kGolden + "/expected.safetensors");
  ASSERT_EQ(expected.size(), 15u);
  for (const auto& [name, tensor] : found) EXPECT_TRUE(expected.contains(name)) << name;
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(is_same_tensor(found.at(name), tensor)) << name;
    EXPECT_TRUE(found.at(name).is_contiguous()) << name;
  }
}

TEST(PytorchBin, ZipFileHasTheValuesOfItsTwin) {
  expect_golden(load_pytorch_bin(kGolden + "/zip.bin"));
}

TEST(PytorchBin, LegacyFileHasTheValuesOfItsTwin) {
  expect_golden(load_pytorch_bin(kGolden + "/legacy.bin"));
}

TEST(PytorchBin, TiedTensorsDoNotShareMemory) {
  for (const char* file : {"/zip.bin", "/legacy.bin"}) {
    const NamedTensors tensors = load_pytorch_bin(kGolden + file);
    EXPECT_NE(tensors.at("shared.weight").const_data_ptr(),
              tensors.at("lm_head.weight").const_data_ptr());
  }
}

TEST(PytorchBin, FolderLoadsItWhereThereIsNothingElse) {
  TemporaryFolder folder;
  write_file_atomically(folder / "pytorch_model.bin", read_file(kGolden + "/zip.bin"));
  expect_golden(load_folder(folder.path()));
}

TEST(PytorchBin, FolderLoadsShards) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a.bin", read_file(kGolden + "/zip.bin"));
  std::string index = "{\"weight_map\": {";
  for (const auto& [name, tensor] : load_pytorch_bin(kGolden + "/zip.bin"))
    index += "\"" + name + "\": \"a.bin\",";
  index.back() = '}';
  write_file_atomically(folder / "pytorch_model.bin.index.json", index + "}");
  expect_golden(load_folder(folder.path()));
}

TEST(PytorchBin, RefusesWhatIsNotAStateDict) {
  EXPECT_NE(error_of(ErrorCode::Unsupported,
                     [] { load_pytorch_bin(kGolden + "/training_checkpoint.bin"); })
                .find("'epoch'"),
            std::string::npos);
  EXPECT_NE(error_of(ErrorCode::Unsupported, [] { load_pytorch_bin(kGolden + "/expanded.bin"); })
                .find("'expanded'"),
            std::string::npos);
  error_of(ErrorCode::NotFound, [] { load_pytorch_bin(kGolden + "/none.bin"); });
  error_of(ErrorCode::Io, [] { load_pytorch_bin(kGolden); });
  TemporaryFolder folder;
  for (const std::string& content :
       {std::string(), std::string("P"), std::string("PK"), std::string("PK\3\4 not a zip"),
        std::string("<html>not found</html>"),
        std::string("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")}) {
    write_file_atomically(folder / "x.bin", content);
    expect_error([&] { load_pytorch_bin(folder / "x.bin"); });
  }
}

TEST(PytorchBin, TruncatedFilesNeverLoad) {
  TemporaryFolder folder;
  for (const char* file : {"/zip.bin", "/legacy.bin"}) {
    const std::string whole = read_file(kGolden + file);
    for (size_t size = 0; size < whole.size(); size += 7) {
      write_plainly(folder / "x.bin", whole.substr(0, size));
      expect_error([&] { load_pytorch_bin(folder / "x.bin"); });
    }
  }
}

TEST(PytorchBin, ChangedBytesLoadOrRaiseError) {
  TemporaryFolder folder;
  RandomStream random(RandomKey(5, RandomPurpose::Generator));
  int num_loaded = 0, num_refused = 0;
  for (const char* file : {"/zip.bin", "/legacy.bin"}) {
    const std::string whole = read_file(kGolden + file);
    const size_t pickle = whole.find("_rebuild_tensor_v2");
    ASSERT_NE(pickle, std::string::npos);
    for (int i = 0; i < 3000; ++i) {
      std::string bytes = whole;
      for (int64_t n = random.between(1, 4); n > 0; --n) {
        // Half of them near the pickle, where the structure is.
        const uint64_t place =
            i % 2 == 0
                ? random.below(bytes.size())
                : std::min<uint64_t>(pickle - std::min<size_t>(pickle, 200) + random.below(2000),
                                     bytes.size() - 1);
        bytes[place] = static_cast<char>(random.below(256));
      }
      write_plainly(folder / "x.bin", bytes);
      try {
        for (const auto& [name, tensor] : load_pytorch_bin(folder / "x.bin")) touch(tensor);
        ++num_loaded;
      } catch (const Error&) {
        ++num_refused;
      }
    }
  }
  EXPECT_GT(num_loaded, 100);
  EXPECT_GT(num_refused, 1000);
}

}  // namespace
}  // namespace flanmoe::checkpoint
