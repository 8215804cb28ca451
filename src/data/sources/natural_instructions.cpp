// Task files of Super-NaturalInstructions (Natural Instructions v2, allenai/natural-instructions)
// as published: one JSON object with Definition, Positive Examples, Negative Examples and Instances
// ({"id", "input", "output": [...]}). Only one instance at a time is held as JSON.
#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "data/example.h"
#include "data/sources/format.h"

namespace flanmoe::data {
namespace {

// Input_language of the task files -> ISO 639-1.
constexpr std::pair<std::string_view, std::string_view> kLanguages[] = {
    {"Afrikaans", "af"}, {"Akan", "ak"},       {"Albanian", "sq"},   {"Amharic", "am"},
    {"Arabic", "ar"},    {"Armenian", "hy"},   {"Assamese", "as"},   {"Azerbaijani", "az"},
    {"Basque", "eu"},    {"Bengali", "bn"},    {"Bosnian", "bs"},    {"Bulgarian", "bg"},
    {"Burmese", "my"},   {"Catalan", "ca"},    {"Chinese", "zh"},    {"Croatian", "hr"},
    {"Czech", "cs"},     {"Danish", "da"},     {"Dutch", "nl"},      {"English", "en"},
    {"Esperanto", "eo"}, {"Estonian", "et"},   {"Farsi", "fa"},      {"Finnish", "fi"},
    {"French", "fr"},    {"Galician", "gl"},   {"Georgian", "ka"},   {"German", "de"},
    {"Greek", "el"},     {"Gujarati", "gu"},   {"Haitian", "ht"},    {"Hausa", "ha"},
    {"Hebrew", "he"},    {"Hindi", "hi"},      {"Hungarian", "hu"},  {"Icelandic", "is"},
    {"Igbo", "ig"},      {"Indonesian", "id"}, {"Irish", "ga"},      {"Italian", "it"},
    {"Japanese", "ja"},  {"Javanese", "jv"},   {"Kannada", "kn"},    {"Kazakh", "kk"},
    {"Khmer", "km"},     {"Korean", "ko"},     {"Kurdish", "ku"},    {"Lao", "lo"},
    {"Latin", "la"},     {"Latvian", "lv"},    {"Lithuanian", "lt"}, {"Macedonian", "mk"},
    {"Malagasy", "mg"},  {"Malay", "ms"},      {"Malayalam", "ml"},  {"Maltese", "mt"},
    {"Maori", "mi"},     {"Marathi", "mr"},    {"Mongolian", "mn"},  {"Nepali", "ne"},
    {"Norwegian", "no"}, {"Oriya", "or"},      {"Panjabi", "pa"},    {"Pashto", "ps"},
    {"Persian", "fa"},   {"Polish", "pl"},     {"Portuguese", "pt"}, {"Punjabi", "pa"},
    {"Romanian", "ro"},  {"Russian", "ru"},    {"Serbian", "sr"},    {"Sindhi", "sd"},
    {"Sinhala", "si"},   {"Slovak", "sk"},     {"Slovenian", "sl"},  {"Somali", "so"},
    {"Spanish", "es"},   {"Swahili", "sw"},    {"Swedish", "sv"},    {"Tagalog", "tl"},
    {"Tamil", "ta"},     {"Telugu", "te"},     {"Thai", "th"},       {"Turkish", "tr"},
    {"Ukrainian", "uk"}, {"Urdu", "ur"},       {"Uzbek", "uz"},      {"Vietnamese", "vi"},
    {"Welsh", "cy"},     {"Xhosa", "xh"},      {"Yoruba", "yo"},     {"Zulu", "zu"},
};

constexpr const char* kInstances = "Instances";

// Steps over JSON without building it: where values begin and end. What is inside is checked when
// it is parsed.
class Scanner {
 public:
  Scanner(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      line_ += text_[at_] == '\n';
      ++at_;
    }
  }
  bool is_at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool is_at_end() const { return at_ >= text_.size(); }
  bool take(char c) {
    skip_blanks();
    if (!is_at(c)) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail_here(fmt::format("expected '{}'", c));
  }
  // The text of the value that begins here.
  std::string_view take_value() {
    skip_blanks();
    const size_t begin = at_;
    size_t depth = 0;
    do {
      if (is_at_end()) fail_here("the file ends inside a value");
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      if (depth == 0 && (c == ',' || c == ']' || c == '}' || c == ':')) break;
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      line_ += c == '\n';
      ++at_;
      // A number or a word goes on until a separator or a blank.
      if (depth == 0 && c != ']' && c != '}') {
        while (!is_at_end() && std::string_view(",]}: \t\r\n\"[{").find(text_[at_]) == text_.npos)
          ++at_;
      }
    } while (depth > 0);
    if (at_ == begin) fail_here("expected a value");
    return text_.substr(begin, at_ - begin);
  }
  int64_t line() const { return line_; }
  [[noreturn]] void fail_here(const std::string& what) const {
    fail(ErrorCode::CorruptFile, "{}:{}: [data] {}{}", path_, line_, what,
         is_at_end() ? " at the end of the file"
                     : fmt::format(", found '{}'", printable(text_[at_])));
  }

