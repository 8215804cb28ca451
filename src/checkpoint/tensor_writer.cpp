#include "checkpoint/tensor_writer.h"

#include <ATen/core/Tensor.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/dtype.h"
#include "checkpoint/safetensors_format.h"

namespace flanmoe::checkpoint {
namespace {

// Keys in logarithmic time and sorted; flanmoe::Json keeps order and is linear.
using PlainJson = nlohmann::json;

std::string quote(const std::string& text, const std::string& path) {
  try {
    return PlainJson(text).dump();
  } catch (const PlainJson::exception&) {
    fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': a name is not UTF-8", path);
  }
}

std::string make_header(const std::vector<std::string>& order, const TensorInfos& tensors,
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
  for (const std::string& name : order) {
    const TensorInfo& info = tensors.at(name);
    const int64_t end = offset + info.num_bytes();
    std::string shape;
    for (const int64_t size : info.shape)
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
                          quote(name, path), dtype_name(info.dtype), shape, offset, end);
    offset = end;
  }
  if (header.size() == 1) header += "}";
  header.back() = '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

std::vector<std::string> order_of(const TensorInfos& tensors) {
  std::vector<std::string> order;
  for (const auto& [name, info] : tensors) order.push_back(name);
  std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    return dtype_bytes(tensors.at(a).dtype) > dtype_bytes(tensors.at(b).dtype);
  });
  return order;
}

void check_savable(const std::string& name, const at::Tensor& tensor, const std::string& path) {
  if (!tensor.defined())
    fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': tensor '{}' is undefined",
         path, name);
  if (!tensor.device().is_cpu())
    fail(ErrorCode::InvalidArgument,
         "[checkpoint] cannot save '{}': tensor '{}' is on {}, expected the CPU", path, name,
         tensor.device().str());
  if (tensor.layout() != at::kStrided)
    fail(ErrorCode::Unsupported,
         "[checkpoint] cannot save '{}': tensor '{}' is not dense; supported are dense {}", path,
         name, dtype_list());
}

}  // namespace

