#include "peft/spec.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <type_traits>

#include "base/error.h"

namespace flanmoe::peft {
namespace {

// Cuts at `separator`, but not inside a /regex/ that stands at the beginning of a part, behind = or
// behind |.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  bool is_in_regex = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_in_regex) {
      const bool is_end =
          c == '/' && (i + 1 == text.size() || text[i + 1] == ',' || text[i + 1] == '|');
      is_in_regex = !is_end;
    } else if (c == '/') {
      is_in_regex =
          parts.back().empty() || parts.back().back() == '=' || parts.back().back() == '|';
    } else if (c == separator) {
      parts.emplace_back();
      continue;
    }
    parts.back() += c;
  }
  return parts;
}

// Whether a field is text: its value is then not read as a number.
struct TextFields {
  std::vector<std::string> names;
  template <class Field>
  void operator()(const char* name, Field&, const char*) {
    if (std::is_same_v<Field, std::string> || std::is_enum_v<Field>) names.emplace_back(name);
  }
};

std::string value_of(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::String:
      return node.text;
    case ConfigNode::Kind::Integer:
      return fmt::format("{}", node.integer);
    case ConfigNode::Kind::Float:
      return fmt::format("{}", node.real);
    case ConfigNode::Kind::Boolean:
      return node.boolean ? "true" : "false";
    case ConfigNode::Kind::Array: {
      std::vector<std::string> texts;
      for (const ConfigNode& element : node.elements) texts.push_back(value_of(element));
      return fmt::format("{}", fmt::join(texts, "|"));
    }
    case ConfigNode::Kind::Table:
      break;
  }
  return "";
}

}  // namespace

ComponentConfig parse_component(const std::string& text, const std::string& place) {
  const std::string where = fmt::format("{} {}", place, text);
  const std::vector<std::string> parts = split(text, ',');
  if (parts.front().empty() || parts.front().find('=') != std::string::npos)
    fail(ErrorCode::InvalidConfig, "{}: expected KIND[,key=value...], as in mov,num_experts=10",
         where);
  ComponentConfig component;
  TextFields text_fields;
  component.visit(text_fields);
  ConfigNode node;
  node["kind"] = ConfigNode::make_string(parts.front(), where);
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == parts[i].size())
      fail(ErrorCode::InvalidConfig, "{}: expected key=value, found '{}'", where, parts[i]);
    const std::string key = parts[i].substr(0, equals), value = parts[i].substr(equals + 1);
    if (node.find(key)) fail(ErrorCode::InvalidConfig, "{}: '{}' is given twice", where, key);
    const bool is_text = std::find(text_fields.names.begin(), text_fields.names.end(), key) !=
                         text_fields.names.end();
    if (key == "sites") {
      ConfigNode list;
      list.kind = ConfigNode::Kind::Array;
      for (std::string& site : split(value, '|'))
        list.elements.push_back(ConfigNode::make_string(std::move(site), where));
      node[key] = std::move(list);
    } else if (is_text || key.find_first_of(".[\"'") != std::string::npos) {
      node[key] = ConfigNode::make_string(value);
    } else {
      apply_override(node, parts[i]);
    }
    node[key].where = where;
  }
  parse_config(node, place, component);
  return component;
}

Config parse_components(const std::vector<std::string>& texts, const std::string& place) {
  Config config;
  for (const std::string& text : texts) config.components.push_back(parse_component(text, place));
  validate(config, place);
  return config;
}

std::string to_spec(const ComponentConfig& component) {
  const ConfigNode given = to_config_node(component), defaults = to_config_node(ComponentConfig());
  std::string text = component.kind;
  for (const auto& [key, value] : given.entries) {
    if (key == "kind" || value_of(value) == value_of(*defaults.find(key))) continue;
    text += fmt::format(",{}={}", key, value_of(value));
  }
  return text;
}

std::string to_spec(const Config& config) {
  std::vector<std::string> texts;
  for (const ComponentConfig& component : config.components) texts.push_back(to_spec(component));
  return fmt::format("{}", fmt::join(texts, " + "));
}

}  // namespace flanmoe::peft
