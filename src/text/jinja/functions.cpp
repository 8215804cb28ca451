#include "text/jinja/functions.h"

#include <algorithm>
#include <limits>

namespace flanmoe::text::jinja {
namespace {

using FunctionPointer = Value (*)(Runtime&, const Arguments&);

class Function : public Object {
 public:
  explicit Function(FunctionPointer function) : function_(function) {}
  std::string_view type_name() const override { return "function"; }
  Value call(Runtime& runtime, const Arguments& arguments) override {
    return function_(runtime, arguments);
  }

 private:
  FunctionPointer function_;
};

Value make_range(Runtime&, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("range", {"start", "stop", "step"}, 1);
  Range range;
  if (bound.has(1)) {
    range = {bound.integer(0), bound.integer(1), bound.integer(2, 1)};
  } else {
    range.stop = bound.integer(0);
  }
  if (range.step == 0) raise(ErrorCode::InvalidArgument, "the step of 'range' cannot be 0");
  return Value(range);
}

Dict read_dict(Runtime& runtime, const Arguments& arguments) {
  Dict dict;
  const auto put = [&](const Value& key, const Value& value) {
    if (!is_hashable(key))
      raise(ErrorCode::InvalidArgument, "a '{}' cannot be the key of a dict", key.type_name());
    dict.set(key, value, runtime.budget());
  };
  if (arguments.positional.size() > 1)
    raise(ErrorCode::InvalidArgument, "'dict' takes one dict or list of pairs, and names");
  if (!arguments.positional.empty()) {
    const Value& other = arguments.positional[0];
    if (const Dict* entries = other.as_dict()) {
      for (const auto& [key, value] : entries->entries) put(key, value);
    } else {
      for (const Value& pair : runtime.iterate(other)) {
        const Values parts = runtime.iterate(pair);
        if (parts.size() != 2)
          raise(ErrorCode::InvalidArgument, "'dict' needs pairs, found {} values", parts.size());
        put(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) put(Value(name), value);
  runtime.budget().charge_bytes(dict.entries.size() * 2 * sizeof(Value));
  return dict;
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  return Value(std::make_shared<Dict>(read_dict(runtime, arguments)));
}

Value make_namespace(Runtime& runtime, const Arguments& arguments) {
  Dict attributes = read_dict(runtime, arguments);
  for (const auto& [name, value] : attributes.entries)
    expect_apart(nullptr, value, runtime.budget());
  return Value(
      std::static_pointer_cast<Object>(std::make_shared<Namespace>(std::move(attributes))));
}

// zip(...): as long as the shortest.
Value zip(Runtime& runtime, const Arguments& arguments) {
  if (!arguments.named.empty())
    raise(ErrorCode::InvalidArgument, "'zip' has no argument '{}'", arguments.named[0].first);
  std::vector<Values> columns;
  size_t size = arguments.positional.empty() ? 0 : std::numeric_limits<size_t>::max();
  for (const Value& column : arguments.positional) {
    columns.push_back(runtime.iterate(column));
    size = std::min(size, columns.back().size());
  }
  runtime.budget().charge_bytes(size * (columns.size() + 1) * sizeof(Value));
  Values rows;
  for (size_t i = 0; i < size; ++i) {
    Values row;
    for (const Values& column : columns) row.push_back(column[i]);
    rows.push_back(Value::tuple(std::move(row)));
  }
  return Value::iterator(std::move(rows), "zip");
}

// One of a few methods of a small object.
class MemberFunction : public Object {
 public:
  MemberFunction(std::shared_ptr<Object> owner, Value (*function)(Object&))
      : owner_(std::move(owner)), function_(function) {}
  std::string_view type_name() const override { return "method"; }
  Value call(Runtime&, const Arguments& arguments) override {
    arguments.expect_none("a method");
    return function_(*owner_);
  }

 private:
  std::shared_ptr<Object> owner_;
  Value (*function_)(Object&);
};

class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Values items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  std::vector<std::string> attribute_names() const override {
    return {"next", "current", "reset", "pos", "items"};
  }
  std::optional<Value> attribute(Runtime&, std::string_view name) override {
    if (name == "current") return items_[position_];
    if (name == "pos") return Value(static_cast<int64_t>(position_));
    if (name == "items") return Value::tuple(items_);
    if (name == "next")
      return member([](Object& object) {
        auto& self = static_cast<Cycler&>(object);
        Value value = self.items_[self.position_];
        self.position_ = (self.position_ + 1) % self.items_.size();
        return value;
      });
    if (name == "reset")
      return member([](Object& object) {
        static_cast<Cycler&>(object).position_ = 0;
        return Value();
      });
    return std::nullopt;
  }

 private:
  Value member(Value (*function)(Object&)) {
    return Value(std::static_pointer_cast<Object>(
        std::make_shared<MemberFunction>(shared_from_this(), function)));
  }
  Values items_;
  size_t position_ = 0;
};

Value make_cycler(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    raise(ErrorCode::InvalidArgument, "'cycler' needs at least one value, without names");
  for (const Value& item : arguments.positional) expect_apart(nullptr, item, runtime.budget());
  return Value(std::static_pointer_cast<Object>(std::make_shared<Cycler>(arguments.positional)));
}

// Gives "" the first time and the separator after that.
class Joiner : public Object {
 public:
  explicit Joiner(std::string separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  Value call(Runtime& runtime, const Arguments& arguments) override {
    arguments.expect_none("joiner");
    if (is_used_) return runtime.make_text(separator_);
    is_used_ = true;
    return Value("");
  }

 private:
  std::string separator_;
  bool is_used_ = false;
};

Value make_joiner(Runtime&, const Arguments& arguments) {
  const BoundArguments bound = arguments.bind("joiner", {"sep"});
  return Value(std::static_pointer_cast<Object>(std::make_shared<Joiner>(bound.text(0, ", "))));
}

struct FunctionEntry {
  std::string_view name;
  FunctionPointer function;
};
constexpr FunctionEntry kFunctions[] = {{"cycler", make_cycler}, {"dict", make_dict},
                                        {"joiner", make_joiner}, {"namespace", make_namespace},
                                        {"range", make_range},   {"zip", zip}};

}  // namespace

bool is_function(std::string_view name) {
  return std::any_of(std::begin(kFunctions), std::end(kFunctions),
                     [&](const FunctionEntry& entry) { return entry.name == name; });
}

std::optional<Value> find_function(std::string_view name) {
  for (const FunctionEntry& entry : kFunctions)
    if (entry.name == name)
      return Value(std::static_pointer_cast<Object>(std::make_shared<Function>(entry.function)));
  return std::nullopt;
}

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const FunctionEntry& entry : kFunctions) names.emplace_back(entry.name);
  return names;
}

std::optional<Value> Namespace::attribute(Runtime& runtime, std::string_view name) {
  const Value* found = attributes_.find(Value(name), runtime.budget());
  return found ? std::optional<Value>(*found) : std::nullopt;
}

std::vector<std::string> Namespace::attribute_names() const {
  std::vector<std::string> names;
  for (const auto& entry : attributes_.entries)
    if (entry.first.as_text()) names.push_back(*entry.first.as_text());
  return names;
}

void Namespace::set(Runtime& runtime, const std::string& name, const Value& value) {
  expect_apart(nullptr, value, runtime.budget());
  runtime.budget().charge_bytes(sizeof(Value));
  attributes_.set(Value(name), value, runtime.budget());
}

}  // namespace flanmoe::text::jinja
