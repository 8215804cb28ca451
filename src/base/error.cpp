#include "base/error.h"

namespace flanmoe {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "invalid_argument";
    case ErrorCode::InvalidConfig:
      return "invalid_config";
    case ErrorCode::ShapeMismatch:
      return "shape_mismatch";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::CorruptFile:
      return "corrupt_file";
    case ErrorCode::Unsupported:
      return "unsupported";
    case ErrorCode::Io:
      return "io";
    case ErrorCode::OutOfMemory:
      return "out_of_memory";
    case ErrorCode::NonFinite:
      return "non_finite";
    case ErrorCode::Interrupted:
      return "interrupted";
    case ErrorCode::Internal:
      return "internal";
  }
  return "?";
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
    case ErrorCode::InvalidConfig:
    case ErrorCode::ShapeMismatch:
    case ErrorCode::NotFound:
    case ErrorCode::CorruptFile:
    case ErrorCode::Unsupported:
      return 2;
    case ErrorCode::Io:
    case ErrorCode::OutOfMemory:
    case ErrorCode::NonFinite:
    case ErrorCode::Interrupted:
    case ErrorCode::Internal:
      return 1;
  }
  return 1;
}

void fail_assertion(const char* condition, const char* file, int line) {
  fail(ErrorCode::Internal, "{}:{}: assertion failed: {}", file, line, condition);
}

}  // namespace flanmoe