 private:
  static std::string printable(char c) {
    return c >= ' ' && c <= '~' ? std::string(1, c)
                                : fmt::format("byte 0x{:02X}", static_cast<unsigned char>(c));
  }
  void skip_string() {
    for (++at_; !is_at_end() && text_[at_] != '"'; ++at_) {
      line_ += text_[at_] == '\n';
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
    }
    if (is_at_end()) fail_here("the file ends inside a string");
    ++at_;
  }

  std::string_view text_;
  std::string path_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

// A list of strings, or one string.
std::vector<std::string> read_texts(const Json& value) {
  std::vector<std::string> texts;
  for (const Json& element : value.is_array() ? value : Json::array({value}))
    if (!element.is_null()) texts.push_back(field_text(element));
  return texts;
}

std::string join(const std::vector<std::string>& texts, const char* separator) {
  std::string result;
  for (const std::string& text : texts) result += (result.empty() ? "" : separator) + text;
  return result;
}

class NaturalInstructionsReader final : public RowReader {
 public:
  NaturalInstructionsReader(std::string text, const std::string& path)
      : text_(std::move(text)), path_(path), instances_(text_, path) {
    const Json header = read_header();
    const auto find = [&](const char* key) {
      const auto found = header.find(key);
      return found == header.end() ? Json() : *found;
    };
    if (!header.contains("Definition"))
      fail(ErrorCode::CorruptFile,
           "{}: [data] no 'Definition'; a task file of Natural Instructions "
           "has one",
           path_);
    if (!has_instances_)
      fail(ErrorCode::CorruptFile,
           "{}: [data] no '{}'; a task file of Natural Instructions has a list of them", path_,
           kInstances);
    const std::string definition = join(read_texts(find("Definition")), "\n");
    traits_.fields["Definition"] = definition;
    read_examples(find("Positive Examples"), "positive_examples", "Positive Examples");
    read_examples(find("Negative Examples"), "negative_examples", "Negative Examples");
    if (const Json positive = traits_.fields["positive_examples"]; !positive.empty())
      for (const char* key : {"input", "output", "explanation"})
        if (positive[0].contains(key))
          traits_.fields[std::string("ex_") + key] = field_text(positive[0][key]);
    for (const auto& [key, value] : header.items())
      if (key != "Definition" && key != "Positive Examples" && key != "Negative Examples")
        traits_.fields[key] = value;
    traits_.inputs_prefix = definition + "\n\n";
    const auto categories = read_texts(find("Categories"));
    traits_.cluster = categories.empty() ? "" : categories.front();
    const auto languages = read_texts(find("Input_language"));
    traits_.lang = languages.empty() ? "" : "mul";
    if (languages.size() == 1)
      for (const auto& [name, code] : kLanguages)
        if (languages[0] == name) traits_.lang = code;
  }

  FileTraits traits() const override { return traits_; }

  bool next(Row& row) override {
    if (is_at_end_) return false;
    instances_.skip_blanks();
    if (is_first_ && instances_.take(']')) {
      is_at_end_ = true;
      return false;
    }
    is_first_ = false;
    instances_.skip_blanks();
    row.line = instances_.line();
    const std::string_view value = instances_.take_value();
    if (instances_.take(']'))
      is_at_end_ = true;
    else
      instances_.expect(',');
    row.error.reset();
    try {
      read_instance(value, fmt::format("{}:{}", path_, row.line), row.columns);
    } catch (const Error& error) {
      row.error = error;
    }
    return true;
  }

