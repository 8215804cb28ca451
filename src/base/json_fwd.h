// The name of Json alone, for headers that only pass it on: the whole of it costs a second to
// compile.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace flanmoe {

using Json = nlohmann::ordered_json;

}  // namespace flanmoe
