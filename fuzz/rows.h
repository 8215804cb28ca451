// What every format's rows go through, from arbitrary bytes.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/jsonl.h"
#include "data/sources/format.h"
#include "data/sources/table.h"

namespace flanmoe::data {

// A file that has a path but no place on a disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : descriptor_(memfd_create("input", 0)) {
    if (descriptor_ < 0 || ::write(descriptor_, content.data(), content.size()) !=
                               static_cast<ssize_t>(content.size()))
      std::abort();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// Every row becomes an example that can be written and read again, or an Error that names the file.
inline void read_rows(const SourceConfig& config, const std::string& format_name,
                      const std::string& path) {
  const auto check_named = [&](const Error& error) {
    if (std::string(error.what()).find(path) == std::string::npos) std::abort();
  };
  try {
    const Format& format = find_format(format_name);
    const auto reader = format.open(path);
    const RowMapper mapper(config, format, *reader, path);
    int64_t last_line = 0;
    for (Row row; reader->next(row);) {
      if (row.line < last_line || row.line < 1) std::abort();
      last_line = row.line;
      try {
        if (row.error) throw *row.error;
        const Example example = mapper.map(std::move(row.columns), path + ":7");
        const Json written = to_json(example);
        const Json again = to_json(parse_example(parse_json(written.dump(), path), path));
        if (again != written) std::abort();
        if (Json::from_cbor(Json::to_cbor(example.fields)) != example.fields) std::abort();
      } catch (const Error& error) {
        check_named(error);
      }
    }
  } catch (const Error& error) {
    check_named(error);
  }
}

}  // namespace flanmoe::data
