// What filters, tests, functions and methods get: the budget and the random draws of one render,
// and the arguments of one call.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "text/jinja/value.h"

namespace flanmoe::text::jinja {

class Runtime {
 public:
  Runtime(RandomKey key, Budget budget) : budget_(budget), key_(key) {}
  Budget& budget() { return budget_; }
  uint64_t draw(uint64_t bound) { return key_.below(bound, num_draws_++); }
  std::string text(const Value& value) { return to_text(value, budget_); }
  Values iterate(const Value& value) { return jinja::iterate(value, budget_); }
  Value make_text(std::string text) {
    budget_.charge_bytes(text.size());
    return Value(std::move(text));
  }
  Value make_list(Values items) {
    budget_.charge_bytes(items.size() * sizeof(Value));
    return Value::list(std::move(items));
  }

 private:
  Budget budget_;
  RandomKey key_;
  uint64_t num_draws_ = 0;
};

// Arguments in the order of a callable's parameters.
class BoundArguments {
 public:
  BoundArguments(std::string_view callee, std::vector<std::string_view> names)
      : callee_(callee), names_(std::move(names)), values_(names_.size()) {}
  bool has(size_t i) const { return values_[i] != nullptr; }
  bool has_value(size_t i) const { return values_[i] && !values_[i]->is_none(); }
  const Value& operator[](size_t i) const { return *values_[i]; }
  // The argument, which must then be of that kind, or the default where there is none.
  std::string text(size_t i, std::string_view otherwise = {}) const;
  int64_t integer(size_t i, int64_t otherwise = 0) const;
  bool truth(size_t i, bool otherwise = false) const;

 private:
  friend class Arguments;
  [[noreturn]] void fail_kind(size_t i, std::string_view expected) const;
  std::string_view callee_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

class Arguments {
 public:
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  // Throws Failure where there are too many, too few, or one that is not among `names`. The result
  // points into this.
  BoundArguments bind(std::string_view callee, std::initializer_list<std::string_view> names,
                      size_t num_required = 0) const;
  void expect_none(std::string_view callee) const { bind(callee, {}); }
};

}  // namespace flanmoe::text::jinja
