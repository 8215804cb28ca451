#include "checkpoint/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace flanmoe::checkpoint {
namespace {

bool is_text_starting(const std::string& text, const char* prefix) {
  return text.rfind(prefix, 0) == 0;
}

}  // namespace

const char* to_string(PickleValue::Kind kind) {
  switch (kind) {
    case PickleValue::Kind::None:
      return "None";
    case PickleValue::Kind::Boolean:
      return "a boolean";
    case PickleValue::Kind::Integer:
      return "a whole number";
    case PickleValue::Kind::Float:
      return "a number";
    case PickleValue::Kind::String:
      return "a string";
    case PickleValue::Kind::Tuple:
      return "a tuple";
    case PickleValue::Kind::List:
      return "a list";
    case PickleValue::Kind::Dict:
      return "a dict";
    case PickleValue::Kind::Global:
      return "a function or class";
    case PickleValue::Kind::Storage:
      return "a storage";
    case PickleValue::Kind::Tensor:
      return "a tensor";
    case PickleValue::Kind::Other:
      return "an object";
  }
  return "unknown";
}

void PickleReader::corrupt(const std::string& what) const {
  fail(ErrorCode::CorruptFile, "{}: broken pickle: {}", name_, what);
}

void PickleReader::read_bytes(void* destination, uint64_t size) {
  if (size > remaining_)
    fail(ErrorCode::CorruptFile, "{}: cut short: {} bytes are left, {} were expected", name_,
         remaining_, size);
  stream_.read(static_cast<char*>(destination), static_cast<std::streamsize>(size));
  if (static_cast<uint64_t>(stream_.gcount()) != size)
    fail(ErrorCode::Io, "[checkpoint] cannot read '{}'", name_);
  remaining_ -= size;
}

void PickleReader::skip_bytes(uint64_t size) {
  if (size > remaining_)
    fail(ErrorCode::CorruptFile, "{}: cut short: {} bytes are left, {} were expected", name_,
         remaining_, size);
  if (!stream_.seekg(static_cast<std::streamoff>(size), std::ios::cur))
    fail(ErrorCode::Io, "[checkpoint] cannot read '{}'", name_);
  remaining_ -= size;
}

uint64_t PickleReader::read_unsigned(int num_bytes) {
  unsigned char bytes[8];
  read_bytes(bytes, static_cast<uint64_t>(num_bytes));
  uint64_t value = 0;
  for (int i = num_bytes - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

std::string PickleReader::read_text(uint64_t size) {
  if (size > remaining_)
    fail(ErrorCode::CorruptFile, "{}: cut short: {} bytes are left, {} were expected", name_,
         remaining_, size);
  std::string text(size, '\0');
  read_bytes(text.data(), size);
  return text;
}

std::string PickleReader::read_line() {
  std::string line;
  for (;;) {
    const char c = static_cast<char>(read_unsigned(1));
    if (c == '\n') return line;
    line += c;
  }
}

PickleReader::Value* PickleReader::make(Kind kind) {
  values_.emplace_back().kind = kind;
  return &values_.back();
}

PickleReader::Value* PickleReader::make_text(std::string text) {
  Value* value = make(Kind::String);
  value->text = std::move(text);
  return value;
}

PickleReader::Value* PickleReader::make_integer(int64_t number) {
  Value* value = make(Kind::Integer);
  value->integer = number;
  return value;
}

PickleReader::Value* PickleReader::make_long(const std::string& bytes) {
  if (bytes.size() > 8) {  // the magic number of old files
    Value* value = make_other("long");
    value->text = bytes;
    return value;
  }
  uint64_t number =
      !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80) ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;)
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return make_integer(static_cast<int64_t>(number));
}

PickleReader::Value* PickleReader::make_other(std::string what) {
  Value* value = make(Kind::Other);
  value->text = std::move(what);
  return value;
}

PickleReader::Value* PickleReader::make_sequence(Kind kind, std::vector<const Value*> items) {
  Value* value = make(kind);
  value->items = std::move(items);
  return value;
}

