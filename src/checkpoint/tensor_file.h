// One file of named tensors, opened without reading its data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace flanmoe::checkpoint {

struct TensorInfo {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  int64_t num_bytes() const;
};
using TensorInfos = std::map<std::string, TensorInfo>;

// Not for several threads at once.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  const TensorInfos& tensors() const { return tensors_; }
  // The names in the order in which reading all of them costs least.
  const std::vector<std::string>& names() const { return names_; }
  // One of tensors(): contiguous, owns its memory. Throws CorruptFile, Io, OutOfMemory.
  virtual at::Tensor read(const std::string& name) = 0;
  // Its elements from number `first` on, in one dimension. A pytorch_model.bin is read whole for
  // them.
  virtual at::Tensor read_elements(const std::string& name, int64_t first, int64_t count);

 protected:
  TensorInfos tensors_;
  std::vector<std::string> names_;
};

// Both check all that can be checked without the data (named_tensors.h says what) and throw
// NotFound, CorruptFile, Unsupported, Io.
std::unique_ptr<TensorFile> open_safetensors(
    const std::string& path, std::map<std::string, std::string>* metadata = nullptr);
std::unique_ptr<TensorFile> open_pytorch_bin(const std::string& path);

}  // namespace flanmoe::checkpoint
