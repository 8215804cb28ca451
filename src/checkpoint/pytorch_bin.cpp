#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <caffe2/serialize/inline_container.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "checkpoint/dtype.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/pickle.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/tensor_file.h"

namespace flanmoe::checkpoint {
namespace {

using Kind = PickleValue::Kind;

at::ScalarType parse_storage_type(const std::string& type, const std::string& path) {
  constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
      {"DoubleStorage", at::ScalarType::Double}, {"FloatStorage", at::ScalarType::Float},
      {"HalfStorage", at::ScalarType::Half},     {"BFloat16Storage", at::ScalarType::BFloat16},
      {"LongStorage", at::ScalarType::Long},     {"IntStorage", at::ScalarType::Int},
      {"ShortStorage", at::ScalarType::Short},   {"CharStorage", at::ScalarType::Char},
      {"ByteStorage", at::ScalarType::Byte},     {"BoolStorage", at::ScalarType::Bool},
  };
  for (const auto& [name, dtype] : kTypes)
    if (type == name) return dtype;
  fail(ErrorCode::Unsupported, "{}: a storage of the type '{}'; supported are {}", path, type,
       dtype_list());
}

// All elements that `tensor` reaches lie in its storage, and none of its sizes overflow.
// `num_elements`: of the tensor.
int64_t check_bounds(const std::string& name, const PickleValue& tensor, const std::string& path) {
  const auto corrupt = [&](const char* what) {
    fail(ErrorCode::CorruptFile, "{}: tensor '{}': {}", path, name, what);
  };
  const int64_t storage_size = tensor.storage->integer;
  if (storage_size < 0 || tensor.integer < 0) corrupt("a negative size or offset");
  if (tensor.shape.size() > 64) corrupt("more than 64 dimensions");
  int64_t num_elements = 1, extent = 1, last = tensor.integer;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const int64_t size = tensor.shape[i], stride = tensor.strides[i];
    if (size < 0 || stride < 0) corrupt("a negative size or stride");
    int64_t reach = 0;
    if (__builtin_mul_overflow(extent, std::max<int64_t>(size, 1), &extent))
      corrupt("the shape overflows 64 bits");
    if (__builtin_mul_overflow(std::max<int64_t>(size - 1, 0), stride, &reach) ||
        __builtin_add_overflow(last, reach, &last))
      corrupt("the strides overflow 64 bits");
    if (size == 0) num_elements = 0;
  }
  if (num_elements == 0) return 0;
  if (last >= storage_size) corrupt("it passes the end of its storage");
  if (extent > storage_size)
    fail(ErrorCode::Unsupported, "{}: tensor '{}': its elements overlap (an expanded tensor)", path,
         name);
  return extent;
}

bool is_contiguous(const PickleValue& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// `storage` holds the elements (one dimension). The result owns its memory and is contiguous.
at::Tensor make_tensor(const PickleValue& value, int64_t num_elements, const at::Tensor& storage,
                       at::ScalarType dtype, bool is_shared) {
  const auto options = at::TensorOptions().dtype(dtype);
  if (num_elements == 0) return at::empty(value.shape, options);
  if (!is_shared && num_elements == storage.numel() && value.integer == 0 && is_contiguous(value))
    return storage.view(value.shape);
  at::Tensor result = at::empty(value.shape, options);
  const char* first =
      static_cast<const char*>(storage.const_data_ptr()) + value.integer * dtype_bytes(dtype);
  const at::Tensor view =
      at::from_blob(const_cast<char*>(first), value.shape, value.strides, options);
  result.copy_(view);
  return result;
}

// Tensors of a state dict, in the order of the file.
std::vector<std::pair<std::string, const PickleValue*>> list_tensors(const PickleValue& root,
                                                                     const std::string& path) {
  if (root.kind != Kind::Dict)
    fail(ErrorCode::Unsupported, "{}: holds {}, expected a dict of tensors (a state dict)", path,
         to_string(root.kind));
  std::vector<std::pair<std::string, const PickleValue*>> result;
  std::map<std::string, const PickleValue*> seen;
  for (const auto& [key, value] : root.entries) {
    if (key->kind != Kind::String)
      fail(ErrorCode::Unsupported, "{}: {} as a key, expected the name of a tensor", path,
           to_string(key->kind));
    if (value->kind != Kind::Tensor)
      fail(ErrorCode::Unsupported,
           "{}: '{}' is {}, expected a tensor (a state dict, not a training checkpoint)", path,
           key->text, to_string(value->kind));
    if (!seen.emplace(key->text, value).second)
      fail(ErrorCode::CorruptFile, "{}: '{}' is there twice", path, key->text);
    result.emplace_back(key->text, value);
  }
  return result;
}

void check_booleans(const at::Tensor& storage, at::ScalarType dtype, const std::string& path) {
  if (dtype != at::kBool) return;
  const auto* bytes = static_cast<const unsigned char*>(storage.const_data_ptr());
  for (int64_t i = 0; i < storage.numel(); ++i)
    if (bytes[i] > 1) fail(ErrorCode::CorruptFile, "{}: {} in a BoolStorage", path, bytes[i]);
}

template <class Call>
auto with_our_errors(const std::string& path, const Call& call) {
  try {
    return call();
  } catch (const c10::Error& failure) {
    std::string what = failure.what_without_backtrace();
    what.resize(std::min(what.size(), what.find('\n')));
    fail(ErrorCode::CorruptFile, "{}: {}", path, what);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::OutOfMemory, "{}: not enough memory", path);
  }
}

