#include "text/jinja/evaluator.h"

#include <algorithm>

#include "base/nearest.h"
#include "text/jinja/functions.h"
#include "text/jinja/operators.h"

namespace flanmoe::text::jinja {
namespace {

// `loop` within a for.
class Loop : public Object {
 public:
  Loop(Values items, int64_t depth) : items_(std::move(items)), depth_(depth) {}
  std::string_view type_name() const override { return "LoopContext"; }
  std::vector<std::string> attribute_names() const override {
    return {"index", "index0", "revindex", "revindex0", "first",   "last", "length",
            "depth", "depth0", "previtem", "nextitem",  "changed", "cycle"};
  }
  const Values& items() const { return items_; }
  void move_to(size_t index) { index_ = index; }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  bool changes_to(Budget& budget, Value values) {
    if (last_changed_ && are_equal(*last_changed_, values, budget)) return false;
    expect_apart(nullptr, values, budget);
    last_changed_ = std::move(values);
    return true;
  }
  size_t index() const { return index_; }

 private:
  Values items_;
  int64_t depth_;
  size_t index_ = 0;
  std::optional<Value> last_changed_;
};

// A method of `loop`. The loop outlives its use: the scope that holds it is still open; the pointer
// keeps it where a template has carried the method out of it.
class LoopMethod : public Object {
 public:
  LoopMethod(std::weak_ptr<Loop> loop, bool is_cycle)
      : loop_(std::move(loop)), is_cycle_(is_cycle) {}
  std::string_view type_name() const override { return "method"; }
  Value call(Runtime& runtime, const Arguments& arguments) override {
    const auto loop = loop_.lock();
    if (!loop) raise(ErrorCode::InvalidArgument, "a method of 'loop' is used outside of its loop");
    if (!arguments.named.empty())
      raise(ErrorCode::InvalidArgument, "a method of 'loop' has no argument '{}'",
            arguments.named[0].first);
    if (!is_cycle_)
      return Value(loop->changes_to(runtime.budget(), Value::tuple(arguments.positional)));
    if (arguments.positional.empty())
      raise(ErrorCode::InvalidArgument, "'cycle' needs at least one value");
    return arguments.positional[loop->index() % arguments.positional.size()];
  }

