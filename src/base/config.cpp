#include "base/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace flanmoe::config_detail {

namespace {

using Kind = ConfigNode::Kind;

constexpr std::string_view kOverridePrefix = "--set ";

// "recipes/x.toml:3: train.steps: ", or "--set train.steps: " where the place says the path
// already.
std::string prefix(const ConfigNode& node, const std::string& path) {
  std::string result = node.where;
  if (!path.empty() && node.where != std::string(kOverridePrefix) + path)
    result += (result.empty() ? "" : ": ") + path;
  return result.empty() ? result : result + ": ";
}

std::string describe(const ConfigNode& node) {
  const std::string kind(to_string(node.kind));
  switch (node.kind) {
    case Kind::String: {
      constexpr size_t kMaxShown = 60;
      const bool is_long = node.text.size() > kMaxShown;
      return fmt::format("{} \"{}\"", kind,
                         is_long ? node.text.substr(0, kMaxShown) + "..." : node.text);
    }
    case Kind::Integer:
      return fmt::format("{} {}", kind, node.integer);
    case Kind::Float:
      return fmt::format("{} {}", kind, node.real);
    case Kind::Boolean:
      return fmt::format("{} {}", kind, node.boolean);
    case Kind::Table:
    case Kind::Array:
      break;
  }
  return kind;
}

[[noreturn]] void fail_kind(const ConfigNode& node, const std::string& path, Kind expected) {
  fail(ErrorCode::InvalidConfig, "{}expected {}, found {}", prefix(node, path), to_string(expected),
       describe(node));
}

}  // namespace

void expect_kind(const ConfigNode& node, const std::string& path, Kind kind) {
  if (node.kind != kind) fail_kind(node, path, kind);
}

void read(const ConfigNode& node, const std::string& path, bool& value) {
  expect_kind(node, path, Kind::Boolean);
  value = node.boolean;
}

void read(const ConfigNode& node, const std::string& path, int64_t& value) {
  expect_kind(node, path, Kind::Integer);
  value = node.integer;
}

void read(const ConfigNode& node, const std::string& path, double& value) {
  if (node.kind == Kind::Integer) {
    value = static_cast<double>(node.integer);
    return;
  }
  expect_kind(node, path, Kind::Float);
  value = node.real;
}

void read(const ConfigNode& node, const std::string& path, std::string& value) {
  // An override keeps its text: --set run.name=123 names the run "123".
  const bool is_scalar_override = node.where.starts_with(kOverridePrefix) && !node.text.empty() &&
                                  node.kind != Kind::Array && node.kind != Kind::Table;
  if (!is_scalar_override) expect_kind(node, path, Kind::String);
  value = node.text;
}

void fail_enum(const ConfigNode& node, const std::string& path,
               const std::vector<std::string>& names) {
  std::string hint;
  if (node.kind == Kind::String)
    if (const std::string nearest = nearest_name(node.text, names); !nearest.empty())
      hint = " (did you mean '" + nearest + "'?)";
  fail(ErrorCode::InvalidConfig, "{}expected one of: {}; found {}{}", prefix(node, path),
       fmt::join(names, ", "), describe(node), hint);
}

void fail_unknown_key(const ConfigNode& value, const std::string& path, const std::string& key,
                      const std::vector<std::string>& known) {
  const std::string full = path.empty() ? key : path + "." + key;
  std::string where = value.where == std::string(kOverridePrefix) + full ? "--set" : value.where;
  if (!where.empty()) where += ": ";
  fail(ErrorCode::InvalidConfig, "{}unknown key '{}'{}", where, full, suggestion(key, known));
}

}  // namespace flanmoe::config_detail
