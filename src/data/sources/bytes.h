// Numbers and texts in a row of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::data {

// Seven bits a byte, the lowest first.
inline void append_number(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}
inline void append_text(std::string& bytes, std::string_view text) {
  append_number(bytes, text.size());
  bytes += text;
}
inline void append_texts(std::string& bytes, const std::vector<std::string>& texts) {
  append_number(bytes, texts.size());
  for (const std::string& text : texts) append_text(bytes, text);
}

// Reads what these wrote. Past the end everything is 0 and empty, and is_broken().
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  uint8_t byte() {
    if (bytes_.empty()) {
      is_broken_ = true;
      return 0;
    }
    const auto value = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t part = byte();
      value |= static_cast<uint64_t>(part & 0x7F) << shift;
      if (!(part & 0x80)) return value;
    }
    is_broken_ = true;
    return 0;
  }
  std::string text() {
    const uint64_t size = number();
    if (size > bytes_.size()) {
      is_broken_ = true;
      return {};
    }
    std::string result(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return result;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> result;
    for (uint64_t count = number(); count > 0 && !is_broken_; --count) result.push_back(text());
    return result;
  }
  bool is_broken() const { return is_broken_; }

 private:
  std::string_view bytes_;
  bool is_broken_ = false;
};

}  // namespace flanmoe::data