PickleReader::Value* PickleReader::pop() {
  if (stack_.empty() || (!marks_.empty() && marks_.back() == stack_.size()))
    corrupt("a value is missing on the stack");
  Value* value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleReader::Value* PickleReader::top(Kind kind) {
  if (stack_.empty() || stack_.back()->kind != kind)
    corrupt(fmt::format("expected {} on the stack", to_string(kind)));
  return stack_.back();
}

std::vector<const PickleReader::Value*> PickleReader::pop_to_mark() {
  if (marks_.empty()) corrupt("no mark on the stack");
  std::vector<const Value*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                                  stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

void PickleReader::add_entries(Value& dict, const std::vector<const Value*>& items) {
  if (items.size() % 2 != 0) corrupt("a key without a value");
  for (size_t i = 0; i < items.size(); i += 2) dict.entries.emplace_back(items[i], items[i + 1]);
}

PickleReader::Value* PickleReader::memo(uint64_t index) const {
  const auto found =
      std::lower_bound(memo_.begin(), memo_.end(), index,
                       [](const auto& entry, uint64_t i) { return entry.first < i; });
  if (found == memo_.end() || found->first != index) corrupt(fmt::format("no memo {}", index));
  return found->second;
}

PickleReader::Value* PickleReader::make_tensor(const Value& arguments) {
  // (storage, storage_offset, size, stride, ...)
  const auto& items = arguments.items;
  if (items.size() < 4 || items[0]->kind != Kind::Storage || items[1]->kind != Kind::Integer)
    corrupt("a tensor that is not (storage, offset, size, stride)");
  Value* tensor = make(Kind::Tensor);
  tensor->storage = items[0];
  tensor->integer = items[1]->integer;
  for (const auto& [source, target] :
       {std::pair{items[2], &tensor->shape}, std::pair{items[3], &tensor->strides}}) {
    if (source->kind != Kind::Tuple && source->kind != Kind::List)
      corrupt(fmt::format("a tensor's size is {}", to_string(source->kind)));
    for (const Value* size : source->items) {
      if (size->kind != Kind::Integer)
        corrupt(fmt::format("{} in a tensor's size", to_string(size->kind)));
      target->push_back(size->integer);
    }
  }
  if (tensor->shape.size() != tensor->strides.size())
    corrupt("a tensor's size and stride differ in length");
  return tensor;
}

PickleReader::Value* PickleReader::make_storage(const Value& id) {
  // ("storage", torch.FloatStorage, key, location, number of elements[, view])
  const auto& items = id.items;
  if (id.kind != Kind::Tuple || items.size() < 5 || items[0]->text != "storage" ||
      items[1]->kind != Kind::Global || items[2]->kind != Kind::String ||
      items[4]->kind != Kind::Integer)
    corrupt("a persistent id that is not a storage");
  if (items.size() > 5 && items[5]->kind != Kind::None)
    fail(ErrorCode::Unsupported, "{}: a storage that is a view of another", name_);
  Value* storage = make(Kind::Storage);
  storage->type = items[1]->text;
  if (const size_t space = storage->type.find(' '); space != std::string::npos)
    storage->type.erase(0, space + 1);
  storage->text = items[2]->text;
  storage->integer = items[4]->integer;
  return storage;
}

PickleReader::Value* PickleReader::reduce(const Value& function, const Value& arguments,
                                          int depth) {
  if (function.kind != Kind::Global || arguments.kind != Kind::Tuple)
    return make_other(function.text);
  const std::string& name = function.text;
  const auto& items = arguments.items;
  if (name == "collections OrderedDict" || name == "builtins dict" || name == "__builtin__ dict") {
    Value* dict = make(Kind::Dict);
    if (!items.empty())
      for (const Value* pair : items[0]->items) {
        if (pair->items.size() != 2) corrupt("an OrderedDict of something that is not pairs");
        dict->entries.emplace_back(pair->items[0], pair->items[1]);
      }
    return dict;
  }
  if (name == "torch._utils _rebuild_tensor" || name == "torch._utils _rebuild_tensor_v2")
    return make_tensor(arguments);
  if (name == "torch._utils _rebuild_parameter" ||
      name == "torch._utils _rebuild_parameter_with_state") {
    if (items.empty() || items[0]->kind != Kind::Tensor)
      corrupt("a parameter that is not a tensor");
    return const_cast<Value*>(items[0]);  // ours, from values_
  }
  if (name == "torch._tensor _rebuild_from_type_v2" && items.size() >= 3 && depth < 4)
    return reduce(*items[0], *items[2], depth + 1);
  if (name == "torch Size" && items.size() == 1) return make_sequence(Kind::Tuple, items[0]->items);
  if (is_text_starting(name, "torch._utils _rebuild"))
    fail(ErrorCode::Unsupported, "{}: tensors made by {}", name_, name);
  return make_other(name);
}

bool PickleReader::step(unsigned char opcode) {
  const auto set_memo = [this](uint64_t index) {
    if (stack_.empty()) corrupt("nothing to memoize");
    const auto place =
        std::lower_bound(memo_.begin(), memo_.end(), index,
                         [](const auto& entry, uint64_t i) { return entry.first < i; });
    if (place != memo_.end() && place->first == index)
      place->second = stack_.back();
    else
      memo_.insert(place, {index, stack_.back()});
  };
  const auto pop_tuple = [this](size_t size) {
    std::vector<const Value*> items(size);
    for (size_t i = size; i-- > 0;) items[i] = pop();
    push(make_sequence(Kind::Tuple, std::move(items)));
  };
  switch (opcode) {
    case 0x80:
      read_unsigned(1);
      break;  // PROTO
    case 0x95:
      read_unsigned(8);
      break;  // FRAME
    case '.':
      return false;  // STOP
    case '(':
      marks_.push_back(stack_.size());
      break;  // MARK
    case '0':
      pop();
      break;  // POP
    case '1':
      pop_to_mark();
      break;   // POP_MARK
    case '2':  // DUP
      if (stack_.empty()) corrupt("nothing to duplicate");
      push(stack_.back());
      break;
    case 'N':
      push(make(Kind::None));
      break;
    case 0x88:
    case 0x89: {  // NEWTRUE, NEWFALSE
      Value* value = make(Kind::Boolean);
      value->integer = opcode == 0x88;
      push(value);
      break;
    }
    case 'J':
      push(make_integer(static_cast<int32_t>(read_unsigned(4))));
      break;  // BININT
    case 'K':
      push(make_integer(static_cast<int64_t>(read_unsigned(1))));
      break;  // BININT1
    case 'M':
      push(make_integer(static_cast<int64_t>(read_unsigned(2))));
      break;  // BININT2
    case 0x8a:
      push(make_long(read_text(read_unsigned(1))));
      break;  // LONG1
    case 0x8b:
      push(make_long(read_text(read_unsigned(4))));
      break;     // LONG4
    case 'G': {  // BINFLOAT, big-endian
      uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | read_unsigned(1);
      Value* value = make(Kind::Float);
      value->real = std::bit_cast<double>(bits);
      push(value);
      break;
    }
    case 'U':  // SHORT_BINSTRING
    case 'C':  // SHORT_BINBYTES
    case 0x8c:
      push(make_text(read_text(read_unsigned(1))));
      break;   // SHORT_BINUNICODE
    case 'T':  // BINSTRING
    case 'B':  // BINBYTES
    case 'X':
      push(make_text(read_text(read_unsigned(4))));
      break;    // BINUNICODE
    case 0x8d:  // BINUNICODE8
    case 0x8e:
      push(make_text(read_text(read_unsigned(8))));
      break;  // BINBYTES8
    case ')':
      push(make(Kind::Tuple));
      break;  // EMPTY_TUPLE
    case 't':
      push(make_sequence(Kind::Tuple, pop_to_mark()));
      break;  // TUPLE
    case 0x85:
      pop_tuple(1);
      break;
    case 0x86:
      pop_tuple(2);
      break;
    case 0x87:
      pop_tuple(3);
      break;
    case ']':
      push(make(Kind::List));
      break;  // EMPTY_LIST
    case 'l':
      push(make_sequence(Kind::List, pop_to_mark()));
      break;     // LIST
    case 'a': {  // APPEND
      const Value* item = pop();
      top(Kind::List)->items.push_back(item);
      break;
    }
    case 'e': {  // APPENDS
      const auto items = pop_to_mark();
      Value* list = top(Kind::List);
      list->items.insert(list->items.end(), items.begin(), items.end());
      break;
    }
    case '}':
      push(make(Kind::Dict));
      break;     // EMPTY_DICT
    case 'd': {  // DICT
      const auto items = pop_to_mark();
      Value* dict = make(Kind::Dict);
      add_entries(*dict, items);
      push(dict);
      break;
    }
    case 's': {  // SETITEM
      const Value* value = pop();
      const Value* key = pop();
      top(Kind::Dict)->entries.emplace_back(key, value);
      break;
    }
    case 'u': {  // SETITEMS
      const auto items = pop_to_mark();
      add_entries(*top(Kind::Dict), items);
      break;
    }
    case 0x8f:
      push(make_other("set"));
      break;  // EMPTY_SET
    case 0x90:
      pop_to_mark();
      break;  // ADDITEMS
    case 0x91:
      pop_to_mark();
      push(make_other("frozenset"));
      break;     // FROZENSET
    case 'c': {  // GLOBAL
      const std::string module = read_line();
      Value* value = make(Kind::Global);
      value->text = module + " " + read_line();
      push(value);
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const Value* name = pop();
      const Value* module = pop();
      Value* value = make(Kind::Global);
      value->text = module->text + " " + name->text;
      push(value);
      break;
    }
    case 'R':     // REDUCE
    case 0x81: {  // NEWOBJ
      const Value* arguments = pop();
      const Value* function = pop();
      push(reduce(*function, *arguments, 0));
      break;
    }
    case 'b':  // BUILD: attributes, such as an OrderedDict's _metadata
      pop();
      if (stack_.empty()) corrupt("nothing to build");
      break;
    case 'Q':
      push(make_storage(*pop()));
      break;  // BINPERSID
    case 'q':
      set_memo(read_unsigned(1));
      break;  // BINPUT
    case 'r':
      set_memo(read_unsigned(4));
      break;  // LONG_BINPUT
    case 'h':
      push(memo(read_unsigned(1)));
      break;  // BINGET
    case 'j':
      push(memo(read_unsigned(4)));
      break;  // LONG_BINGET
    case 0x94:
      set_memo(memo_.empty() ? 0 : memo_.back().first + 1);
      break;  // MEMOIZE
    default:
      fail(ErrorCode::Unsupported, "{}: pickle opcode {:#04x} is not one that torch.save() writes",
           name_, opcode);
  }
  return true;
}

const PickleValue& PickleReader::read() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  while (step(static_cast<unsigned char>(read_unsigned(1)))) {
  }
  return *pop();
}

}  // namespace flanmoe::checkpoint