// What both forms have in common: the tensors that a pickle describes, over storages by key.
class PytorchBin : public TensorFile {
 public:
  at::Tensor read(const std::string& name) final {
    return with_our_errors(path_, [&] {
      const Entry& entry = entries_.at(name);
      const PickleValue& storage = *entry.value->storage;
      if (storage.text != held_key_ || !held_.defined()) {
        held_ = at::Tensor();
        held_ = load_storage(storage, entry.dtype);
        held_key_ = storage.text;
        check_booleans(held_, entry.dtype, path_);
      }
      const bool is_shared = num_users_.at(storage.text) > 1;
      const at::Tensor tensor =
          make_tensor(*entry.value, entry.num_elements, held_, entry.dtype, is_shared);
      if (!is_shared) held_ = at::Tensor();
      return tensor;
    });
  }

 protected:
  explicit PytorchBin(std::string path) : path_(std::move(path)) {}

  // `root` lives as long as this.
  void describe(const PickleValue& root) {
    std::map<std::string, std::vector<std::string>> by_storage;
    for (const auto& [name, value] : list_tensors(root, path_)) {
      const PickleValue& storage = *value->storage;
      const at::ScalarType dtype = parse_storage_type(storage.type, path_);
      const PickleValue& known = *storages_.emplace(storage.text, &storage).first->second;
      if (known.type != storage.type || known.integer != storage.integer)
        fail(ErrorCode::CorruptFile, "{}: storage '{}' is described in two ways", path_,
             storage.text);
      entries_[name] = {value, check_bounds(name, *value, path_), dtype};
      tensors_[name] = {dtype, value->shape};
      by_storage[storage.text].push_back(name);
      ++num_users_[storage.text];
    }
    for (const auto& [key, names] : by_storage)
      names_.insert(names_.end(), names.begin(), names.end());
  }
  // One dimension of `storage.integer` elements.
  virtual at::Tensor load_storage(const PickleValue& storage, at::ScalarType dtype) = 0;

  std::string path_;
  std::map<std::string, const PickleValue*> storages_;  // by key

 private:
  struct Entry {
    const PickleValue* value = nullptr;
    int64_t num_elements = 0;
    at::ScalarType dtype = at::kFloat;
  };
  std::map<std::string, Entry> entries_;
  std::map<std::string, int64_t> num_users_;  // tensors of a storage
  std::string held_key_;
  at::Tensor held_;  // the storage last read, while other tensors may want it
};

// Since PyTorch 1.6: a zip archive of data.pkl and data/<key>.
class ZipBin final : public PytorchBin {
 public:
  explicit ZipBin(const std::string& path) : PytorchBin(path), reader_(path) {
    if (reader_.hasRecord("byteorder")) {
      const auto [data, size] = reader_.getRecord("byteorder");
      if (std::string_view(static_cast<const char*>(data.get()), size) != "little")
        fail(ErrorCode::Unsupported, "{}: saved on a big-endian machine", path);
    }
    auto [data, size] = reader_.getRecord("data.pkl");
    stream_.str(std::string(static_cast<const char*>(data.get()), size));
    pickle_ = std::make_unique<PickleReader>(stream_, size, path);
    describe(pickle_->read());
  }

