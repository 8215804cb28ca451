// JSONL, plain or gzip, from arbitrary bytes, with and without a field map.
#include "rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flanmoe::data;
  const MemoryFile file({reinterpret_cast<const char*>(data), size});
  read_rows({}, "jsonl", file.path());
  SourceConfig mapped;
  mapped.field_map = {{"inputs", "q"},           {"targets", "a.text"}, {"choices", "c, d"},
                      {"answer_index", "label"}, {"id", "n"},           {"fields.x", "a"}};
  read_rows(mapped, "jsonl", file.path());
  return 0;
}
