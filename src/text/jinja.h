// Jinja2 templates (3.1, as promptsource sets it up) over JSON values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/random.h"

namespace flanmoe::text {

// What a variable that is not there means. Empty: Jinja2's default, it prints as "" and is false.
// Error: NotFound with the variables that exist, unless the template asks first (`is defined`,
// `default`, or a condition).
enum class MissingVariable { Empty, Error };

// A render that goes beyond throws InvalidArgument. Bytes are those of all texts and lists made on
// the way, not of the result alone.
struct JinjaLimits {
  uint64_t max_steps = 20'000'000;
  uint64_t max_bytes = 512'000'000;
};

// What a template may contain: every expression; `if`, `for`, `set` (also as a block), `with`,
// `filter`, `raw`, comments, whitespace control; Jinja2's filters and tests save `pprint`,
// `urlize`, `xmlattr`, `striptags`, `wordwrap` and `escaped`; the methods of Python's str, list and
// dict save `encode`, `translate` and `sort`; `range`, `dict`, `namespace`, `cycler`, `joiner`,
// `zip`; promptsource's `choice` and `most_frequent`. Trailing newline, trim and scoping rules are
// Jinja2's; there is no automatic escaping. Integers have 64 bits.
class JinjaTemplate {
 public:
  // `where` is put before every message: "<where>, line 3: ...". Throws InvalidConfig on wrong
  // syntax and on unknown filters and tests, Unsupported for the tags of inheritance and macros.
  explicit JinjaTemplate(std::string_view source, std::string where = "template");
  ~JinjaTemplate();
  JinjaTemplate(JinjaTemplate&&) noexcept;
  JinjaTemplate& operator=(JinjaTemplate&&) noexcept;

  // `variables` is an object. What `choice` and `random` draw is a function of `key` and of the
  // number of draws before. Throws NotFound (a name, attribute or method that is not there),
  // InvalidArgument (operands and arguments of the wrong kind). Several threads may render at once.
  std::string render(const Json& variables, RandomKey key,
                     MissingVariable missing = MissingVariable::Empty,
                     const JinjaLimits& limits = {}) const;
  // Names that the template reads and does not set itself, in order of appearance.
  const std::vector<std::string>& variable_names() const { return variable_names_; }
  const std::string& where() const { return where_; }

 private:
  struct Syntax;
  std::string where_;
  std::unique_ptr<const Syntax> syntax_;
  std::vector<std::string> variable_names_;
};

}  // namespace flanmoe::text
