// One exception type for everything that a user or the machine can get wrong.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace flanmoe {

enum class ErrorCode {
  InvalidArgument,  // an option or an input that cannot be right
  InvalidConfig,    // a recipe, task, suite or config.json key
  ShapeMismatch,    // a tensor that does not fit
  NotFound,         // a file or a name that is not there
  CorruptFile,      // a file that is there and broken
  Unsupported,      // understood, and not possible
  Io,               // disk full, permission, short write
  OutOfMemory,
  NonFinite,    // a loss or gradient that is not a number
  Interrupted,  // Ctrl-C
  Internal,     // our own mistake
};

std::string_view to_string(ErrorCode code);

// Exit code of the program: 2 where the call or its input is wrong, 1 where it failed while
// running.
int exit_code(ErrorCode code);

// The message says who, what was found, what was expected and where it came from:
// "[moe.router] top_k is 4 but num_experts is 2 (recipes/x.toml: model.moe.top_k)".
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void fail_assertion(const char* condition, const char* file, int line);

}  // namespace flanmoe

// For our own mistakes only; user input raises Error with a text of its own. Throws
// Error(Internal).
#define FLANMOE_ASSERT(condition) \
  ((condition) ? void(0) : ::flanmoe::fail_assertion(#condition, __FILE__, __LINE__))
