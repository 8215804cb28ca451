// What the wrappers around the kernels share: types, shapes, raw pointers.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <string>
#include <type_traits>

#include "base/error.h"
#include "ops/cpu/kernels.h"
#include "ops/cuda/ops_cuda.h"
#include "ops/scope.h"

namespace flanmoe::ops {

template <class T>
T* data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

// function(T{}) with T = float, double or Bf16 after the dtype of `tensor`; profilers see it as
// `op`.
template <class Function>
void visit_dtype(const char* op, const at::Tensor& tensor, Function function, double flops = 0) {
  const Scope scope(op, flops);
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return function(float{});
    case at::kDouble:
      return function(double{});
    case at::kBFloat16:
      return function(Bf16{});
    default:
      fail(ErrorCode::Unsupported,
           "[ops.{}] dtype is {}; float32, float64 and bfloat16 are possible", op,
           c10::toString(tensor.scalar_type()));
  }
}

// The kernels for the device of `tensor`.
template <class T>
const RowKernels<T>& kernels_for(const at::Tensor& tensor) {
  return tensor.is_cuda() ? cuda::row_kernels<T>() : cpu::row_kernels<T>();
}

inline at::ScalarType accumulator_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

inline at::Tensor empty(at::IntArrayRef shape, const at::Tensor& like, at::ScalarType dtype) {
  return at::empty(shape, like.options().dtype(dtype));
}
inline at::Tensor empty_like(const at::Tensor& like) {
  return at::empty(like.sizes(), like.options());
}

inline std::string shape_text(const at::Tensor& tensor) {
  if (!tensor.defined()) return "none";
  std::string text = "[";
  for (const int64_t size : tensor.sizes())
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// The tensor as rows of its last dim: contiguous ones, or where only the leading dims are not (a
// slice of a fused projection) with a stride.
struct Rows {
  at::Tensor tensor;  // keeps the memory
  int64_t num_rows = 0;
  int64_t num_columns = 0;
  int64_t stride = 0;
};
inline Rows as_rows(const at::Tensor& tensor) {
  if (tensor.dim() == 0) return {tensor, 1, 1, 1};
  const int64_t columns = tensor.size(-1);
  Rows rows{tensor, columns ? tensor.numel() / columns : 0, columns, columns};
  if (tensor.is_contiguous()) return rows;
  const int64_t last = tensor.dim() - 1;
  bool is_regular = tensor.stride(last) == 1 && last > 0;
  int64_t expected = last > 0 ? tensor.stride(last - 1) : 0;
  for (int64_t i = last - 1; is_regular && i >= 0; --i) {
    is_regular = tensor.stride(i) == expected;
    expected *= tensor.size(i);
  }
  if (is_regular)
    rows.stride = tensor.stride(last - 1);
  else
    rows.tensor = tensor.contiguous();
  return rows;
}

}  // namespace flanmoe::ops
