#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/dtype.h"
#include "checkpoint/named_tensors.h"

namespace flanmoe::checkpoint {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the safetensors library has it
constexpr size_t kMaxDimensions = 64;
constexpr const char* kMetadataKey = "__metadata__";
// Linux moves at most about 2^31 bytes a call.
constexpr size_t kChunkBytes = size_t{1} << 30;

using PlainJson =
    nlohmann::json;  // keys looked up in logarithmic time; ours keeps order and is linear

class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ >= 0) return;
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR)
      fail(ErrorCode::NotFound, "[checkpoint] no file '{}'", path);
    fail(ErrorCode::Io, "[checkpoint] cannot open '{}': {}", path, std::strerror(error));
  }
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0)
      fail(ErrorCode::Io, "[checkpoint] cannot read '{}': {}", path_, std::strerror(errno));
    if (!S_ISREG(status.st_mode))
      fail(ErrorCode::Io, "[checkpoint] '{}' is not a regular file", path_);
    return static_cast<uint64_t>(status.st_size);
  }

  void read(void* destination, size_t size, uint64_t offset) const {
    char* next = static_cast<char*>(destination);
    while (size > 0) {
      const ssize_t n =
          ::pread(descriptor_, next, std::min(size, kChunkBytes), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(ErrorCode::Io, "[checkpoint] cannot read '{}': {}", path_, std::strerror(errno));
      if (n == 0)
        fail(ErrorCode::CorruptFile, "{}: ends at byte {}, {} more were expected", path_, offset,
             size);
      next += n;
      size -= static_cast<size_t>(n);
      offset += static_cast<uint64_t>(n);
    }
  }

  void write(const void* source, size_t size) {
    const char* next = static_cast<const char*>(source);
    while (size > 0) {
      const ssize_t n = ::write(descriptor_, next, std::min(size, kChunkBytes));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(ErrorCode::Io, "[checkpoint] cannot write '{}': {}", path_, std::strerror(errno));
      next += n;
      size -= static_cast<size_t>(n);
    }
  }

  void sync_and_close() {
    const bool is_synced = ::fsync(descriptor_) == 0;
    const int error = errno;
    const bool is_closed = ::close(std::exchange(descriptor_, -1)) == 0;
    if (!is_synced || !is_closed)
      fail(ErrorCode::Io, "[checkpoint] cannot write '{}': {}", path_,
           std::strerror(is_synced ? errno : error));
  }

 private:
  std::string path_;
  int descriptor_;
};

// Removes what was begun unless release() was called.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void release() { path_.clear(); }

 private:
  std::string path_;
};

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

at::Tensor make_empty(const Entry& entry, const std::string& path) {
  try {
    return at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype));
  } catch (const c10::Error&) {
    fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of tensor '{}'", path,
         entry.end - entry.begin, entry.name);
  }
}

std::string quote(const std::string& text, const std::string& path) {
  try {
    return PlainJson(text).dump();
  } catch (const PlainJson::exception&) {
    fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': a name is not UTF-8", path);
  }
}

void check_savable(const std::string& name, const at::Tensor& tensor, const std::string& path) {
  if (name == kMetadataKey)
    fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': '{}' is not a tensor's name",
         path, name);
  if (!tensor.defined())
    fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': tensor '{}' is undefined",
         path, name);
  if (!tensor.device().is_cpu())
    fail(ErrorCode::InvalidArgument,
         "[checkpoint] cannot save '{}': tensor '{}' is on {}, expected the CPU", path, name,
         tensor.device().str());
  if (tensor.layout() != at::kStrided || dtype_name(tensor.scalar_type()).empty())
    fail(ErrorCode::Unsupported,
         "[checkpoint] cannot save '{}': tensor '{}' is {} {}; supported are dense {}", path, name,
         tensor.layout() == at::kStrided ? "dense" : "not dense",
         at::toString(tensor.scalar_type()), dtype_list());
}

std::string make_header(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += quote(kMetadataKey, path) + ":{";
    for (const auto& [key, value] : metadata)
      header += quote(key, path) + ":" + quote(value, path) + ",";
    header.back() = '}';
    header += ",";
  }
  int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const int64_t end = offset + static_cast<int64_t>(tensor.nbytes());
    std::string shape;
    for (const int64_t size : tensor.sizes())
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
                          quote(name, path), dtype_name(tensor.scalar_type()), shape, offset, end);
    offset = end;
  }
  if (header.size() == 1) header += "}";
  header.back() = '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

}  // namespace

