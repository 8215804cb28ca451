// What every optimizer asks of its config.
#pragma once

namespace flanmoe::train {

// Throw InvalidConfig naming optimizer.<key>.
void check_positive(const char* key, double value);
void check_not_negative(const char* key, double value);
void check_range(const char* key, double value, double low, double high);  // low <= value < high

}  // namespace flanmoe::train
