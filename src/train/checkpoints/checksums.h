// Checksums of every file of a folder, so that damage is found before anything is made of it.
#pragma once

#include <map>
#include <string>

namespace flanmoe::train {

// Path below the folder ("model/model.safetensors") -> XXH3, 128 bits (base/hash.h).
using FileHashes = std::map<std::string, std::string>;

// One line a file, "HASH  PATH", sorted by path: `xxhsum --check checksums.xxh128` reads it too.
constexpr const char* kChecksumsFile = "checksums.xxh128";

// Over every file below `folder`. Those in `known` were hashed while they were written; the others
// are read. Throws Io.
void write_checksums(const std::string& folder, const FileHashes& known = {});
// Throws CorruptFile naming the file that is missing, has other bytes or is not listed; Io where
// one cannot be read.
void check_checksums(const std::string& folder);

}  // namespace flanmoe::train
