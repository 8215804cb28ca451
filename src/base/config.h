// The config visitor. Every module owns a plain Config struct with one member that lists its
// fields:
//
//   struct Config {
//     double learning_rate = 1e-3;
//     template <class Visitor> void visit(Visitor& v) { v("learning_rate", learning_rate, "peak
//     learning rate"); }
//   };
//
// Parsing, printing, --help and the docs come from that one list. Field types: bool, int64_t,
// double, std::string, an enum with EnumNames, std::vector<int64_t | double | std::string>,
// std::optional of a scalar, std::map of names to strings or numbers (a table of the user's own
// keys), another Config (a TOML table) and std::vector<Config> (an array of
// tables).
//
// Where the defaults of later keys hang on earlier ones, visit() asks was_given() between them:
//
//   v("kind", kind, "...");
//   if (was_given(v, "kind")) rate = default_rate(kind);
//   v("rate", rate, "...");
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/config_node.h"
#include "base/enum_names.h"
#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe {

struct ProbeVisitor {
  template <class Field>
  void operator()(const char*, Field&, const char*) {}
};

// Whether the document that `v` reads has the key, which must have been visited. False for a
// visitor that does not read.
template <class Visitor>
bool was_given(const Visitor& v, std::string_view name) {
  if constexpr (requires { v.was_given(name); })
    return v.was_given(name);
  else
    return false;
}

template <class T>
concept ConfigStruct = std::is_class_v<T> && requires(T t, ProbeVisitor v) {
  t.visit(v);
};

namespace config_detail {

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_map : std::false_type {};
template <class T>
struct is_map<std::map<std::string, T>> : std::true_type {};

// Scalars. Throw InvalidConfig with `path`, what was found and what was expected.
void read(const ConfigNode& node, const std::string& path, bool& value);
void read(const ConfigNode& node, const std::string& path, int64_t& value);
void read(const ConfigNode& node, const std::string& path, double& value);  // integers are accepted
void read(const ConfigNode& node, const std::string& path, std::string& value);
[[noreturn]] void fail_enum(const ConfigNode& node, const std::string& path,
                            const std::vector<std::string>& names);
void expect_kind(const ConfigNode& node, const std::string& path, ConfigNode::Kind kind);
[[noreturn]] void fail_unknown_key(const ConfigNode& value, const std::string& path,
                                   const std::string& key, const std::vector<std::string>& known);

template <NamedEnum Enum>
void read(const ConfigNode& node, const std::string& path, Enum& value) {
  if (node.kind != ConfigNode::Kind::String) fail_enum(node, path, enum_names<Enum>());
  auto parsed = parse_enum<Enum>(node.text);
  if (!parsed) fail_enum(node, path, enum_names<Enum>());
  value = *parsed;
}

template <ConfigStruct Config>
void read(const ConfigNode& node, const std::string& path, Config& config);

template <class T>
void read(const ConfigNode& node, const std::string& path, std::optional<T>& value) {
  T inner{};
  read(node, path, inner);
  value = std::move(inner);
}

template <class T>
void read(const ConfigNode& node, const std::string& path, std::vector<T>& value) {
  expect_kind(node, path, ConfigNode::Kind::Array);
  value.clear();
  for (size_t i = 0; i < node.elements.size(); ++i) {
    T element{};
    read(node.elements[i], path + "[" + std::to_string(i) + "]", element);
    value.push_back(std::move(element));
  }
}

template <class T>
void read(const ConfigNode& node, const std::string& path, std::map<std::string, T>& values) {
  expect_kind(node, path, ConfigNode::Kind::Table);
  values.clear();
  for (const auto& [key, entry] : node.entries) {
    T value{};
    read(entry, path + "." + key, value);
    values[key] = std::move(value);
  }
}

struct Reader {
  const ConfigNode& node;
  std::string path;
  std::vector<std::string> known;

  bool was_given(std::string_view name) const { return node.find(name) != nullptr; }
  template <class Field>
  void operator()(const char* name, Field& field, const char*) {
    known.emplace_back(name);
    if (const ConfigNode* value = node.find(name))
      read(*value, path.empty() ? name : path + "." + name, field);
  }
};

template <ConfigStruct Config>
void read(const ConfigNode& node, const std::string& path, Config& config) {
  expect_kind(node, path, ConfigNode::Kind::Table);
  Reader reader{node, path, {}};
  config.visit(reader);
  for (const auto& [key, value] : node.entries) {
    bool is_known = false;
    for (const auto& name : reader.known) is_known |= name == key;
    if (!is_known) fail_unknown_key(value, path, key, reader.known);
  }
}

inline ConfigNode write(bool value) {
  return ConfigNode::make_boolean(value);
}
inline ConfigNode write(int64_t value) {
  return ConfigNode::make_integer(value);
}
inline ConfigNode write(double value) {
  return ConfigNode::make_float(value);
}
inline ConfigNode write(const std::string& value) {
  return ConfigNode::make_string(value);
}
template <NamedEnum Enum>
ConfigNode write(Enum value) {
  return ConfigNode::make_string(to_string(value));
}
template <ConfigStruct Config>
ConfigNode write(const Config& config);
template <class T>
ConfigNode write(const std::vector<T>& values) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::Array;
  for (const T& value : values) node.elements.push_back(write(value));
  return node;
}

template <class T>
ConfigNode write(const std::map<std::string, T>& values) {
  ConfigNode node;
  for (const auto& [key, value] : values) node[key] = write(value);
  return node;
}

struct Writer {
  ConfigNode node;
  template <class Field>
  void operator()(const char* name, Field& field, const char*) {
    if constexpr (is_optional<Field>::value) {
      if (field) node[name] = write(*field);
    } else {
      node[name] = write(field);
    }
  }
};

template <ConfigStruct Config>
ConfigNode write(const Config& config) {
  Writer writer;
  const_cast<Config&>(config).visit(writer);
  return std::move(writer.node);
}

}  // namespace config_detail

// Fills `config` from the table `node`; keys that are not there keep their value. `path` is the
// dotted place of the table, for messages ("" at the top). Unknown keys are errors that name the
// nearest one.
template <ConfigStruct Config>
void parse_config(const ConfigNode& node, const std::string& path, Config& config) {
  config_detail::read(node, path, config);
}

// Every field with its present value. Optional fields without one are left out.
template <ConfigStruct Config>
ConfigNode to_config_node(const Config& config) {
  return config_detail::write(config);
}

}  // namespace flanmoe
