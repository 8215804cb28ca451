#include "text/template.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::text {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

std::string shorten(std::string_view text) {
  constexpr size_t kShown = 60;
  if (text.size() <= kShown) return std::string(text);
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // not inside a character
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

Template::Template(std::string_view source, const std::string& where) : source_(source) {
  std::string literal;
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (c != '{' && c != '}') {
      literal += c;
      continue;
    }
    if (i + 1 < source.size() && source[i + 1] == c) {
      literal += c;
      ++i;
      continue;
    }
    if (c == '}')
      fail(ErrorCode::InvalidConfig,
           "{}: '}}' at byte {} closes nothing in '{}' (write '}}}}' for a brace)", where, i,
           shorten(source));
    const size_t end = source.find('}', i);
    if (end == std::string_view::npos)
      fail(ErrorCode::InvalidConfig,
           "{}: '{{' at byte {} is never closed in '{}' (write '{{{{' for a brace)", where, i,
           shorten(source));
    const std::string name(source.substr(i + 1, end - i - 1));
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_character))
      fail(ErrorCode::InvalidConfig,
           "{}: '{{{}}}' at byte {} is not the name of a field; expected letters, digits, '_', '-' "
           "or '.' (write '{{{{' for a brace)",
           where, shorten(name), i);
    if (!literal.empty()) parts_.push_back({false, std::move(literal)});
    literal.clear();
    parts_.push_back({true, name});
    if (std::find(field_names_.begin(), field_names_.end(), name) == field_names_.end())
      field_names_.push_back(name);
    i = end;
  }
  if (!literal.empty()) parts_.push_back({false, std::move(literal)});
}

std::string Template::render(
    const std::function<std::optional<std::string>(const std::string&)>& find,
    const std::function<std::vector<std::string>()>& known_names) const {
  std::string result;
  for (const Part& part : parts_) {
    if (!part.is_field) {
      result += part.text;
      continue;
    }
    const std::optional<std::string> value = find(part.text);
    if (!value) {
      const std::vector<std::string> names = known_names();
      fail(ErrorCode::NotFound, "[template] no field '{}' for '{}'{}", part.text, shorten(source_),
           names.empty() ? std::string(" (there are no fields)") : suggestion(part.text, names));
    }
    result += *value;
  }
  return result;
}

std::string Template::render(const std::map<std::string, std::string>& fields) const {
  return render(
      [&](const std::string& name) -> std::optional<std::string> {
        const auto found = fields.find(name);
        if (found == fields.end()) return std::nullopt;
        return found->second;
      },
      [&] {
        std::vector<std::string> names;
        for (const auto& [name, value] : fields) names.push_back(name);
        return names;
      });
}

}  // namespace flanmoe::text
