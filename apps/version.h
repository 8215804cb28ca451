#pragma once

namespace flanmoe::apps {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace flanmoe::apps
