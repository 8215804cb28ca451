#include "data/example.h"
#include "base/json.h"

namespace flanmoe::data {

std::string field_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_array()) {
    std::string text;
    for (size_t i = 0; i < value.size(); ++i) text += (i > 0 ? ", " : "") + field_text(value[i]);
    return text;
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace flanmoe::data