 private:
  std::weak_ptr<Loop> loop_;
  bool is_cycle_;
};

// What the scope holds: the loop and a way to make its methods.
class LoopHandle : public Object {
 public:
  explicit LoopHandle(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
  std::string_view type_name() const override { return loop_->type_name(); }
  std::vector<std::string> attribute_names() const override { return loop_->attribute_names(); }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override {
    if (name == "cycle" || name == "changed")
      return Value(
          std::static_pointer_cast<Object>(std::make_shared<LoopMethod>(loop_, name == "cycle")));
    return loop_->attribute(runtime, name);
  }

 private:
  std::shared_ptr<Loop> loop_;
};

std::optional<Value> Loop::attribute(Runtime&, std::string_view name) {
  const auto index = static_cast<int64_t>(index_), size = static_cast<int64_t>(items_.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(size - index);
  if (name == "revindex0") return Value(size - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == size);
  if (name == "length") return Value(size);
  if (name == "depth") return Value(depth_ + 1);
  if (name == "depth0") return Value(depth_);
  if (name == "previtem")
    return index == 0 ? Value::undefined("there is no previous item") : items_[index_ - 1];
  if (name == "nextitem")
    return index + 1 == size ? Value::undefined("there is no next item") : items_[index_ + 1];
  return std::nullopt;
}

}  // namespace

std::string Evaluator::run(const Block& block) {
  std::string out;
  run_block(block, out);
  return out;
}

void Evaluator::run_block(const Block& block, std::string& out) {
  for (const Statement& statement : block) run_statement(statement, out);
}

void Evaluator::print(const Value& value, std::string& out) {
  if (const std::string* text = value.as_text()) {
    runtime_.budget().charge_bytes(text->size());
    out += *text;
    return;
  }
  const std::string text = runtime_.text(value);
  runtime_.budget().charge_bytes(text.size());
  out += text;
}

std::string Evaluator::run_inner(const Block& block) {
  std::string out;
  scopes_.emplace_back();
  run_block(block, out);
  scopes_.pop_back();
  return out;
}

void Evaluator::run_statement(const Statement& statement, std::string& out) {
  line_ = statement.line;
  runtime_.budget().charge_steps(1);
  switch (statement.kind) {
    case StatementKind::Text:
      runtime_.budget().charge_bytes(statement.text.size());
      out += statement.text;
      break;
    case StatementKind::Print:
      print(evaluate(*statement.expressions[0]), out);
      break;
    case StatementKind::If:
      run_if(statement, out);
      break;
    case StatementKind::For:
      run_for(statement, out);
      break;
    case StatementKind::Set:
      assign(statement.targets[0], evaluate(*statement.expressions[0]));
      break;
    case StatementKind::SetBlock: {
      Value text(run_inner(statement.blocks[0]));
      assign(statement.targets[0],
             evaluate_filters_of_block(statement.expressions[0].get(), std::move(text)));
      break;
    }
    case StatementKind::FilterBlock: {
      Value text(run_inner(statement.blocks[0]));
      print(evaluate_filters_of_block(statement.expressions[0].get(), std::move(text)), out);
      break;
    }
    case StatementKind::With: {
      Values values;
      for (const ExpressionPointer& expression : statement.expressions)
        values.push_back(evaluate(*expression));
      scopes_.emplace_back();
      for (size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
      run_block(statement.blocks[0], out);
      scopes_.pop_back();
      break;
    }
  }
}

void Evaluator::run_if(const Statement& statement, std::string& out) {
  for (size_t i = 0; i < statement.expressions.size(); ++i)
    if (is_condition_met(*statement.expressions[i])) return run_block(statement.blocks[i], out);
  if (statement.blocks.size() > statement.expressions.size())
    run_block(statement.blocks.back(), out);
}

void Evaluator::run_for(const Statement& statement, std::string& out) {
  Values items = runtime_.iterate(evaluate(*statement.expressions[0]));
  if (const Expression* filter = statement.expressions[1].get()) {
    Values kept;
    for (Value& item : items) {
      scopes_.emplace_back();
      assign(statement.targets[0], item);
      if (is_condition_met(*filter)) kept.push_back(std::move(item));
      scopes_.pop_back();
    }
    items = std::move(kept);
  }
  if (items.empty()) {
    if (statement.blocks.size() > 1) out += run_inner(statement.blocks[1]);
    return;
  }
  const auto loop = std::make_shared<Loop>(std::move(items), 0);
  const Value handle(std::static_pointer_cast<Object>(std::make_shared<LoopHandle>(loop)));
  for (size_t i = 0; i < loop->items().size(); ++i) {
    loop->move_to(i);
    scopes_.emplace_back();
    set("loop", handle);
    assign(statement.targets[0], loop->items()[i]);
    run_block(statement.blocks[0], out);
    scopes_.pop_back();
  }
}

void Evaluator::assign(const Target& target, const Value& value) {
  switch (target.kind) {
    case Target::Kind::Name:
      set(target.name, value);
      break;
    case Target::Kind::Attribute: {
      Expression name{ExpressionKind::Name, line_};
      name.name = target.name;
      const Value object = evaluate_name(name, Place::Value);
      auto* space = dynamic_cast<Namespace*>(object.as_object());
      if (!space)
        raise(ErrorCode::InvalidArgument,
              "'{}.{}' can be set where '{}' is a namespace, found '{}'", target.name,
              target.attribute, target.name, object.type_name());
      space->set(runtime_, target.attribute, value);
      break;
    }
    case Target::Kind::Tuple: {
      if (value.is_undefined()) value.fail_undefined();
      const Values items = runtime_.iterate(value);
      if (items.size() != target.parts.size())
        raise(ErrorCode::InvalidArgument, "{} values cannot go to {} names", items.size(),
              target.parts.size());
      for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
      break;
    }
  }
}

void Evaluator::set(const std::string& name, Value value) {
  Scope& scope = scopes_.back();
  const auto found = std::find_if(scope.begin(), scope.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found != scope.end())
    found->second = std::move(value);
  else
    scope.emplace_back(name, std::move(value));
}

bool Evaluator::is_condition_met(const Expression& expression) {
  return is_true(evaluate(expression, Place::Question));
}

Value Evaluator::evaluate(const Expression& expression, Place place) {
  runtime_.budget().charge_steps(1);
  line_ = expression.line;
  const auto child = [&](size_t i) -> const Expression& { return *expression.children[i]; };
  switch (expression.kind) {
    case ExpressionKind::Constant:
      return expression.constant;
    case ExpressionKind::Name:
      return evaluate_name(expression, place);
    case ExpressionKind::List:
    case ExpressionKind::Tuple: {
      Values items;
      for (const ExpressionPointer& item : expression.children) items.push_back(evaluate(*item));
      runtime_.budget().charge_bytes(items.size() * sizeof(Value));
      return expression.kind == ExpressionKind::List ? Value::list(std::move(items))
                                                     : Value::tuple(std::move(items));
    }
    case ExpressionKind::Dict: {
      auto dict = std::make_shared<Dict>();
      for (size_t i = 0; i < expression.children.size(); i += 2) {
        const Value key = evaluate(child(i));
        if (!is_hashable(key))
          raise(ErrorCode::InvalidArgument, "a '{}' cannot be the key of a dict", key.type_name());
        dict->set(key, evaluate(child(i + 1)), runtime_.budget());
      }
      runtime_.budget().charge_bytes(dict->entries.size() * 2 * sizeof(Value));
      return Value(std::move(dict));
    }
    case ExpressionKind::GetAttribute: {
      const Value object = evaluate(child(0));
      line_ = expression.line;
      return get_attribute(runtime_, object, expression.name);
    }
    case ExpressionKind::GetItem: {
      const Value object = evaluate(child(0));
      const Expression& key = child(1);
      if (key.kind != ExpressionKind::Slice) return get_item(runtime_, object, evaluate(key));
      const auto bound = [&](size_t i) {
        return key.children[i] ? evaluate(*key.children[i]) : Value();
      };
      const Value begin = bound(0), end = bound(1), step = bound(2);
      return get_slice(runtime_, object, begin, end, step);
    }
    case ExpressionKind::Slice:
      raise(ErrorCode::InvalidArgument, "a slice cannot be part of several keys");
    case ExpressionKind::Call:
      return evaluate_call(expression);
    case ExpressionKind::Filter:
      return evaluate_filter(expression, block_text_);
    case ExpressionKind::Test: {
      const bool asks_for_existence =
          expression.name == "defined" || expression.name == "undefined";
      const Value operand = evaluate(child(0), asks_for_existence ? Place::Question : Place::Value);
      const Arguments arguments = evaluate_arguments(expression);
      line_ = expression.line;
      return Value(expression.test(runtime_, operand, arguments));
    }
    case ExpressionKind::Negate:
      return negate(evaluate(child(0)));
    case ExpressionKind::Plus:
      return plus(evaluate(child(0)));
    case ExpressionKind::Not:
      return Value(!is_condition_met(child(0)));
    case ExpressionKind::And: {
      Value left = evaluate(child(0), Place::Question);
      return is_true(left) ? evaluate(child(1), place) : left;
    }
    case ExpressionKind::Or: {
      Value left = evaluate(child(0), Place::Question);
      return is_true(left) ? left : evaluate(child(1), place);
    }
    case ExpressionKind::Binary: {
      const Value left = evaluate(child(0));
      const Value right = evaluate(child(1));
      line_ = expression.line;
      return apply_binary(runtime_, expression.operators[0], left, right);
    }
    case ExpressionKind::Concat: {
      std::string text;
      for (const ExpressionPointer& part : expression.children) print(evaluate(*part), text);
      return Value(std::move(text));
    }
    case ExpressionKind::Compare:
      return evaluate_compare(expression);
    case ExpressionKind::Choose:
      if (is_condition_met(child(0))) return evaluate(child(1), place);
      if (expression.children[2]) return evaluate(child(2), place);
      return Value::undefined("the condition of an 'if' without 'else' is false");
  }
  return Value();
}

Value Evaluator::evaluate_name(const Expression& expression, Place place) {
  const std::string& name = expression.name;
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    for (const auto& [known, value] : *scope)
      if (known == name) return value;
  for (const auto& [known, value] : cache_)
    if (known == name) return value;
  if (const auto found = variables_.find(name); found != variables_.end()) {
    Value value = Value::from_json(*found);
    cache_.emplace_back(name, value);
    return value;
  }
  if (auto function = find_function(name)) return *std::move(function);
  const std::vector<std::string> names = known_names();
  std::string fields;
  for (const auto& [key, value] : variables_.items()) fields += (fields.empty() ? "" : ", ") + key;
  std::string message = fmt::format(
      "no variable '{}'{}", name,
      nearest_name(name, names).empty()
          ? (fields.empty() ? std::string(" (there are none)") : " (there are: " + fields + ")")
          : fmt::format(" (did you mean '{}'? there are: {})", nearest_name(name, names), fields));
  if (missing_ == MissingVariable::Error && place == Place::Value)
    throw Failure{ErrorCode::NotFound, std::move(message)};
  return Value::undefined(std::move(message));
}

std::vector<std::string> Evaluator::known_names() const {
  std::vector<std::string> names;
  for (const Scope& scope : scopes_)
    for (const auto& entry : scope) names.push_back(entry.first);
  for (const auto& [key, value] : variables_.items()) names.push_back(key);
  const std::vector<std::string> functions = function_names();
  names.insert(names.end(), functions.begin(), functions.end());
  return names;
}

Value Evaluator::evaluate_compare(const Expression& expression) {
  Value left = evaluate(*expression.children[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.children[i + 1]);
    line_ = expression.line;
    if (!compare(runtime_, expression.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Arguments Evaluator::evaluate_arguments(const Expression& expression) {
  using Kind = CallShape::Kind;
  Arguments arguments;
  for (size_t i = 0; i < expression.call.arguments.size(); ++i) {
    const auto& [kind, name] = expression.call.arguments[i];
    Value value = evaluate(*expression.children[expression.call.first + i]);
    if (kind == Kind::Positional) {
      arguments.positional.push_back(std::move(value));
    } else if (kind == Kind::Keyword) {
      arguments.named.emplace_back(name, std::move(value));
    } else if (kind == Kind::UnpackedList) {
      for (Value& item : runtime_.iterate(value)) arguments.positional.push_back(std::move(item));
    } else {
      if (!value.as_dict())
        raise(ErrorCode::InvalidArgument, "'**' needs a dict, found '{}'", value.type_name());
      for (const auto& [key, item] : value.as_dict()->entries) {
        if (!key.as_text())
          raise(ErrorCode::InvalidArgument, "'**' needs texts as keys, found '{}'",
                key.type_name());
        arguments.named.emplace_back(*key.as_text(), item);
      }
    }
  }
  return arguments;
}

Value Evaluator::evaluate_filter(const Expression& expression, const Value* block_text) {
  const bool asks_for_existence = expression.name == "default" || expression.name == "d";
  const Expression* input = expression.children[0].get();
  const Value value =
      input ? evaluate(*input, asks_for_existence ? Place::Question : Place::Value) : *block_text;
  // a filter among the arguments has an input of its own
  const Arguments arguments = evaluate_arguments(expression);
  line_ = expression.line;
  return expression.filter(runtime_, value, arguments);
}

Value Evaluator::evaluate_filters_of_block(const Expression* filters, Value text) {
  if (!filters) return text;
  const Value* outer = std::exchange(block_text_, &text);
  Value result = evaluate(*filters);
  block_text_ = outer;
  return result;
}

Value Evaluator::evaluate_call(const Expression& expression) {
  const Value callee = evaluate(*expression.children[0]);
  const Arguments arguments = evaluate_arguments(expression);
  line_ = expression.line;
  if (callee.is_undefined()) callee.fail_undefined();
  if (!callee.as_object())
    raise(ErrorCode::InvalidArgument, "a '{}' cannot be called", callee.type_name());
  const Budget::Descent descent(runtime_.budget());
  return callee.as_object()->call(runtime_, arguments);
}

}  // namespace flanmoe::text::jinja
