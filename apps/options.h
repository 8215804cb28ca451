// A verb's command line. Fields of Config structs become options, so that no option is written down
// twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"

namespace CLI {
class App;
}

namespace flanmoe::apps {

class Options {
 public:
  explicit Options(CLI::App& app) : app_(app) {}

  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool is_required = true);
  void positionals(const std::string& name, std::vector<std::string>& values,
                   const std::string& help);
  // `name` is "out" or "experts,num-experts": without dashes, alternatives behind commas.
  void flag(const std::string& name, bool& value, const std::string& help);
  void option(const std::string& name, std::string& value, const std::string& help,
              bool is_required = false);
  void option(const std::string& name, int64_t& value, const std::string& help,
              bool is_required = false);
  void option(const std::string& name, double& value, const std::string& help,
              bool is_required = false);
  void option(const std::string& name, bool& value, const std::string& help,
              bool is_required = false);
  // May be given several times.
  void repeated(const std::string& name, std::vector<std::string>& values, const std::string& help);
  void choice(const std::string& name, const std::vector<std::string>& names,
              const std::string& present, std::function<void(const std::string&)> set,
              const std::string& help);
  // Every scalar field of a config as --field-name. Fields of a nested config get the prefix that
  // `prefixes` gives for it ("" for none, "optimizer" otherwise the nested name); `aliases` adds
  // short names: {"optimizer-name", "optimizer"}.
  template <ConfigStruct Config>
  void fields(Config& config, const std::map<std::string, std::string>& prefixes = {},
              const std::map<std::string, std::string>& aliases = {},
              const std::string& prefix = {});

  // A worked example and notes, shown under the options.
  void footer(const std::string& text);
  CLI::App& app() { return app_; }

 private:
  CLI::App& app_;
};

// Turns the fields of a Config into options, one by one.
struct FieldVisitor {
  Options& options;
  const std::map<std::string, std::string>& prefixes;
  const std::map<std::string, std::string>& aliases;
  const std::string& prefix;

  std::string option_name(std::string name) const {
    for (char& c : name)
      if (c == '_') c = '-';
    name = prefix.empty() ? name : prefix + "-" + name;
    const auto alias = aliases.find(name);
    return alias == aliases.end() ? name : alias->second + "," + name;
  }
  template <class Field>
  void operator()(const char* name, Field& field, const char* help) {
    if constexpr (NamedEnum<Field>) {
      options.choice(
          option_name(name), enum_names<Field>(), to_string(field),
          [&field](const std::string& text) { field = *parse_enum<Field>(text); }, help);
    } else if constexpr (ConfigStruct<Field>) {
      const auto found = prefixes.find(name);
      options.fields(field, prefixes, aliases,
                     found == prefixes.end() ? std::string(name) : found->second);
    } else {
      options.option(option_name(name), field, help);
    }
  }
};

template <ConfigStruct Config>
void Options::fields(Config& config, const std::map<std::string, std::string>& prefixes,
                     const std::map<std::string, std::string>& aliases, const std::string& prefix) {
  FieldVisitor visitor{*this, prefixes, aliases, prefix};
  config.visit(visitor);
}

}  // namespace flanmoe::apps
