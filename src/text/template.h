// Instruction templates: text with {field} places.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::text {

// "{premise}\nDoes it follow that {hypothesis}?" -> the text with every {name} replaced; "{{" and
// "}}" are braces.
class Template {
 public:
  // Throws InvalidConfig on an unclosed brace; `where` is put before the message.
  explicit Template(std::string_view source, const std::string& where = "template");
  // `find` gives a field's text, nothing where there is no such field. Throws NotFound with the
  // nearest of `known_names`.
  std::string render(const std::function<std::optional<std::string>(const std::string&)>& find,
                     const std::function<std::vector<std::string>()>& known_names) const;
  std::string render(const std::map<std::string, std::string>& fields) const;
  const std::vector<std::string>& field_names() const { return field_names_; }
  const std::string& source() const { return source_; }

 private:
  struct Part {
    bool is_field;
    std::string text;
  };
  std::string source_;
  std::vector<Part> parts_;
  std::vector<std::string> field_names_;
};

}  // namespace flanmoe::text
