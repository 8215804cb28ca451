// The global functions: range, dict, namespace, cycler, joiner, zip.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace flanmoe::text::jinja {

bool is_function(std::string_view name);
std::optional<Value> find_function(std::string_view name);
std::vector<std::string> function_names();

// `namespace(...)`: the one object whose attributes a template may set.
class Namespace : public Object {
 public:
  explicit Namespace(Dict attributes) : attributes_(std::move(attributes)) {}
  std::string_view type_name() const override { return "Namespace"; }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  std::vector<std::string> attribute_names() const override;
  void set(Runtime& runtime, const std::string& name, const Value& value);

 private:
  Dict attributes_;
};

}  // namespace flanmoe::text::jinja
