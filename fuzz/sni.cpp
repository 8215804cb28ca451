// Task files of Natural Instructions from arbitrary bytes.
#include "rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flanmoe::data;
  const MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    (void)looks_like_natural_instructions(file.path());
  } catch (const flanmoe::Error&) {  // damaged gzip
  }
  read_rows({}, "natural-instructions", file.path());
  SourceConfig mapped;
  mapped.field_map = {{"inputs", "input"}, {"rationale", "Definition"}};
  read_rows(mapped, "natural-instructions", file.path());
  return 0;
}