 private:
  at::Tensor load_storage(const PickleValue& storage, at::ScalarType dtype) override {
    auto [content, num_bytes] = reader_.getRecord("data/" + storage.text);
    int64_t expected = 0;
    if (__builtin_mul_overflow(storage.integer, dtype_bytes(dtype), &expected) ||
        static_cast<uint64_t>(expected) != num_bytes)
      fail(ErrorCode::CorruptFile, "{}: storage '{}' has {} bytes, expected {} x {}", path_,
           storage.text, num_bytes, storage.integer, dtype_bytes(dtype));
    auto owner = std::make_shared<at::DataPtr>(std::move(content));
    return at::from_blob(
        owner->get(), {storage.integer}, [owner](void*) {}, at::TensorOptions().dtype(dtype));
  }

  caffe2::serialize::PyTorchStreamReader reader_;
  std::istringstream stream_;
  std::unique_ptr<PickleReader> pickle_;  // owns what it read
};

// Before PyTorch 1.6: pickles of a magic number, a version, facts about the machine, the state dict
// and the storages' keys; then for each key the number of elements and the bytes.
class LegacyBin final : public PytorchBin {
 public:
  LegacyBin(const std::string& path, uint64_t file_size)
      : PytorchBin(path),
        file_(path, O_RDONLY),
        stream_(path, std::ios::binary),
        pickle_(stream_, file_size, path) {
    constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
    const PickleValue& magic = pickle_.read();
    if (magic.kind != Kind::Other || magic.text != kMagic)
      fail(ErrorCode::CorruptFile, "{}: not a file that torch.save() wrote", path);
    pickle_.read();
    for (const auto& [key, value] : pickle_.read().entries)
      if (key->text == "little_endian" && value->integer == 0)
        fail(ErrorCode::Unsupported, "{}: saved on a big-endian machine", path);
    const PickleValue& root = pickle_.read();
    const PickleValue& keys = pickle_.read();
    describe(root);
    for (const PickleValue* key : keys.items) {
      const auto found = storages_.find(key->text);
      if (found == storages_.end())
        fail(ErrorCode::CorruptFile, "{}: no tensor uses the storage '{}'", path, key->text);
      const PickleValue& storage = *found->second;
      int64_t size = 0, num_bytes = 0;
      pickle_.read_bytes(&size, 8);
      if (size != storage.integer || size < 0 ||
          __builtin_mul_overflow(size, dtype_bytes(parse_storage_type(storage.type, path)),
                                 &num_bytes) ||
          static_cast<uint64_t>(num_bytes) > pickle_.remaining_bytes())
        fail(ErrorCode::CorruptFile,
             "{}: storage '{}' has {} elements, expected {} (or the file is cut short)", path,
             key->text, size, storage.integer);
      offsets_[key->text] = file_size - pickle_.remaining_bytes();
      pickle_.skip_bytes(static_cast<uint64_t>(num_bytes));
    }
    for (const auto& [key, storage] : storages_)
      if (!offsets_.contains(key))
        fail(ErrorCode::CorruptFile, "{}: the storage '{}' is missing", path, key);
  }

 private:
  at::Tensor load_storage(const PickleValue& storage, at::ScalarType dtype) override {
    at::Tensor tensor = at::empty({storage.integer}, at::TensorOptions().dtype(dtype));
    if (tensor.nbytes() > 0)
      file_.read(tensor.data_ptr(), tensor.nbytes(), offsets_.at(storage.text));
    return tensor;
  }

  File file_;
  std::ifstream stream_;
  PickleReader pickle_;  // owns what it read
  std::map<std::string, uint64_t> offsets_;
};

}  // namespace

std::unique_ptr<TensorFile> open_pytorch_bin(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    fail(ErrorCode::NotFound, "[checkpoint] no file '{}'", path);
  if (!std::filesystem::is_regular_file(status))
    fail(ErrorCode::Io, "[checkpoint] '{}' is not a regular file", path);
  const uint64_t file_size = std::filesystem::file_size(path, error);
  char first[2] = {};
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream)
    fail(ErrorCode::Io, "[checkpoint] cannot read '{}': {}", path,
         error ? error.message() : std::strerror(errno));
  if (!stream.read(first, 2))
    fail(ErrorCode::CorruptFile, "{}: {} bytes, not a file that torch.save() wrote", path,
         file_size);
  stream.close();
  return with_our_errors(path, [&]() -> std::unique_ptr<TensorFile> {
    if (first[0] == 'P' && first[1] == 'K') return std::make_unique<ZipBin>(path);
    return std::make_unique<LegacyBin>(path, file_size);
  });
}

NamedTensors load_pytorch_bin(const std::string& path) {
  const auto file = open_pytorch_bin(path);
  NamedTensors tensors;
  for (const std::string& name : file->names()) tensors.emplace(name, file->read(name));
  return tensors;
}

}  // namespace flanmoe::checkpoint
