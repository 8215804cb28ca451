#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/dtype.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/safetensors_format.h"
#include "checkpoint/tensor_writer.h"

namespace flanmoe::checkpoint {
namespace {

constexpr size_t kMaxDimensions = 64;

using PlainJson =
    nlohmann::json;  // keys looked up in logarithmic time; ours keeps order and is linear

struct Entry {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

// Refuses a key that an object has twice: JSON parsers keep one of the two without a word.
class DuplicateKeys {
 public:
  bool operator()(int depth, PlainJson::parse_event_t event, const PlainJson& parsed) {
    const auto level = static_cast<size_t>(depth);
    if (event == PlainJson::parse_event_t::object_start) {
      if (seen_.size() < level + 2) seen_.resize(level + 2);
      seen_[level + 1].clear();
    } else if (event == PlainJson::parse_event_t::key && duplicate_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!seen_[level].insert(key).second) duplicate_ = key.empty() ? "(empty)" : key;
    }
    return true;
  }
  const std::string& duplicate() const { return duplicate_; }

 private:
  std::vector<std::set<std::string>> seen_;
  std::string duplicate_;
};

PlainJson parse_header(const std::string& text, const std::string& path) {
  DuplicateKeys keys;
  PlainJson header;
  try {
    header = PlainJson::parse(text, [&](int depth, PlainJson::parse_event_t event,
                                        PlainJson& parsed) { return keys(depth, event, parsed); });
  } catch (const PlainJson::exception& error) {
    fail(ErrorCode::CorruptFile, "{}: the header is not JSON: {}", path, error.what());
  }
  if (!keys.duplicate().empty())
    fail(ErrorCode::CorruptFile, "{}: the header has '{}' twice", path, keys.duplicate());
  if (!header.is_object())
    fail(ErrorCode::CorruptFile, "{}: the header is {}, expected an object", path,
         header.type_name());
  return header;
}

Entry parse_entry(const std::string& name, const PlainJson& value, uint64_t data_size,
                  const std::string& path) {
  const auto corrupt = [&](const std::string& what) {
    fail(ErrorCode::CorruptFile, "{}: tensor '{}': {}", path, name, what);
  };
  if (!value.is_object()) corrupt(fmt::format("expected an object, found {}", value.type_name()));
  for (const auto& [key, unused] : value.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      corrupt(fmt::format("unknown key '{}'", key));
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!value.contains(key)) corrupt(fmt::format("no '{}'", key));

  Entry entry;
  entry.name = name;
  const auto& dtype = value["dtype"];
  if (!dtype.is_string()) corrupt("dtype is not a string");
  const auto& dtype_name = dtype.get_ref<const std::string&>();
  if (const auto known = parse_dtype(dtype_name)) {
    entry.dtype = *known;
  } else {
    for (const char* other : {"U16", "U32", "U64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "C64"})
      if (dtype_name == other)
        fail(ErrorCode::Unsupported, "{}: tensor '{}' has the dtype {}; supported are {}", path,
             name, dtype_name, dtype_list());
    corrupt(fmt::format("unknown dtype '{}', expected one of {}", dtype_name, dtype_list()));
  }

  const auto& shape = value["shape"];
  if (!shape.is_array() || shape.size() > kMaxDimensions)
    corrupt(fmt::format("shape is not an array of at most {} sizes", kMaxDimensions));
  int64_t num_elements = 1,
          extent = 1;  // extent: with sizes of 0 taken as 1, what strides are made of
  for (const auto& size : shape) {
    if (!size.is_number_unsigned() ||
        size.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      corrupt(fmt::format("{} in the shape is not a size", size.dump()));
    const int64_t dimension = size.get<int64_t>();
    entry.shape.push_back(dimension);
    num_elements = dimension == 0 ? 0 : num_elements;
    if (__builtin_mul_overflow(extent, std::max<int64_t>(dimension, 1), &extent))
      corrupt("the shape overflows 64 bits");
  }
  if (num_elements != 0) num_elements = extent;
  int64_t num_bytes = 0;
  if (__builtin_mul_overflow(num_elements, dtype_bytes(entry.dtype), &num_bytes))
    corrupt("the shape overflows 64 bits");

  const auto& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    corrupt("data_offsets are not two byte positions");
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  if (entry.begin > entry.end)
    corrupt(fmt::format("data_offsets [{}, {}] run backwards", entry.begin, entry.end));
  if (entry.end > data_size)
    corrupt(fmt::format("data_offsets [{}, {}] pass the end of the data ({} bytes)", entry.begin,
                        entry.end, data_size));
  if (entry.end - entry.begin != static_cast<uint64_t>(num_bytes))
    corrupt(fmt::format("data_offsets [{}, {}] hold {} bytes, and shape and dtype need {}",
                        entry.begin, entry.end, entry.end - entry.begin, num_bytes));
  return entry;
}

void check_coverage(const std::vector<Entry>& sorted, uint64_t data_size, const std::string& path) {
  uint64_t expected = 0;
  for (const Entry& entry : sorted) {
    if (entry.begin != expected)
      fail(ErrorCode::CorruptFile,
           "{}: tensor '{}' begins at byte {} of the data, {} bytes {} the one before it", path,
           entry.name, entry.begin,
           entry.begin < expected ? expected - entry.begin : entry.begin - expected,
           entry.begin < expected ? "inside" : "behind the end of");
    expected = entry.end;
  }
  if (expected != data_size)
    fail(ErrorCode::CorruptFile, "{}: {} bytes behind the last tensor belong to none", path,
         data_size - expected);
}

at::Tensor make_empty(const Entry& entry, at::IntArrayRef shape, const std::string& path) {
  try {
    return at::empty(shape, at::TensorOptions().dtype(entry.dtype));
  } catch (const c10::Error&) {
    fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of tensor '{}'", path,
         entry.end - entry.begin, entry.name);
  }
}

class Safetensors final : public TensorFile {
 public:
  Safetensors(const std::string& path, std::map<std::string, std::string>* metadata)
      : path_(path), file_(path, O_RDONLY) {
    const uint64_t file_size = file_.size();
    if (file_size < 8)
      fail(ErrorCode::CorruptFile, "{}: {} bytes, a safetensors file has 8 at least", path_,
           file_size);
    unsigned char prefix[8];
    file_.read(prefix, 8, 0);
    uint64_t header_size = 0;
    for (int i = 7; i >= 0; --i) header_size = header_size << 8 | prefix[i];
    if (header_size > kMaxHeaderBytes || header_size > file_size - 8)
      fail(ErrorCode::CorruptFile,
           "{}: the header is said to have {} bytes, and the file has {} (not a safetensors file, "
           "or "
           "cut short)",
           path_, header_size, file_size);
    std::string text(header_size, '\0');
    file_.read(text.data(), header_size, 8);
    const PlainJson header = parse_header(text, path_);
    const uint64_t data_size = file_size - 8 - header_size;

    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name != kMetadataKey) {
        entries.push_back(parse_entry(name, value, data_size, path_));
        continue;
      }
      if (!value.is_object())
        fail(ErrorCode::CorruptFile, "{}: {} is {}, expected an object", path_, kMetadataKey,
             value.type_name());
      for (const auto& [key, content] : value.items()) {
        if (!content.is_string())
          fail(ErrorCode::CorruptFile, "{}: {}: '{}' is {}, expected a string", path_, kMetadataKey,
               key, content.type_name());
        if (metadata) (*metadata)[key] = content.get<std::string>();
      }
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    check_coverage(entries, data_size, path_);

    data_offset_ = 8 + header_size;
    for (Entry& entry : entries) {
      names_.push_back(entry.name);
      tensors_[entry.name] = {entry.dtype, entry.shape};
      entries_[names_.back()] = std::move(entry);
    }
  }

  at::Tensor read(const std::string& name) override {
    const Entry& entry = entries_.at(name);
    return read_bytes(entry, entry.shape, entry.begin);
  }
  at::Tensor read_elements(const std::string& name, int64_t first, int64_t count) override {
    const Entry& entry = entries_.at(name);
    FLANMOE_ASSERT(first >= 0 && count >= 0 &&
                   static_cast<uint64_t>((first + count) * dtype_bytes(entry.dtype)) <=
                       entry.end - entry.begin);
    return read_bytes(entry, {count},
                      entry.begin + static_cast<uint64_t>(first * dtype_bytes(entry.dtype)));
  }

 private:
  at::Tensor read_bytes(const Entry& entry, at::IntArrayRef shape, uint64_t begin) {
    at::Tensor tensor = make_empty(entry, shape, path_);
    const size_t size = tensor.nbytes();
    if (size > 0) file_.read(tensor.data_ptr(), size, data_offset_ + begin);
    if (entry.dtype == at::kBool) {
      const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
      const auto* wrong =
          std::find_if(bytes, bytes + size, [](unsigned char byte) { return byte > 1; });
      if (wrong != bytes + size)
        fail(ErrorCode::CorruptFile, "{}: tensor '{}': {} is not a BOOL", path_, entry.name,
             *wrong);
    }
    return tensor;
  }

  std::string path_;
  File file_;
  uint64_t data_offset_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace

int64_t TensorInfo::num_bytes() const {
  int64_t bytes = dtype_bytes(dtype);
  for (const int64_t size : shape) bytes *= size;
  return bytes;
}

at::Tensor TensorFile::read_elements(const std::string& name, int64_t first, int64_t count) {
  return read(name).reshape(-1).narrow(0, first, count);
}

std::unique_ptr<TensorFile> open_safetensors(const std::string& path,
                                             std::map<std::string, std::string>* metadata) {
  return std::make_unique<Safetensors>(path, metadata);
}

NamedTensors load_safetensors(const std::string& path,
                              std::map<std::string, std::string>* metadata) {
  Safetensors file(path, metadata);
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace(name, file.read(name));
  return tensors;
}

void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, describe_tensors(tensors, path), metadata);
  for (const std::string& name : writer.order()) writer.write(name, tensors.at(name));
  writer.finish();
}

}  // namespace flanmoe::checkpoint
