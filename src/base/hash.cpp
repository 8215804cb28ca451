#include "base/hash.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace flanmoe {

struct Hasher::State {
  XXH3_state_t* state = XXH3_createState();
  ~State() { XXH3_freeState(state); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  if (!state_->state) throw std::bad_alloc();
  XXH3_128bits_reset(state_->state);
}

Hasher::~Hasher() = default;

Hasher& Hasher::add(std::string_view bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->state, bytes.data(), bytes.size());
  return *this;
}

std::string Hasher::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->state);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string hash_text(std::string_view text) {
  return Hasher().add(text).hex();
}

uint64_t hash64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash_file(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int reason = errno;
    fail(reason == ENOENT || reason == ENOTDIR ? ErrorCode::NotFound : ErrorCode::Io,
         "cannot read '{}': {}", path, std::strerror(reason));
  }
  Hasher hasher;
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int reason = errno;
      close(descriptor);
      fail(ErrorCode::Io, "cannot read '{}': {}", path, std::strerror(reason));
    }
    if (count == 0) break;
    hasher.add({buffer.data(), static_cast<size_t>(count)});
  }
  close(descriptor);
  return hasher.hex();
}

std::string hash_path(const std::string& path) {
  if (!is_folder(path)) return hash_file(path);
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const size_t skip = folder == "/" ? 1 : folder.size() + 1;
  Hasher hasher;
  // Each name ends in a zero byte and each content is its hash of fixed length: no two folders read
  // alike.
  for (const auto& file : list_files(folder))
    hasher.add(file.substr(skip)).add({"\0", 1}).add(hash_file(file));
  return hasher.hex();
}

}  // namespace flanmoe
