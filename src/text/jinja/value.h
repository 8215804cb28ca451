// Values of a template, with Python's kinds and their equality, order, truth and text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::text::jinja {

// What goes wrong while rendering; the template adds its name and the line.
struct Failure {
  ErrorCode code;
  std::string message;
};

template <class... Args>
[[noreturn]] void raise(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{code, fmt::format(format, std::forward<Args>(args)...)};
}

// What a render may still do; shared structure can make small templates do very much.
class Budget {
 public:
  Budget(uint64_t max_steps, uint64_t max_bytes) : steps_(max_steps), bytes_(max_bytes) {}
  void charge_steps(uint64_t count) {
    if (count > steps_) fail_exhausted("steps");
    steps_ -= count;
  }
  void charge_bytes(uint64_t count) {
    if (count > bytes_) fail_exhausted("bytes of text and lists");
    bytes_ -= count;
  }

  // Of values and of calls: ends before the stack does.
  class Descent {
   public:
    explicit Descent(Budget& budget);
    ~Descent() { --budget_.depth_; }
    Descent(const Descent&) = delete;
    Descent& operator=(const Descent&) = delete;

   private:
    Budget& budget_;
  };

 private:
  [[noreturn]] static void fail_exhausted(std::string_view what);
  uint64_t steps_, bytes_;
  int depth_ = 0;
};

class Value;
using Values = std::vector<Value>;

struct None {
  bool operator==(const None&) const { return true; }
};

// Where a value is missing: the message of the error that using it raises.
struct Undefined {
  std::shared_ptr<const std::string> message;
};

// list, tuple, what a lazy filter gives (used up by going through it once), and views of a dict.
struct Sequence {
  enum class Kind { List, Tuple, Iterator, View };
  Kind kind = Kind::List;
  std::string_view type_name = "list";  // as Python calls it
  Values items;
  bool is_group = false;  // an element of groupby: .grouper and .list are its two items
  mutable bool is_used_up = false;
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;

  const Value* find(const Value& key, Budget& budget) const;
  void set(const Value& key, Value value, Budget& budget);
};

struct Range {
  int64_t start = 0, stop = 0, step = 1;

  int64_t size() const;
  int64_t operator[](int64_t index) const {
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(index) * static_cast<uint64_t>(step));
  }
};

class Arguments;
class Runtime;

// What has attributes or can be called: loop, namespace, cycler, joiner, functions and methods.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  // Nothing where there is no such attribute.
  virtual std::optional<Value> attribute(Runtime& runtime, std::string_view name);
  virtual std::vector<std::string> attribute_names() const { return {}; }
  virtual Value call(Runtime& runtime, const Arguments& arguments);
};

class Value {
 public:
  using Text = std::shared_ptr<const std::string>;
  using Data = std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<Sequence>,
                            std::shared_ptr<Dict>, Range, std::shared_ptr<Object>>;

  Value() : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(std::string value)
      : data_(std::make_shared<const std::string>(std::move(value))) {}
  explicit Value(std::string_view value) : Value(std::string(value)) {}
  explicit Value(const char* value) : Value(std::string(value)) {}
  explicit Value(Range value) : data_(value) {}
  explicit Value(std::shared_ptr<Sequence> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<Dict> value) : data_(std::move(value)) {}
  explicit Value(std::shared_ptr<Object> value) : data_(std::move(value)) {}
  // Throws Failure where a number does not fit into 64 bits or values are nested too deep.
  static Value from_json(const Json& json, int depth = 0);
  static Value undefined(std::string message);
  static Value list(Values items);
  static Value tuple(Values items);
  static Value iterator(Values items, std::string_view type_name = "generator");
  static Value view(Values items, std::string_view type_name);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const double* as_float() const { return std::get_if<double>(&data_); }
  const std::string* as_text() const {
    const Text* text = std::get_if<Text>(&data_);
    return text ? text->get() : nullptr;
  }
  const Range* as_range() const { return std::get_if<Range>(&data_); }
  Sequence* as_sequence() const {
    const auto* sequence = std::get_if<std::shared_ptr<Sequence>>(&data_);
    return sequence ? sequence->get() : nullptr;
  }
  Sequence* as_list() const { return as_sequence_of(Sequence::Kind::List); }
  Sequence* as_tuple() const { return as_sequence_of(Sequence::Kind::Tuple); }
  Dict* as_dict() const {
    const auto* dict = std::get_if<std::shared_ptr<Dict>>(&data_);
    return dict ? dict->get() : nullptr;
  }
  Object* as_object() const {
    const auto* object = std::get_if<std::shared_ptr<Object>>(&data_);
    return object ? object->get() : nullptr;
  }
  std::optional<int64_t> as_integer() const;  // int or bool
  std::optional<double> as_number() const;    // int, bool or float

  // "str", "int", "list", "Undefined", ...
  std::string_view type_name() const;
  [[noreturn]] void fail_undefined() const;

 private:
  explicit Value(Undefined value) : data_(std::move(value)) {}
  Sequence* as_sequence_of(Sequence::Kind kind) const {
    Sequence* sequence = as_sequence();
    return sequence && sequence->kind == kind ? sequence : nullptr;
  }
  Data data_;
};

bool is_true(const Value& value);
bool are_equal(const Value& a, const Value& b, Budget& budget);
// Python's a < b. Throws Failure where the kinds have no order.
bool is_less(const Value& a, const Value& b, Budget& budget);
bool contains(const Value& container, const Value& item, Budget& budget);
bool is_same(const Value& a, const Value& b, Budget& budget);  // Python's `is`
bool is_hashable(const Value& value);

// Throws Failure where `item` is or holds `container`, which would have no end, or holds an object
// (a method, namespace or loop), which might. `container` may be null.
void expect_apart(const Value* container, const Value& item, Budget& budget);

std::string to_text(const Value& value, Budget& budget);  // str()
std::string to_repr(const Value& value, Budget& budget);  // repr()
std::string float_repr(double value);
std::string text_repr(std::string_view text);

// len(); throws Failure where there is none.
int64_t length(const Value& value);
bool is_iterable(const Value& value);
// The items that a loop sees; an iterator is used up by this. Throws Failure where the value cannot
// be iterated.
Values iterate(const Value& value, Budget& budget);

}  // namespace flanmoe::text::jinja
