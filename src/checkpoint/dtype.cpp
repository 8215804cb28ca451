#include "checkpoint/dtype.h"

#include <utility>

namespace flanmoe::checkpoint {
namespace {

constexpr std::pair<std::string_view, at::ScalarType> kDtypes[] = {
    {"F64", at::ScalarType::Double}, {"F32", at::ScalarType::Float},
    {"F16", at::ScalarType::Half},   {"BF16", at::ScalarType::BFloat16},
    {"I64", at::ScalarType::Long},   {"I32", at::ScalarType::Int},
    {"I16", at::ScalarType::Short},  {"I8", at::ScalarType::Char},
    {"U8", at::ScalarType::Byte},    {"BOOL", at::ScalarType::Bool},
};

}  // namespace

std::optional<at::ScalarType> parse_dtype(std::string_view name) {
  for (const auto& [text, dtype] : kDtypes)
    if (text == name) return dtype;
  return std::nullopt;
}

std::string_view dtype_name(at::ScalarType dtype) {
  for (const auto& [text, candidate] : kDtypes)
    if (candidate == dtype) return text;
  return "";
}

int64_t dtype_bytes(at::ScalarType dtype) {
  return static_cast<int64_t>(c10::elementSize(dtype));
}

std::string dtype_list() {
  std::string list;
  for (const auto& [text, dtype] : kDtypes) list += (list.empty() ? "" : ", ") + std::string(text);
  return list;
}

}  // namespace flanmoe::checkpoint
