// P-values of several questions asked at once.
#pragma once

#include <vector>

namespace flanmoe::eval {

// Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): rejecting what is below
// alpha rejects a true hypothesis with probability alpha at most, however the tests hang together.
// In the order given. Throws InvalidArgument for a p-value outside 0 to 1.
std::vector<double> holm_correction(const std::vector<double>& p_values);

}  // namespace flanmoe::eval
