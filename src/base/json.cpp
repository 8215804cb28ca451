#include "base/json.h"

#include "base/error.h"
#include "base/file.h"

namespace flanmoe {

namespace {

constexpr size_t kMaxMessage = 300;

// Without nlohmann's "[json.exception.parse_error.101] ", and short even where the text around is
// not.
std::string shorten(std::string message) {
  if (const size_t end = message.find("] "); message.starts_with("[json") && end != message.npos)
    message.erase(0, end + 2);
  if (message.size() > kMaxMessage) {
    size_t end = kMaxMessage;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
    message.resize(end);
    message += "...";
  }
  return message;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::CorruptFile, "{}: {}", where, shorten(error.what()));
  }
}

Json load_json(const std::string& path) {
  return parse_json(read_file(path), path);
}

}  // namespace flanmoe
