#include "data/objectives/prefix_lm.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace flanmoe::data {
namespace {

constexpr int32_t kEosId = 1;

class PrefixLm final : public Objective {
 public:
  PrefixLm(const PrefixLmConfig& config, const ObjectiveLimits& limits)
      : config_(config), limits_(limits) {
    if (!(config.noise_density > 0 && config.noise_density <= 0.5))
      fail(ErrorCode::InvalidConfig,
           "[data.prefix_lm] noise_density is {}, expected above 0 and at most 0.5",
           config.noise_density);
    if (limits.input_length < 3 || limits.target_length < 2)
      fail(ErrorCode::InvalidConfig,
           "[data.prefix_lm] input_length is {} and target_length {}, expected 3 and 2 at least",
           limits.input_length, limits.target_length);
  }
  int64_t piece_length() const override { return limits_.input_length - 1; }
  TokenizedExample make_example(const std::vector<int32_t>& piece, RandomKey key) const override {
    const auto split =
        piece.begin() + static_cast<std::ptrdiff_t>(draw_prefix_length(
                            static_cast<int64_t>(piece.size()), config_, limits_, key));
    TokenizedExample example;
    example.inputs.assign(piece.begin(), split);
    example.targets.assign(split, piece.end());
    example.inputs.push_back(kEosId);
    example.targets.push_back(kEosId);
    return example;
  }

 private:
  PrefixLmConfig config_;
  ObjectiveLimits limits_;
};

}  // namespace

int64_t draw_prefix_length(int64_t length, const PrefixLmConfig& config,
                           const ObjectiveLimits& limits, RandomKey key) {
  if (length < 2) return 0;
  const auto least = static_cast<int64_t>(
      std::nearbyint((1 - 2 * config.noise_density) * static_cast<double>(length - 1)));
  // One token of either limit is </s>.
  const int64_t high = std::min(length - 1, limits.input_length - 1);
  const int64_t low =
      std::min(high, std::max({int64_t{1}, least, length - (limits.target_length - 1)}));
  return low + static_cast<int64_t>(key.below(static_cast<uint64_t>(high - low + 1), 0));
}

std::unique_ptr<Objective> make_prefix_lm(const PrefixLmConfig& config,
                                          const ObjectiveLimits& limits) {
  return std::make_unique<PrefixLm>(config, limits);
}

}  // namespace flanmoe::data
