// Runs a syntax tree.
#pragma once

#include <string>

#include "base/json.h"
#include "text/jinja.h"
#include "text/jinja/runtime.h"
#include "text/jinja/syntax.h"

namespace flanmoe::text::jinja {

class Evaluator {
 public:
  Evaluator(const Json& variables, MissingVariable missing, Runtime& runtime)
      : variables_(variables), missing_(missing), runtime_(runtime) {}
  std::string run(const Block& block);
  int line() const { return line_; }  // the one that was evaluated last

 private:
  using Scope = std::vector<std::pair<std::string, Value>>;
  // Whether a name that nothing is known of may stand here although missing ones are errors.
  enum class Place { Value, Question };

  void run_block(const Block& block, std::string& out);
  void run_statement(const Statement& statement, std::string& out);
  void run_if(const Statement& statement, std::string& out);
  void run_for(const Statement& statement, std::string& out);
  std::string run_inner(const Block& block);
  void assign(const Target& target, const Value& value);
  void set(const std::string& name, Value value);
  void print(const Value& value, std::string& out);

  Value evaluate(const Expression& expression, Place place = Place::Value);
  Value evaluate_name(const Expression& expression, Place place);
  Value evaluate_compare(const Expression& expression);
  Value evaluate_filter(const Expression& expression, const Value* block_text);
  Value evaluate_call(const Expression& expression);
  bool is_condition_met(const Expression& expression);
  Arguments evaluate_arguments(const Expression& expression);
  Value evaluate_filters_of_block(const Expression* filters, Value text);
  std::vector<std::string> known_names() const;

  const Json& variables_;
  MissingVariable missing_;
  Runtime& runtime_;
  std::vector<Scope> scopes_{1};
  Scope cache_;  // of variables_, converted once
  int line_ = 1;
  const Value* block_text_ = nullptr;
};

}  // namespace flanmoe::text::jinja
