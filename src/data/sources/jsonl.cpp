#include "base/file.h"
#include "base/json.h"
#include "data/sources/format.h"

namespace flanmoe::data {
namespace {

class JsonlReader final : public RowReader {
 public:
  explicit JsonlReader(const std::string& path) : lines_(path) {}
  bool next(Row& row) override {
    do {
      if (!lines_.next(line_)) return false;
    } while (line_.find_first_not_of(" \t\r\n\f\v") == std::string::npos);
    row.line = lines_.line_number();
    row.error.reset();
    try {
      row.columns = parse_json(line_, lines_.where());
      if (!row.columns.is_object())
        fail(ErrorCode::CorruptFile, "{}: [data] the line is {}, expected an object",
             lines_.where(), row.columns.type_name());
    } catch (const Error& error) {
      row.error = error;
    }
    return true;
  }

 private:
  LineReader lines_;
  std::string line_;
};

}  // namespace

std::unique_ptr<RowReader> open_jsonl(const std::string& path) {
  return std::make_unique<JsonlReader>(path);
}

}  // namespace flanmoe::data