TensorInfos describe_tensors(const NamedTensors& tensors, const std::string& path) {
  TensorInfos infos;
  for (const auto& [name, tensor] : tensors) {
    check_savable(name, tensor, path);
    infos[name] = {tensor.scalar_type(), tensor.sizes().vec()};
  }
  return infos;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, const TensorInfos& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), aside_(fmt::format("{}.tmp-{}", path, ::getpid())), tensors_(tensors) {
  for (const auto& [name, info] : tensors) {
    if (name == kMetadataKey)
      fail(ErrorCode::InvalidArgument, "[checkpoint] cannot save '{}': '{}' is not a tensor's name",
           path, name);
    if (dtype_name(info.dtype).empty())
      fail(ErrorCode::Unsupported,
           "[checkpoint] cannot save '{}': tensor '{}' is {}; supported are {}", path, name,
           at::toString(info.dtype), dtype_list());
  }
  order_ = order_of(tensors);
  const std::string header = make_header(order_, tensors, metadata, path);
  if (header.size() > kMaxHeaderBytes)
    fail(ErrorCode::Unsupported,
         "[checkpoint] cannot save '{}': the header has {} bytes, safetensors allows {}", path,
         header.size(), kMaxHeaderBytes);
  unsigned char prefix[8];
  for (int i = 0; i < 8; ++i)
    prefix[i] = static_cast<unsigned char>(static_cast<uint64_t>(header.size()) >> (8 * i));

  file_ = std::make_unique<File>(aside_, O_WRONLY | O_CREAT | O_TRUNC);
  try {
    write_bytes(prefix, 8);
    write_bytes(header.data(), header.size());
  } catch (...) {
    ::unlink(aside_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_) ::unlink(aside_.c_str());
}

void SafetensorsWriter::write(const std::string& name, const at::Tensor& tensor) {
  FLANMOE_ASSERT(file_ && num_written_ < order_.size() && order_[num_written_] == name);
  const TensorInfo& info = tensors_.at(name);
  if (!tensor.defined() || !tensor.device().is_cpu() || tensor.layout() != at::kStrided ||
      tensor.scalar_type() != info.dtype || tensor.sizes() != at::IntArrayRef(info.shape))
    fail(ErrorCode::InvalidArgument,
         "[checkpoint] cannot save '{}': tensor '{}' is not what was announced", path_, name);
  write_dense(tensor);
  ++num_written_;
}

void SafetensorsWriter::write_dense(const at::Tensor& tensor) {
  // copies of one thing are not made
  if (tensor.dim() > 0 && tensor.stride(0) == 0) {
    for (int64_t i = 0; i < tensor.size(0); ++i) write_dense(tensor.select(0, i));
    return;
  }
  const at::Tensor dense = (tensor.is_neg() ? tensor.resolve_neg() : tensor).contiguous();
  write_bytes(dense.const_data_ptr(), dense.nbytes());
}

void SafetensorsWriter::write_bytes(const void* bytes, size_t size) {
  // so much that the system copies it out of the cache into which the hash has brought it
  constexpr size_t kChunkBytes = size_t{1} << 18;
  const char* next = static_cast<const char*>(bytes);
  while (size > 0) {
    const size_t count = std::min(size, kChunkBytes);
    hasher_.add({next, count});
    file_->write(next, count);
    next += count;
    size -= count;
  }
}

void SafetensorsWriter::finish() {
  FLANMOE_ASSERT(file_ && num_written_ == order_.size());
  file_->sync_and_close();
  if (::rename(aside_.c_str(), path_.c_str()) != 0)
    fail(ErrorCode::Io, "[checkpoint] cannot rename '{}' to '{}': {}", aside_, path_,
         std::strerror(errno));
  file_.reset();
}

FolderWriter::FolderWriter(std::string folder, const TensorInfos& tensors, int64_t max_shard_bytes)
    : folder_(std::move(folder)), shards_(1) {
  if (max_shard_bytes <= 0)
    fail(ErrorCode::InvalidArgument, "[checkpoint] max_shard_bytes is {}, expected more than 0",
         max_shard_bytes);
  int64_t shard_bytes = 0;
  for (const auto& [name, info] : tensors) {
    const int64_t size = info.num_bytes();
    if (shard_bytes + size > max_shard_bytes && !shards_.back().empty()) {
      shards_.emplace_back();
      shard_bytes = 0;
    }
    shards_.back().emplace(name, info);
    shard_bytes += size;
    total_bytes_ += size;
  }
  make_folders(folder_);
  for (const TensorInfos& shard : shards_) {
    const std::vector<std::string> order = order_of(shard);
    order_.insert(order_.end(), order.begin(), order.end());
  }
}

std::string FolderWriter::file_name(size_t shard) const {
  return shards_.size() == 1
             ? kSafetensorsFile
             : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
}

void FolderWriter::open_next() {
  const TensorInfos& shard = shards_[num_opened_];
  writer_ = std::make_unique<SafetensorsWriter>(folder_ + "/" + file_name(num_opened_), shard);
  num_left_ = shard.size();
  ++num_opened_;
}

void FolderWriter::write(const std::string& name, const at::Tensor& tensor) {
  if (!writer_) {
    FLANMOE_ASSERT(num_opened_ < shards_.size());
    open_next();
  }
  writer_->write(name, tensor);
  if (--num_left_ == 0) finish_shard();
}

void FolderWriter::finish_shard() {
  writer_->finish();
  hashes_[file_name(num_opened_ - 1)] = writer_->hash();
  writer_.reset();
}

void FolderWriter::finish() {
  if (order_.empty() && num_opened_ == 0) {
    open_next();
    finish_shard();
  }
  FLANMOE_ASSERT(!writer_ && num_opened_ == shards_.size());
  if (shards_.size() == 1) return;
  PlainJson weight_map = PlainJson::object();
  for (size_t i = 0; i < shards_.size(); ++i)
    for (const auto& [name, info] : shards_[i]) weight_map[name] = file_name(i);
  const PlainJson index = {{"metadata", {{"total_size", total_bytes_}}},
                           {"weight_map", std::move(weight_map)}};
  write_file_atomically(folder_ + "/" + kSafetensorsIndex, index.dump(2) + "\n");
}

}  // namespace flanmoe::checkpoint
