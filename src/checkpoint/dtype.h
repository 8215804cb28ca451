// The dtypes of safetensors that we read and write.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flanmoe::checkpoint {

std::optional<at::ScalarType> parse_dtype(std::string_view name);
// "" where safetensors, or we, have no such dtype.
std::string_view dtype_name(at::ScalarType dtype);
int64_t dtype_bytes(at::ScalarType dtype);
// "F64, F32, ...", for messages.
std::string dtype_list();

}  // namespace flanmoe::checkpoint
