// CSV and TSV from arbitrary bytes.
#include "rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flanmoe::data;
  const MemoryFile file({reinterpret_cast<const char*>(data), size});
  for (const char* format : {"csv", "tsv", "tsv-unquoted"}) {
    SourceConfig config;
    read_rows(config, format, file.path());
    config.is_raw = true;
    read_rows(config, format, file.path());
  }
  return 0;
}
