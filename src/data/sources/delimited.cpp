// Comma- and tab-separated tables with a header row: RFC 4180 (quotes around a field that holds
// separators, quotes or line ends; a quote inside is doubled), strictly. Lines end in LF or CRLF; a
// line end inside quotes becomes LF.
#include <deque>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "data/sources/format.h"

namespace flanmoe::data {
namespace {

// So much is read in search of a closing quote.
constexpr size_t kMaxRecordBytes = 16 << 20;

class DelimitedReader final : public RowReader {
 public:
  DelimitedReader(const std::string& path, char separator, bool has_quotes)
      : path_(path == "-" ? "stdin" : path),
        separator_(separator),
        has_quotes_(has_quotes),
        lines_(path) {
    Fields header;
    int64_t line = 0;
    if (const auto error = read_record(header, line); error) throw *error;
    if (line == 0)
      fail(ErrorCode::CorruptFile, "{}: [data] the file is empty, expected a row of column names",
           path_);
    std::set<std::string> seen;
    for (const std::string& name : header) {
      if (name.empty())
        fail(ErrorCode::CorruptFile, "{}:{}: [data] column {} of {} has no name", path_, line,
             &name - header.data() + 1, header.size());
      if (!seen.insert(name).second)
        fail(ErrorCode::CorruptFile, "{}:{}: [data] two columns are named '{}'", path_, line, name);
    }
    columns_ = std::move(header);
    header_line_ = line;
  }

  std::vector<std::string> columns() const override { return columns_; }

  bool next(Row& row) override {
    row.line = 0;
    row.error = read_record(fields_, row.line);
    if (row.line == 0) return false;
    if (!row.error && fields_.size() != columns_.size())
      row.error = Error(
          ErrorCode::CorruptFile,
          fmt::format("{}:{}: [data] the row has {} columns, expected the {} of the header (line "
                      "{})",
                      path_, row.line, fields_.size(), columns_.size(), header_line_));
    if (row.error) return true;
    row.columns = Json::object();
    for (size_t i = 0; i < columns_.size(); ++i) row.columns[columns_[i]] = std::move(fields_[i]);
    return true;
  }

 private:
  using Fields = std::vector<std::string>;
  struct Line {
    std::string text;
    int64_t number;
  };

  bool next_line(Line& line) {
    if (!pending_.empty()) {
      line = std::move(pending_.front());
      pending_.pop_front();
      return true;
    }
    if (!lines_.next(line.text)) return false;
    line.number = lines_.line_number();
    return true;
  }

  std::optional<Error> error_at(int64_t line, const std::string& text) const {
    return Error(ErrorCode::CorruptFile, fmt::format("{}:{}: [data] {}", path_, line, text));
  }

  // `first_line` stays 0 at the end of the file.
  std::optional<Error> read_record(Fields& fields, int64_t& first_line) {
    Line line;
    do {
      if (!next_line(line)) return std::nullopt;
    } while (line.text.empty());
    first_line = line.number;
    fields.clear();
    if (const size_t bad = find_invalid_utf8(line.text); bad != std::string::npos)
      return error_at(line.number,
                      fmt::format("byte {} of the line (0x{:02X}) is not UTF-8", bad + 1,
                                  static_cast<unsigned char>(line.text[bad])));
    for (size_t i = 0;;) {
      std::string field;
      if (has_quotes_ && i < line.text.size() && line.text[i] == '"') {
        const int64_t opened = line.number;
        std::vector<Line> read;
        size_t num_bytes = 0;
        for (++i;;) {
          if (i == line.text.size()) {
            Line more;
            if (num_bytes > kMaxRecordBytes || !next_line(more)) {
              // The lines behind the first are read again, as rows of their own.
              pending_.insert(pending_.begin(), std::make_move_iterator(read.begin()),
                              std::make_move_iterator(read.end()));
              return error_at(opened, "the quote that opens a field is not closed");
            }
            if (const size_t bad = find_invalid_utf8(more.text); bad != std::string::npos)
              return error_at(more.number,
                              fmt::format("byte {} of the line (0x{:02X}) is not UTF-8", bad + 1,
                                          static_cast<unsigned char>(more.text[bad])));
            num_bytes += more.text.size() + 1;
            read.push_back(more);
            line = std::move(more);
            field += '\n';
            i = 0;
          } else if (line.text[i] != '"') {
            field += line.text[i++];
          } else if (i + 1 < line.text.size() && line.text[i + 1] == '"') {
            field += '"';
            i += 2;
          } else {
            ++i;
            break;
          }
        }
        if (i < line.text.size() && line.text[i] != separator_)
          return error_at(line.number, fmt::format("text follows the closing quote of column {}{}",
                                                   fields.size() + 1, quoting_hint()));
      } else {
        size_t end = line.text.find(separator_, i);
        if (end == std::string::npos) end = line.text.size();
        field = line.text.substr(i, end - i);
        if (has_quotes_ && field.find('"') != std::string::npos)
          return error_at(line.number,
                          fmt::format("a quote stands inside column {}, which has none around "
                                      "it{}",
                                      fields.size() + 1, quoting_hint()));
        i = end;
      }
      fields.push_back(std::move(field));
      if (i >= line.text.size()) return std::nullopt;
      ++i;  // the separator; at the end of the line an empty field follows
    }
  }

  std::string quoting_hint() const {
    return separator_ == '\t' ? " (format = \"tsv-unquoted\" takes quotes as text)" : "";
  }

  std::string path_;
  char separator_;
  bool has_quotes_;
  LineReader lines_;
  std::deque<Line> pending_;
  Fields columns_, fields_;
  int64_t header_line_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_delimited(const std::string& path, char separator,
                                          bool has_quotes) {
  return std::make_unique<DelimitedReader>(path, separator, has_quotes);
}

}  // namespace flanmoe::data
