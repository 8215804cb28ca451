#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <caffe2/serialize/inline_container.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "checkpoint/dtype.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/pickle.h"

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

using LoadStorage = std::function<at::Tensor(const PickleValue&, at::ScalarType)>;

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

NamedTensors load_tensors(const PickleValue& root, const std::string& path,
                          const LoadStorage& load_storage) {
  std::map<std::string, std::vector<std::pair<std::string, const PickleValue*>>>
      by_storage;  // so that one storage is held at a time
  for (const auto& [name, value] : list_tensors(root, path))
    by_storage[value->storage->text].emplace_back(name, value);
  NamedTensors result;
  for (const auto& [key, users] : by_storage) {
    const PickleValue& first = *users.front().second->storage;
    const at::ScalarType dtype = parse_storage_type(first.type, path);
    at::Tensor storage;
    for (const auto& [name, value] : users) {
      if (value->storage->type != first.type || value->storage->integer != first.integer)
        fail(ErrorCode::CorruptFile, "{}: storage '{}' is described in two ways", path, key);
      const int64_t num_elements = check_bounds(name, *value, path);
      if (!storage.defined()) storage = load_storage(first, dtype);
      result.emplace(name, make_tensor(*value, num_elements, storage, dtype, users.size() > 1));
    }
  }
  return result;
}

void check_booleans(const at::Tensor& storage, at::ScalarType dtype, const std::string& path) {
  if (dtype != at::kBool) return;
  const auto* bytes = static_cast<const unsigned char*>(storage.const_data_ptr());
  for (int64_t i = 0; i < storage.numel(); ++i)
    if (bytes[i] > 1) fail(ErrorCode::CorruptFile, "{}: {} in a BoolStorage", path, bytes[i]);
}

// Since PyTorch 1.6: a zip archive of data.pkl and data/<key>.
NamedTensors load_zip(const std::string& path) {
  caffe2::serialize::PyTorchStreamReader reader(path);
  if (reader.hasRecord("byteorder")) {
    const auto [data, size] = reader.getRecord("byteorder");
    if (std::string_view(static_cast<const char*>(data.get()), size) != "little")
      fail(ErrorCode::Unsupported, "{}: saved on a big-endian machine", path);
  }
  auto [data, size] = reader.getRecord("data.pkl");
  std::istringstream stream(std::string(static_cast<const char*>(data.get()), size));
  PickleReader pickle(stream, size, path);
  return load_tensors(pickle.read(), path, [&](const PickleValue& storage, at::ScalarType dtype) {
    auto [content, num_bytes] = reader.getRecord("data/" + storage.text);
    int64_t expected = 0;
    if (__builtin_mul_overflow(storage.integer, dtype_bytes(dtype), &expected) ||
        static_cast<uint64_t>(expected) != num_bytes)
      fail(ErrorCode::CorruptFile, "{}: storage '{}' has {} bytes, expected {} x {}", path,
           storage.text, num_bytes, storage.integer, dtype_bytes(dtype));
    auto owner = std::make_shared<at::DataPtr>(std::move(content));
    at::Tensor tensor = at::from_blob(
        owner->get(), {storage.integer}, [owner](void*) {}, at::TensorOptions().dtype(dtype));
    check_booleans(tensor, dtype, path);
    return tensor;
  });
}

// Before PyTorch 1.6: pickles of a magic number, a version, facts about the machine, the state dict
// and the storages' keys; then for each key the number of elements and the bytes.
NamedTensors load_legacy(const std::string& path, uint64_t file_size) {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
  std::ifstream stream(path, std::ios::binary);
  PickleReader pickle(stream, file_size, path);
  const PickleValue& magic = pickle.read();
  if (magic.kind != Kind::Other || magic.text != kMagic)
    fail(ErrorCode::CorruptFile, "{}: not a file that torch.save() wrote", path);
  pickle.read();
  for (const auto& [key, value] : pickle.read().entries)
    if (key->text == "little_endian" && value->integer == 0)
      fail(ErrorCode::Unsupported, "{}: saved on a big-endian machine", path);
  const PickleValue& root = pickle.read();
  const PickleValue& keys = pickle.read();

  std::map<std::string, const PickleValue*> known;
  for (const auto& [name, value] : list_tensors(root, path))
    known.emplace(value->storage->text, value->storage);
  std::map<std::string, at::Tensor> storages;
  for (const PickleValue* key : keys.items) {
    const auto found = known.find(key->text);
    if (found == known.end())
      fail(ErrorCode::CorruptFile, "{}: no tensor uses the storage '{}'", path, key->text);
    const PickleValue& storage = *found->second;
    const at::ScalarType dtype = parse_storage_type(storage.type, path);
    int64_t size = 0, num_bytes = 0;
    pickle.read_bytes(&size, 8);
    if (size != storage.integer || size < 0 ||
        __builtin_mul_overflow(size, dtype_bytes(dtype), &num_bytes) ||
        static_cast<uint64_t>(num_bytes) > pickle.remaining_bytes())
      fail(ErrorCode::CorruptFile,
           "{}: storage '{}' has {} elements, expected {} (or the file is cut short)", path,
           key->text, size, storage.integer);
    at::Tensor tensor = at::empty({size}, at::TensorOptions().dtype(dtype));
    if (num_bytes > 0) pickle.read_bytes(tensor.data_ptr(), static_cast<uint64_t>(num_bytes));
    check_booleans(tensor, dtype, path);
    storages[key->text] = std::move(tensor);
  }
  return load_tensors(root, path, [&](const PickleValue& storage, at::ScalarType) {
    const auto found = storages.find(storage.text);
    if (found == storages.end())
      fail(ErrorCode::CorruptFile, "{}: the storage '{}' is missing", path, storage.text);
    return std::exchange(found->second, at::Tensor());
  });
}

}  // namespace

NamedTensors load_pytorch_bin(const std::string& path) {
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
  try {
    return first[0] == 'P' && first[1] == 'K' ? load_zip(path) : load_legacy(path, file_size);
  } catch (const c10::Error& failure) {
    std::string what = failure.what_without_backtrace();
    what.resize(std::min(what.size(), what.find('\n')));
    fail(ErrorCode::CorruptFile, "{}: {}", path, what);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::OutOfMemory, "{}: not enough memory", path);
  }
}

}  // namespace flanmoe::checkpoint
