// A parsed TOML document that remembers where each value stood, so that an error can say so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fwd.h"

namespace flanmoe {

struct ConfigNode {
  enum class Kind { Table, Array, String, Integer, Float, Boolean };
  Kind kind = Kind::Table;
  std::vector<std::pair<std::string, ConfigNode>> entries;  // of a table, in file order
  std::vector<ConfigNode> elements;                         // of an array
  std::string text;
  int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::string where;  // "recipes/x.toml:12" or "--set a.b"

  ConfigNode();  // these are defined in the .cpp: clang 14 instantiates ~vector of itself too early
  ConfigNode(const ConfigNode&);
  ConfigNode(ConfigNode&&) noexcept;
  ConfigNode& operator=(const ConfigNode&);
  ConfigNode& operator=(ConfigNode&&) noexcept;
  ~ConfigNode();

  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
  // The entry, made (as an empty table) where it is missing.
  ConfigNode& operator[](std::string_view key);

  static ConfigNode make_string(std::string value, std::string where = {});
  static ConfigNode make_integer(int64_t value, std::string where = {});
  static ConfigNode make_float(double value, std::string where = {});
  static ConfigNode make_boolean(bool value, std::string where = {});
};

std::string_view to_string(
    ConfigNode::Kind kind);  // "table", "array", "string", "integer", "number", "boolean"

// Throws InvalidConfig "file:line: ..." on a syntax error or a repeated key, NotFound where there
// is no file.
ConfigNode parse_toml(std::string_view text, const std::string& name);
ConfigNode load_toml(const std::string& path);

// `overrides` wins over `base`, table by table; everything else is replaced whole.
void merge_into(ConfigNode& base, const ConfigNode& overrides);

// "a.b.c=value"; the value is read as TOML (3, 0.5, true, "x", [1, 2]) and, where that fails, as a
// plain string.
void apply_override(ConfigNode& root, const std::string& assignment);

std::string to_toml(const ConfigNode& node);
Json to_json(const ConfigNode& node);
// null becomes the text "null"; `where` is that of every node.
ConfigNode from_json(const Json& json, const std::string& where);

}  // namespace flanmoe