NamedTensors load_safetensors(const std::string& path,
                              std::map<std::string, std::string>* metadata) {
  const File file(path, O_RDONLY);
  const uint64_t file_size = file.size();
  if (file_size < 8)
    fail(ErrorCode::CorruptFile, "{}: {} bytes, a safetensors file has 8 at least", path,
         file_size);
  unsigned char prefix[8];
  file.read(prefix, 8, 0);
  uint64_t header_size = 0;
  for (int i = 7; i >= 0; --i) header_size = header_size << 8 | prefix[i];
  if (header_size > kMaxHeaderBytes || header_size > file_size - 8)
    fail(ErrorCode::CorruptFile,
         "{}: the header is said to have {} bytes, and the file has {} (not a safetensors file, or "
         "cut short)",
         path, header_size, file_size);
  std::string text(header_size, '\0');
  file.read(text.data(), header_size, 8);
  const PlainJson header = parse_header(text, path);
  const uint64_t data_size = file_size - 8 - header_size;

  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadataKey) {
      entries.push_back(parse_entry(name, value, data_size, path));
      continue;
    }
    if (!value.is_object())
      fail(ErrorCode::CorruptFile, "{}: {} is {}, expected an object", path, kMetadataKey,
           value.type_name());
    for (const auto& [key, content] : value.items()) {
      if (!content.is_string())
        fail(ErrorCode::CorruptFile, "{}: {}: '{}' is {}, expected a string", path, kMetadataKey,
             key, content.type_name());
      if (metadata) (*metadata)[key] = content.get<std::string>();
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_coverage(entries, data_size, path);

  NamedTensors tensors;
  for (const Entry& entry : entries) {
    at::Tensor tensor = make_empty(entry, path);
    const size_t size = entry.end - entry.begin;
    if (size > 0) file.read(tensor.data_ptr(), size, 8 + header_size + entry.begin);
    if (entry.dtype == at::kBool) {
      const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
      const auto* wrong =
          std::find_if(bytes, bytes + size, [](unsigned char byte) { return byte > 1; });
      if (wrong != bytes + size)
        fail(ErrorCode::CorruptFile, "{}: tensor '{}': {} is not a BOOL", path, entry.name, *wrong);
    }
    tensors.emplace(entry.name, std::move(tensor));
  }
  return tensors;
}

void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, at::Tensor>> sorted;
  for (const auto& [name, tensor] : tensors) {
    check_savable(name, tensor, path);
    sorted.emplace_back(name, tensor);
  }
  // Large elements first: every tensor is then aligned to its element.
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return dtype_bytes(a.second.scalar_type()) > dtype_bytes(b.second.scalar_type());
  });
  const std::string header = make_header(sorted, metadata, path);
  if (header.size() > kMaxHeaderBytes)
    fail(ErrorCode::Unsupported,
         "[checkpoint] cannot save '{}': the header has {} bytes, safetensors allows {}", path,
         header.size(), kMaxHeaderBytes);
  unsigned char prefix[8];
  for (int i = 0; i < 8; ++i)
    prefix[i] = static_cast<unsigned char>(static_cast<uint64_t>(header.size()) >> (8 * i));

  const std::string aside = fmt::format("{}.tmp-{}", path, ::getpid());
  File file(aside, O_WRONLY | O_CREAT | O_TRUNC);
  Unfinished unfinished(aside);
  file.write(prefix, 8);
  file.write(header.data(), header.size());
  for (const auto& [name, tensor] : sorted) {
    const at::Tensor dense = (tensor.is_neg() ? tensor.resolve_neg() : tensor).contiguous();
    if (dense.nbytes() > 0) file.write(dense.const_data_ptr(), dense.nbytes());
  }
  file.sync_and_close();
  if (::rename(aside.c_str(), path.c_str()) != 0)
    fail(ErrorCode::Io, "[checkpoint] cannot rename '{}' to '{}': {}", aside, path,
         std::strerror(errno));
  unfinished.release();
}

}  // namespace flanmoe::checkpoint
