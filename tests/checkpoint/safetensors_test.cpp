#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "checkpoint/checkpoint_test_support.h"
#include "checkpoint/named_tensors.h"

namespace flanmoe::checkpoint {
namespace {

at::Tensor make_tensor(std::vector<int64_t> shape, at::ScalarType dtype, uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  const RandomKey key(seed, RandomPurpose::Generator);
  auto* bytes = static_cast<unsigned char*>(tensor.data_ptr());
  for (size_t i = 0; i < tensor.nbytes(); ++i)
    bytes[i] = static_cast<unsigned char>(key.bits(i)) & (dtype == at::kBool ? 1 : 255);
  return tensor;
}

NamedTensors make_tensors() {
  NamedTensors tensors;
  uint64_t seed = 0;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                           at::kShort, at::kChar, at::kByte, at::kBool}) {
    const std::string name = at::toString(dtype);
    tensors["a." + name] = make_tensor({3, 5, 2}, dtype, ++seed);
    tensors["b." + name] = make_tensor({}, dtype, ++seed);
    tensors["c." + name] = make_tensor({4, 0, 2}, dtype, ++seed);
    tensors["\"d\\\n\xC3\xA9." + name] = make_tensor({7}, dtype, ++seed);
  }
  return tensors;
}

void expect_same(const NamedTensors& found, const NamedTensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(is_same_tensor(found.at(name), tensor)) << name;
  }
}

std::string make_file(const std::string& header, size_t data_bytes, int64_t header_bytes = -1) {
  const uint64_t size = header_bytes < 0 ? header.size() : static_cast<uint64_t>(header_bytes);
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(size >> (8 * i));
  return file + header + std::string(data_bytes, '\0');
}

TEST(Safetensors, SavedTensorsLoadTheSame) {
  TemporaryFolder folder;
  const NamedTensors tensors = make_tensors();
  save_safetensors(folder / "x", tensors, {{"format", "pt"}, {"note", "\"quoted\"\n"}});
  std::map<std::string, std::string> metadata;
  expect_same(load_safetensors(folder / "x", &metadata), tensors);
  EXPECT_EQ(metadata,
            (std::map<std::string, std::string>{{"format", "pt"}, {"note", "\"quoted\"\n"}}));
  EXPECT_EQ(folder.num_files(), 1u);
}

TEST(Safetensors, SameTensorsGiveTheSameBytesAligned) {
  TemporaryFolder folder;
  save_safetensors(folder / "x", make_tensors());
  save_safetensors(folder / "y", make_tensors());
  const std::string bytes = read_file(folder / "x");
  EXPECT_EQ(bytes, read_file(folder / "y"));
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8,
            0);  // the header's length, so that the data begin at a multiple of 8
  EXPECT_EQ(bytes.substr(8, 34), "{\"__metadata__\":{\"format\":\"pt\"},\"\\");
  EXPECT_LT(bytes.find("a.Double"), bytes.find("a.Float"));
  EXPECT_LT(bytes.find("a.Int"), bytes.find("a.BFloat16"));
}

