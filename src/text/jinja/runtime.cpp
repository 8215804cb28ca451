#include "text/jinja/runtime.h"

#include <algorithm>

#include "base/nearest.h"

namespace flanmoe::text::jinja {

std::string BoundArguments::text(size_t i, std::string_view otherwise) const {
  if (!has(i)) return std::string(otherwise);
  if (!values_[i]->as_text()) fail_kind(i, "a text");
  return *values_[i]->as_text();
}

int64_t BoundArguments::integer(size_t i, int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (!values_[i]->as_integer()) fail_kind(i, "an integer");
  return *values_[i]->as_integer();
}

bool BoundArguments::truth(size_t i, bool otherwise) const {
  return has(i) ? is_true(*values_[i]) : otherwise;
}

void BoundArguments::fail_kind(size_t i, std::string_view expected) const {
  if (values_[i]->is_undefined()) values_[i]->fail_undefined();
  raise(ErrorCode::InvalidArgument, "'{}' of '{}' has to be {}, found '{}'", names_[i], callee_,
        expected, values_[i]->type_name());
}

BoundArguments Arguments::bind(std::string_view callee,
                               std::initializer_list<std::string_view> names,
                               size_t num_required) const {
  BoundArguments bound(callee, names);
  if (positional.size() > names.size())
    raise(ErrorCode::InvalidArgument, "'{}' takes at most {} argument{}, found {}", callee,
          names.size(), names.size() == 1 ? "" : "s", positional.size());
  for (size_t i = 0; i < positional.size(); ++i) bound.values_[i] = &positional[i];
  for (const auto& [name, value] : named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      raise(ErrorCode::InvalidArgument, "'{}' has no argument '{}'{}", callee, name,
            names.size() == 0 ? std::string(" (it takes none)")
                              : suggestion(name, {names.begin(), names.end()}));
    const auto i = static_cast<size_t>(found - names.begin());
    if (bound.values_[i])
      raise(ErrorCode::InvalidArgument, "'{}' gets its argument '{}' twice", callee, name);
    bound.values_[i] = &value;
  }
  for (size_t i = 0; i < num_required; ++i)
    if (!bound.values_[i])
      raise(ErrorCode::InvalidArgument, "'{}' needs its argument '{}'", callee,
            *(names.begin() + i));
  return bound;
}

}  // namespace flanmoe::text::jinja
