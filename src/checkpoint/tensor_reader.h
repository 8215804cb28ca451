// The tensors of a model folder, read one at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/tensor_file.h"

namespace flanmoe::checkpoint {

// A Hugging Face folder: model.safetensors, or model.safetensors.index.json with shards, or
// pytorch_model.bin (or its index with shards), in this order. Holds no tensor (of a pytorch_model
// whose tensors share memory: the storage last read). Not for several threads at once.
class TensorReader {
 public:
  // Opens every shard and reads what it says of its tensors. Throws NotFound naming the four where
  // none is there or a shard is missing, CorruptFile where index and shards disagree.
  explicit TensorReader(const std::string& folder);

  const TensorInfos& tensors() const { return tensors_; }
  // In the order in which reading all of them costs least.
  std::vector<std::string> names() const;
  // One of tensors(), in the dtype of the file; owns its memory.
  at::Tensor read(const std::string& name) const;
  // As TensorFile has it.
  at::Tensor read_elements(const std::string& name, int64_t first, int64_t count) const;

 private:
  void add(std::unique_ptr<TensorFile> file);
  void open_shards(const std::string& folder, const std::string& index,
                   std::unique_ptr<TensorFile> (*open)(const std::string&));

  std::vector<std::unique_ptr<TensorFile>> files_;
  TensorInfos tensors_;
  std::map<std::string, TensorFile*> file_of_;
};

}  // namespace flanmoe::checkpoint