TEST(Safetensors, FilesOfThePythonLibraryAreWrittenBackByteForByteButForTheOrder) {
  const std::string golden = FLANMOE_SOURCE_DIR "/tests/golden/pytorch_bin/expected.safetensors";
  TemporaryFolder folder;
  std::map<std::string, std::string> metadata;
  const NamedTensors tensors = load_safetensors(golden, &metadata);
  EXPECT_EQ(metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  save_safetensors(folder / "x", tensors);
  EXPECT_EQ(read_file(folder / "x").size(), read_file(golden).size());
  expect_same(load_safetensors(folder / "x"), tensors);
  EXPECT_EQ(tensors.at("scalar").sizes().size(), 0u);
  double scalar = 0;
  std::memcpy(&scalar, tensors.at("scalar").const_data_ptr(), 8);
  EXPECT_EQ(scalar, 3.25);
}

TEST(Safetensors, ViewsAreSavedAsTheyLook) {
  TemporaryFolder folder;
  const at::Tensor base = make_tensor({4, 6}, at::kFloat, 1);
  const NamedTensors tensors = {{"t", base.t()},
                                {"s", base.slice(0, 1, 3)},
                                {"e", base.select(1, 0).unsqueeze(1).expand({4, 3})}};
  save_safetensors(folder / "x", tensors);
  expect_same(load_safetensors(folder / "x"), tensors);
}

TEST(Safetensors, NoTensorsIsAFileToo) {
  TemporaryFolder folder;
  save_safetensors(folder / "x", {}, {});
  EXPECT_TRUE(load_safetensors(folder / "x").empty());
  save_safetensors(folder / "x", {});
  EXPECT_TRUE(load_safetensors(folder / "x").empty());
}

TEST(Safetensors, RefusesToSaveWhatItCannotExpress) {
  TemporaryFolder folder;
  error_of(ErrorCode::InvalidArgument, [&] {
    save_safetensors(folder / "x", {{"a", at::Tensor()}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    save_safetensors(folder / "x", {{"a", at::empty({2}, at::TensorOptions().device(at::kMeta))}});
  });
  error_of(ErrorCode::Unsupported, [&] {
    save_safetensors(folder / "x",
                     {{"a", at::empty({2}, at::TensorOptions().dtype(at::kComplexFloat))}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    save_safetensors(folder / "x", {{"__metadata__", at::empty({2})}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    save_safetensors(folder / "x", {{"\xff", at::empty({2})}});
  });
  EXPECT_EQ(folder.num_files(), 0u);
  expect_error([&] { save_safetensors(folder / "none/x", make_tensors()); });
}

struct BrokenFile {
  const char* what;
  std::string content;
  const char* message;
  ErrorCode code = ErrorCode::CorruptFile;
};

TEST(Safetensors, SaysWhatIsBroken) {
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"w":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                       offsets);
  };
  const auto two = [](const char* a, const char* b) {
    return fmt::format(
        R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":{}}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})",
        a, b);
  };
  std::string bool_file = make_file(tensor("BOOL", "[2]", "[0,2]"), 2);
  bool_file.back() = 2;
  const std::vector<BrokenFile> files = {
      {"empty file", "", "0 bytes"},
      {"no room for the length", "1234567", "7 bytes"},
      {"header past the end", make_file("{}", 0, 3), "header"},
      {"header far past the end", make_file("{}", 0, INT64_MAX), "header"},
      {"header of 0 bytes", make_file("", 8), "not JSON"},
      {"not JSON", make_file("{\"a\":", 0), "not JSON"},
      {"not UTF-8", make_file("{\"\xff\":1}", 0), "not JSON"},
      {"deep nesting", make_file(std::string(100000, '['), 0), "not JSON"},
      {"not an object", make_file("[1]", 0), "expected an object"},
      {"tensor is no object", make_file("{\"w\":3}", 0), "'w'"},
      {"metadata is no object", make_file("{\"__metadata__\":3}", 0), "__metadata__"},
      {"metadata is no string", make_file("{\"__metadata__\":{\"a\":1}}", 0), "'a'"},
      {"no dtype", make_file(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4), "no 'dtype'"},
      {"no shape", make_file(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4), "no 'shape'"},
      {"no offsets", make_file(R"({"w":{"dtype":"F32","shape":[1]}})", 4), "no 'data_offsets'"},
      {"unknown key",
       make_file(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4),
       "unknown key 'x'"},
      {"unknown dtype", make_file(tensor("F31", "[1]", "[0,4]"), 4), "'F31'"},
      {"dtype of others", make_file(tensor("F8_E4M3", "[4]", "[0,4]"), 4), "F8_E4M3",
       ErrorCode::Unsupported},
      {"dtype is no string", make_file(R"({"w":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4),
       "dtype"},
      {"negative size", make_file(tensor("F32", "[-1]", "[0,4]"), 4), "-1"},
      {"fractional size", make_file(tensor("F32", "[1.0]", "[0,4]"), 4), "1.0"},
      {"size past 64 bits", make_file(tensor("F32", "[18446744073709551615]", "[0,4]"), 4),
       "18446744073709551615"},
      {"size past 128 bits", make_file(tensor("F32", "[99999999999999999999999999]", "[0,4]"), 4),
       "not a size"},
      {"shape that wraps to 1",
       make_file(tensor("U8", "[4294967296,4294967296,4294967296]", "[0,0]"), 0), "overflows"},
      {"bytes that wrap to 0", make_file(tensor("F64", "[4611686018427387904]", "[0,0]"), 0),
       "overflows"},
      {"huge strides of nothing", make_file(tensor("U8", "[0,4294967296,4294967296]", "[0,0]"), 0),
       "overflows"},
      {"shape is no array", make_file(tensor("F32", "4", "[0,4]"), 4), "shape"},
      {"one offset", make_file(tensor("F32", "[1]", "[0]"), 4), "data_offsets"},
      {"negative offset", make_file(tensor("F32", "[1]", "[-4,0]"), 4), "data_offsets"},
      {"backward offsets", make_file(tensor("F32", "[1]", "[4,0]"), 4), "backwards"},
      {"offsets past the end", make_file(tensor("F32", "[2]", "[0,8]"), 7), "pass the end"},
      {"size mismatch", make_file(tensor("F32", "[2]", "[0,4]"), 4), "need 8"},
      {"overlap", make_file(two("[0,8]", "[4,12]"), 12), "inside"},
      {"same place twice", make_file(two("[0,8]", "[0,8]"), 8), "inside"},
      {"gap", make_file(two("[0,8]", "[12,20]"), 20), "behind the end"},
      {"gap in front", make_file(tensor("F32", "[1]", "[4,8]"), 8), "behind the end"},
      {"bytes left over", make_file(tensor("F32", "[1]", "[0,4]"), 5), "belong to none"},
      {"name twice",
       make_file(
           R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
           0),
       "'w' twice"},
      {"dtype twice",
       make_file(R"({"w":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})", 0),
       "'dtype' twice"},
      {"a truth value of 2", bool_file, "not a BOOL"},
  };
  TemporaryFolder folder;
  for (const BrokenFile& file : files) {
    SCOPED_TRACE(file.what);
    write_plainly(folder / "x", file.content);
    const std::string message = error_of(file.code, [&] { load_safetensors(folder / "x"); });
    EXPECT_NE(message.find(file.message), std::string::npos) << message;
    EXPECT_NE(message.find(folder / "x"), std::string::npos) << message;
  }
  // The helpers make good files too.
  write_plainly(folder / "x", make_file(two("[0,8]", "[8,16]"), 16));
  EXPECT_EQ(load_safetensors(folder / "x").size(), 2u);
}

TEST(Safetensors, NamesTheFileThatIsMissing) {
  TemporaryFolder folder;
  EXPECT_NE(error_of(ErrorCode::NotFound, [&] { load_safetensors(folder / "none"); })
                .find(folder / "none"),
            std::string::npos);
  error_of(ErrorCode::Io, [&] { load_safetensors(folder.path()); });
}

TEST(Safetensors, TruncatedFilesNeverLoad) {
  TemporaryFolder folder;
  save_safetensors(folder / "x", make_tensors());
  const std::string whole = read_file(folder / "x");
  for (size_t size = 0; size < whole.size(); size += 3) {
    write_plainly(folder / "y", whole.substr(0, size));
    error_of(ErrorCode::CorruptFile, [&] { load_safetensors(folder / "y"); });
  }
}

TEST(Safetensors, ChangedBytesLoadOrRaiseError) {
  TemporaryFolder folder;
  save_safetensors(folder / "x", {{"alpha", make_tensor({3, 4}, at::kFloat, 1)},
                                  {"beta", make_tensor({5}, at::kLong, 2)},
                                  {"gamma", make_tensor({2, 0}, at::kBFloat16, 3)}});
  const std::string whole = read_file(folder / "x");
  RandomStream random(RandomKey(4, RandomPurpose::Generator));
  const std::string structure = "0123456789[]{}\",:-.eE\\u ";
  int num_loaded = 0, num_refused = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string bytes = whole;
    for (int64_t n = random.between(1, 4); n > 0; --n) {
      const uint64_t place = random.below(bytes.size());
      const uint64_t kind = random.below(4);
      if (kind == 0)
        bytes[place] = static_cast<char>(random.below(256));
      else if (kind == 1)
        bytes[place] = structure[random.below(structure.size())];
      else if (kind == 2)
        bytes.erase(place, random.below(3));
      else
        bytes.insert(place, 1, structure[random.below(structure.size())]);
    }
    write_plainly(folder / "y", bytes);
    try {
      for (const auto& [name, tensor] : load_safetensors(folder / "y")) touch(tensor);
      ++num_loaded;
    } catch (const Error&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_loaded, 100);
  EXPECT_GT(num_refused, 1000);
}

// Writes past `bytes` fail as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST(Safetensors, FullDiskLeavesTheOldFileWhole) {
  TemporaryFolder folder;
  const NamedTensors old = {{"w", make_tensor({10}, at::kFloat, 1)}};
  save_safetensors(folder / "model.safetensors", old);
  const NamedTensors large = {{"w", make_tensor({10000}, at::kFloat, 2)}};
  for (const rlim_t limit : {rlim_t{0}, rlim_t{20}, rlim_t{1000}, rlim_t{39999}}) {
    std::string message;
    {
      const FileSizeLimit full(limit);
      message =
          error_of(ErrorCode::Io, [&] { save_safetensors(folder / "model.safetensors", large); });
    }
    EXPECT_NE(message.find("File too large"), std::string::npos) << message;
    EXPECT_EQ(folder.num_files(), 1u);
    expect_same(load_safetensors(folder / "model.safetensors"), old);
  }
  save_safetensors(folder / "model.safetensors", large);
  expect_same(load_safetensors(folder / "model.safetensors"), large);
}

}  // namespace
}  // namespace flanmoe::checkpoint
