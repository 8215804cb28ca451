#include "data/sources/table.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "data/jsonl.h"

namespace flanmoe::data {
namespace {

constexpr std::string_view kFieldPrefix = "fields.";

// In the order in which to_json() writes them.
const std::vector<std::string>& schema_keys() {
  static const std::vector<std::string> keys = {
      "id",          "task",       "inputs",    "targets", "choices",  "answer_index",
      "answer_form", "references", "rationale", "fields",  "template", "cluster",
      "split",       "lang",       "source",    "licence"};
  return keys;
}

bool is_schema_key(const std::string& name) {
  const auto& keys = schema_keys();
  return std::find(keys.begin(), keys.end(), name) != keys.end();
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const size_t first = names.find_first_not_of(' ', begin);
    const size_t last = names.find_last_not_of(' ', end == 0 ? 0 : end - 1);
    if (first < end && last != names.npos && last >= first)
      parts.push_back(names.substr(first, last - first + 1));
    begin = end + 1;
  }
  return parts;
}

// A value as a list of strings: a list, the text of a JSON list, or (where `takes_one`) any other
// text alone.
Json to_list(const Json& value, bool takes_one, const std::string& key, const std::string& where) {
  const auto texts_of = [](const Json& values) {
    Json list = Json::array();
    for (const Json& element : values) list.push_back(field_text(element));
    return list;
  };
  if (value.is_array()) return texts_of(value);
  const std::string text = field_text(value);
  const size_t first = text.find_first_not_of(" \t\n");
  std::string problem;
  if (first != text.npos && text[first] == '[') {
    try {
      return texts_of(parse_json(text, where));
    } catch (const Error& error) {
      problem = fmt::format(" ({})", std::string_view(error.what()).substr(where.size() + 2));
    }
  }
  if (takes_one) return Json::array({text});
  fail(ErrorCode::InvalidArgument,
       "{}: [data] '{}' is '{}', expected a list such as [\"a\", \"b\"]{}", where, key,
       text.substr(0, 60), problem);
}

Json to_answer_index(const Json& value, const Json& line, const std::string& where) {
  if (value.is_number_integer()) return value;
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  const std::string text = field_text(value);
  int64_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error == std::errc() && end == text.data() + text.size()) return index;
  if (const auto choices = line.find("choices"); choices != line.end())
    for (size_t i = 0; i < choices->size(); ++i)
      if ((*choices)[i] == text) return i;
  fail(ErrorCode::InvalidArgument,
       "{}: [data] 'answer_index' is '{}', expected a number or one of the choices", where,
       text.substr(0, 60));
}

// A value for a key of the schema, where it comes from a column of any type.
void set_schema_value(const std::string& key, const Json& value, Json& line,
                      const std::string& where) {
  if (value.is_null()) return;
  if (key == "choices") {
    line[key] = to_list(value, false, key, where);
  } else if (key == "references") {
    line[key] = to_list(value, true, key, where);
  } else if (key == "answer_index") {
    line[key] = to_answer_index(value, line, where);
  } else if (key == "targets" && value.is_array()) {
    // Several accepted answers.
    if (value.empty()) return;
    line[key] = field_text(value[0]);
    if (value.size() > 1 && !line.contains("references"))
      line["references"] = to_list(value, true, key, where);
  } else if (key == "fields") {
    const Json fields = value.is_string()
                            ? parse_json(value.get<std::string>(), where + ": [data] 'fields'")
                            : value;
    if (!fields.is_object())
      fail(ErrorCode::InvalidArgument, "{}: [data] 'fields' is {}, expected an object", where,
           fields.type_name());
    for (const auto& [name, field] : fields.items()) line["fields"][name] = field;
  } else {
    line[key] = field_text(value);
  }
}

}  // namespace

const Json* find_column(const Json& columns, const std::string& name) {
  if (const auto found = columns.find(name); found != columns.end()) return &*found;
  const Json* value = &columns;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (value->is_object()) {
      const auto found = value->find(part);
      if (found == value->end()) return nullptr;
      value = &*found;
    } else if (value->is_array()) {
      size_t index = 0;
      const auto [last, error] = std::from_chars(part.data(), part.data() + part.size(), index);
      if (error != std::errc() || last != part.data() + part.size() || index >= value->size())
        return nullptr;
      value = &(*value)[index];
    } else {
      return nullptr;
    }
    begin = end + 1;
  }
  return value;
}