 private:
  // Everything but the instances, whose place is noted.
  Json read_header() {
    Json header = Json::object();
    Scanner scanner(text_, path_);
    scanner.expect('{');
    if (!scanner.take('}')) {
      do {
        scanner.skip_blanks();
        const int64_t line = scanner.line();
        if (!scanner.is_at('"')) scanner.fail_here("expected a key");
        const std::string where = fmt::format("{}:{}", path_, line);
        const std::string key = parse_json(scanner.take_value(), where).get<std::string>();
        scanner.expect(':');
        scanner.skip_blanks();
        if (key == kInstances) {
          if (has_instances_) scanner.fail_here("a second list of Instances");
          if (!scanner.is_at('[')) scanner.fail_here("'Instances' is no list");
          has_instances_ = true;
          instances_ = scanner;
          instances_.expect('[');
          (void)scanner.take_value();
        } else {
          const std::string value_where = fmt::format("{}:{}", path_, scanner.line());
          header[key] = parse_json(scanner.take_value(), value_where);
        }
      } while (scanner.take(','));
      scanner.expect('}');
    }
    scanner.skip_blanks();
    if (!scanner.is_at_end()) scanner.fail_here("expected the end of the file");
    return header;
  }

  void read_examples(const Json& value, const char* field, const char* key) {
    Json& examples = traits_.fields[field] = Json::array();
    if (value.is_null()) return;
    if (!value.is_array())
      fail(ErrorCode::CorruptFile, "{}: [data] '{}' is {}, expected a list", path_, key,
           value.type_name());
    for (const Json& example : value) {
      if (!example.is_object())
        fail(ErrorCode::CorruptFile, "{}: [data] '{}[{}]' is {}, expected an object", path_, key,
             examples.size(), example.type_name());
      examples.push_back(example);
    }
  }

  static void read_instance(std::string_view text, const std::string& where, Json& columns) {
    const Json instance = parse_json(text, where);
    if (!instance.is_object())
      fail(ErrorCode::CorruptFile, "{}: [data] the instance is {}, expected an object", where,
           instance.type_name());
    const auto require = [&](const char* key) -> const Json& {
      const auto found = instance.find(key);
      if (found == instance.end() || found->is_null())
        fail(ErrorCode::InvalidArgument, "{}: [data] the instance has no '{}'", where, key);
      return *found;
    };
    const Json& input = require("input");
    if (!input.is_string())
      fail(ErrorCode::InvalidArgument, "{}: [data] 'input' is {}, expected a string", where,
           input.type_name());
    const Json& output = require("output");
    if (!output.is_string() && !output.is_array())
      fail(ErrorCode::InvalidArgument, "{}: [data] 'output' is {}, expected a list of strings",
           where, output.type_name());
    const std::vector<std::string> outputs = read_texts(output);
    if (outputs.empty()) fail(ErrorCode::InvalidArgument, "{}: [data] 'output' is empty", where);
    columns = Json::object();
    if (const auto id = instance.find("id"); id != instance.end() && !id->is_null())
      columns["id"] = *id;
    columns["inputs"] = input;
    columns["targets"] = outputs.front();
    if (outputs.size() > 1) columns["references"] = outputs;
    columns["input"] = input;
    columns["output"] = outputs.front();
    for (const auto& [key, value] : instance.items())
      if (key != "id" && key != "input" && key != "output") columns[key] = value;
  }

  std::string text_;
  std::string path_;
  Scanner instances_;
  bool has_instances_ = false, is_first_ = true, is_at_end_ = false;
  FileTraits traits_;
};

}  // namespace

std::unique_ptr<RowReader> read_natural_instructions(std::string text, const std::string& path) {
  return std::make_unique<NaturalInstructionsReader>(std::move(text), path);
}

std::unique_ptr<RowReader> open_natural_instructions(const std::string& path) {
  LineReader lines(path);
  std::string text;
  for (std::string line; lines.next(line);) (text += line) += '\n';
  return read_natural_instructions(std::move(text), path == "-" ? "stdin" : path);
}

bool looks_like_natural_instructions(const std::string& path) {
  constexpr size_t kEnough = 1 << 20;
  LineReader lines(path);
  std::string text;
  for (std::string line; text.size() < kEnough && lines.next(line);) (text += line) += '\n';
  return text.find("\"Definition\"") != text.npos &&
         (text.find("\"Instances\"") != text.npos ||
          text.find("\"Positive Examples\"") != text.npos);
}

}  // namespace flanmoe::data
