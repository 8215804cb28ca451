// Tensors written one at a time; the bytes are those of save_safetensors() and save_folder().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "checkpoint/named_tensors.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/tensor_file.h"

namespace flanmoe::checkpoint {

// What a writer is told of tensors that are there already. Throws InvalidArgument, Unsupported on
// what cannot be saved; `path` is for messages.
TensorInfos describe_tensors(const NamedTensors& tensors, const std::string& path);

// One safetensors file, written aside and renamed by finish(); without it nothing is left behind.
class SafetensorsWriter {
 public:
  // Throws InvalidArgument, Unsupported on a name or dtype that safetensors cannot have.
  SafetensorsWriter(const std::string& path, const TensorInfos& tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // The order in which write() wants them: by size of an element (large first: every tensor is then
  // aligned), then by name.
  const std::vector<std::string>& order() const { return order_; }
  // The next tensor: on the CPU, with the dtype and shape that were announced; a non-contiguous one
  // is copied (an expanded one is not). Throws InvalidArgument where it is not, Io.
  void write(const std::string& name, const at::Tensor& tensor);
  // After the last one. Throws Io.
  void finish();
  // Of the file's bytes as they were given to the system, after finish() (base/hash.h).
  std::string hash() const { return hasher_.hex(); }

 private:
  void write_bytes(const void* bytes, size_t size);
  void write_dense(const at::Tensor& tensor);

  std::string path_, aside_;
  TensorInfos tensors_;
  std::vector<std::string> order_;
  size_t num_written_ = 0;
  Hasher hasher_;
  std::unique_ptr<File> file_;
};

// model.safetensors, or shards of at most `max_shard_bytes` with model.safetensors.index.json as
// `transformers` names them: filled in the order of names. Files that were there before stay: write
// into an AtomicFolder.
class FolderWriter {
 public:
  FolderWriter(std::string folder, const TensorInfos& tensors,
               int64_t max_shard_bytes = kMaxShardBytes);

  // The order in which write() wants them, over all shards.
  const std::vector<std::string>& order() const { return order_; }
  void write(const std::string& name, const at::Tensor& tensor);
  // Finishes the last shard and writes the index.
  void finish();
  // Of the files with tensors, by name, after finish().
  const std::map<std::string, std::string>& hashes() const { return hashes_; }

 private:
  std::string file_name(size_t shard) const;
  void open_next();
  void finish_shard();

  std::string folder_;
  std::vector<TensorInfos> shards_;
  std::vector<std::string> order_;
  int64_t total_bytes_ = 0;
  size_t num_opened_ = 0, num_left_ = 0;  // shards opened; tensors that the open one still expects
  std::unique_ptr<SafetensorsWriter> writer_;
  std::map<std::string, std::string> hashes_;
};

}  // namespace flanmoe::checkpoint