RowMapper::RowMapper(const SourceConfig& config, const Format& format, const RowReader& file,
                     const std::string& path)
    : config_(config),
      traits_(file.traits()),
      is_text_(format.is_text),
      includes_traits_(!config.field_map.empty()) {
  const std::vector<std::string> columns = file.columns();
  for (const auto& [key, column] : config.field_map) {
    const bool is_field = key.starts_with(kFieldPrefix) && key.size() > kFieldPrefix.size();
    if (!is_field && (!is_schema_key(key) || key == "fields")) {
      std::vector<std::string> known = schema_keys();
      std::erase(known, "fields");
      known.push_back("fields.NAME");
      fail(ErrorCode::InvalidConfig, "[data] field_map names the key '{}'{}", key,
           suggestion(key, known));
    }
    if (columns.empty()) continue;  // each row has its own
    const auto has = [&](const std::string& name) {
      return std::find(columns.begin(), columns.end(), name.substr(0, name.find('.'))) !=
                 columns.end() ||
             std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    const bool is_list = key == "choices" || key == "references";
    for (const std::string& name :
         is_list && !has(column) ? split_names(column) : std::vector<std::string>{column})
      if (!has(name))
        fail(ErrorCode::InvalidConfig, "{}: [data] field_map.{} names the column '{}'{}", path, key,
             name, suggestion(name, columns));
  }
}

void RowMapper::apply(const std::string& key, const std::string& column, const Json& columns,
                      Json& line, const std::string& where) const {
  const auto fail_unknown = [&](const std::string& name) {
    fail(ErrorCode::InvalidArgument, "{}: [data] field_map.{} names the column '{}'{}", where, key,
         name, suggestion(name, keys_of(columns)));
  };
  const Json* value = find_column(columns, column);
  if (key.starts_with(kFieldPrefix)) {
    if (value == nullptr) fail_unknown(column);
    line["fields"][key.substr(kFieldPrefix.size())] = *value;
    return;
  }
  if (value == nullptr && (key == "choices" || key == "references")) {
    Json list = Json::array();
    for (const std::string& name : split_names(column)) {
      const Json* element = find_column(columns, name);
      if (element == nullptr) fail_unknown(name);
      if (!element->is_null()) list.push_back(field_text(*element));
    }
    line[key] = std::move(list);
    return;
  }
  if (value == nullptr) fail_unknown(column);
  set_schema_value(key, *value, line, where);
}

Example RowMapper::map(Json&& columns, const std::string& where) const {
  Json line;
  if (!is_text_ && config_.field_map.empty()) {
    // The schema's keys as they are, any other column a field.
    line = std::move(columns);
    std::vector<std::string> others;
    for (const auto& [key, value] : line.items())
      if (!is_schema_key(key)) others.push_back(key);
    if (!others.empty()) {
      Json& fields = line["fields"];
      if (fields.is_null()) fields = Json::object();
      if (fields.is_object())
        for (const std::string& key : others)
          if (!fields.contains(key)) fields[key] = line[key];
    }
    if (config_.is_raw && !line.contains("inputs")) line["inputs"] = "";
    return parse_example(line, where, !config_.is_raw);
  }

  line = Json::object();
  line["fields"] = Json::object();
  if (includes_traits_) {
    for (const auto& [name, value] : traits_.fields.items()) line["fields"][name] = value;
    if (!traits_.inputs_prefix.empty())
      if (const auto inputs = columns.find("inputs");
          inputs != columns.end() && inputs->is_string())
        *inputs = traits_.inputs_prefix + inputs->get<std::string>();
  }
  // A field map works on the raw columns: all of them are kept.
  for (const auto& [name, value] : columns.items())
    if (name != "fields" && (!config_.field_map.empty() || !is_schema_key(name)))
      line["fields"][name] = value;
  for (const std::string& key : schema_keys())
    if (const auto found = columns.find(key);
        found != columns.end() && !config_.field_map.contains(key)) {
      // "" in a table is nothing, save where text is asked for.
      const bool is_nothing = is_text_ && *found == "" && key != "inputs" && key != "targets";
      if (!is_nothing) set_schema_value(key, *found, line, where);
    }
  // The answer's index may need the choices.
  for (const bool is_last : {false, true})
    for (const auto& [key, column] : config_.field_map)
      if ((key == "answer_index") == is_last) {
        const Json* own = includes_traits_ ? find_column(line["fields"], column) : nullptr;
        apply(key, column,
              own != nullptr && find_column(columns, column) == nullptr ? Json(line["fields"])
                                                                        : columns,
              line, where);
      }
  if (!line.contains("targets") && line.contains("choices") && line.contains("answer_index")) {
    const Json& index = line["answer_index"];
    const Json& choices = line["choices"];
    if (index >= 0 && index < choices.size()) {
      Json chosen = choices[index.get<size_t>()];
      line["targets"] = std::move(chosen);
    }
  }
  if (config_.is_raw && !line.contains("inputs")) line["inputs"] = "";
  return parse_example(line, where, !config_.is_raw);
}

}  // namespace flanmoe::data
