#include "train/checkpoints/checksums.h"

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace flanmoe::train {
namespace {

constexpr size_t kHexDigits = 32;
constexpr const char* kSeparator = "  ";

std::string below(const std::string& path, const std::string& folder) {
  return path.substr(folder.size() + 1);
}

FileHashes load_checksums(const std::string& path) {
  const std::string text = read_file(path);
  FileHashes hashes;
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    ++line_number;
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    if (end == text.npos || line.size() <= kHexDigits + 2 ||
        line.compare(kHexDigits, 2, kSeparator) != 0)
      fail(ErrorCode::CorruptFile, "{}:{}: expected '<checksum>  <file>', found '{}'", path,
           line_number, line);
    hashes[line.substr(kHexDigits + 2)] = line.substr(0, kHexDigits);
    begin = end + 1;
  }
  return hashes;
}

}  // namespace

void write_checksums(const std::string& folder, const FileHashes& known) {
  std::string text;
  for (const std::string& path : list_files(folder)) {
    const std::string name = below(path, folder);
    if (name == kChecksumsFile) continue;
    const auto found = known.find(name);
    text += (found != known.end() ? found->second : hash_file(path)) + kSeparator + name + "\n";
  }
  write_file_atomically(folder + "/" + kChecksumsFile, text);
}

void check_checksums(const std::string& folder) {
  const std::string checksums = folder + "/" + kChecksumsFile;
  if (!is_file(checksums)) fail(ErrorCode::CorruptFile, "{} is missing", checksums);
  FileHashes expected = load_checksums(checksums);
  for (const std::string& path : list_files(folder)) {
    const std::string name = below(path, folder);
    if (name == kChecksumsFile) continue;
    const auto found = expected.find(name);
    if (found == expected.end())
      fail(ErrorCode::CorruptFile, "{} is not listed in {}", path, kChecksumsFile);
    const std::string hash = hash_file(path);
    if (hash != found->second)
      fail(ErrorCode::CorruptFile,
           "{} is not what was written: it has {} bytes with checksum {}, expected {}", path,
           std::filesystem::file_size(path), hash, found->second);
    expected.erase(found);
  }
  if (!expected.empty())
    fail(ErrorCode::CorruptFile, "{}/{} is missing", folder, expected.begin()->first);
}

}  // namespace flanmoe::train
