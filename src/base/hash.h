// Content hashes (XXH3, 128 bits, as 32 hex digits) for caching and records; not for security.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace flanmoe {

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher& add(std::string_view bytes);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_text(std::string_view text);
// 64 bits of XXH3.
uint64_t hash64(std::string_view bytes);
std::string hash_file(const std::string& path);
// Of a file, or of every file below a folder with its relative path.
std::string hash_path(const std::string& path);

}  // namespace flanmoe
