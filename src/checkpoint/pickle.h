// Reads the pickles that torch.save() makes of a state dict, and runs nothing: a name of a function
// is a name. (libtorch's own unpickler refuses the `_metadata` that torch.nn.Module.state_dict()
// sets on its OrderedDict, and files from before PyTorch 1.6.)
#pragma once

#include <cstdint>
#include <deque>
#include <istream>
#include <string>
#include <utility>
#include <vector>

namespace flanmoe::checkpoint {

struct PickleValue {
  enum class Kind {
    None,
    Boolean,
    Integer,
    Float,
    String,
    Tuple,
    List,
    Dict,
    Global,
    Storage,
    Tensor,
    Other
  };
  Kind kind = Kind::None;
  int64_t integer =
      0;  // and of a Boolean; of a Storage the number of elements; of a Tensor the storage offset
  double real = 0;
  std::string text;  // of a Global "module name"; of a Storage its key; of Other what it is
  std::string type;  // of a Storage "FloatStorage"
  std::vector<const PickleValue*> items;                                   // of a Tuple, List
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries;  // of a Dict
  const PickleValue* storage = nullptr;                                    // of a Tensor
  std::vector<int64_t> shape, strides;  // of a Tensor, in elements
};

const char* to_string(PickleValue::Kind kind);

// Owns all values, so that a pickle with cycles is freed too.
class PickleReader {
 public:
  // `name` is put before messages. Reads at most `num_bytes` of `stream`.
  PickleReader(std::istream& stream, uint64_t num_bytes, std::string name)
      : stream_(stream), remaining_(num_bytes), name_(std::move(name)) {}
  PickleReader(const PickleReader&) = delete;
  PickleReader& operator=(const PickleReader&) = delete;
  // One pickle, up to its STOP; call again for the next one. Throws CorruptFile, Unsupported.
  const PickleValue& read();
  // Raw bytes behind a pickle.
  void read_bytes(void* destination, uint64_t size);
  void skip_bytes(uint64_t size);
  uint64_t remaining_bytes() const { return remaining_; }

 private:
  using Value = PickleValue;
  using Kind = PickleValue::Kind;
  [[noreturn]] void corrupt(const std::string& what) const;
  uint64_t read_unsigned(int num_bytes);
  std::string read_text(uint64_t size);
  std::string read_line();
  Value* make(Kind kind);
  Value* make_text(std::string text);
  Value* make_integer(int64_t value);
  Value* make_long(const std::string& bytes);
  Value* make_other(std::string what);
  Value* make_sequence(Kind kind, std::vector<const Value*> items);
  void push(Value* value) { stack_.push_back(value); }
  Value* pop();
  Value* top(Kind kind);
  std::vector<const Value*> pop_to_mark();
  Value* reduce(const Value& function, const Value& arguments, int depth);
  Value* make_tensor(const Value& arguments);
  Value* make_storage(const Value& id);
  void add_entries(Value& dict, const std::vector<const Value*>& items);
  Value* memo(uint64_t index) const;
  bool step(unsigned char opcode);  // false at STOP

  std::istream& stream_;
  uint64_t remaining_;
  std::string name_;
  std::deque<Value> values_;
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::vector<std::pair<uint64_t, Value*>> memo_;  // sorted by index
};

}  // namespace flanmoe::checkpoint
