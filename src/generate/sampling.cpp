#include "generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace flanmoe::generate {

std::vector<Candidate> find_candidates(const std::vector<double>& logits,
                                       const SamplingRule& rule) {
  FLANMOE_ASSERT(!logits.empty() && rule.temperature > 0 && rule.top_p > 0);
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<Candidate> all;
  all.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    all.push_back({static_cast<int64_t>(i), std::exp((logits[i] - largest) / rule.temperature)});
  const auto is_before = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token_id < b.token_id;
  };
  const auto mass_of = [](const std::vector<Candidate>& candidates) {
    return std::accumulate(
        candidates.begin(), candidates.end(), 0.0,
        [](double sum, const Candidate& candidate) { return sum + candidate.probability; });
  };
  if (rule.top_k > 0 && rule.top_k < static_cast<int64_t>(all.size())) {
    std::nth_element(all.begin(), all.begin() + rule.top_k, all.end(), is_before);
    all.resize(static_cast<size_t>(rule.top_k));
  }
  if (rule.top_p < 1) {
    const double wanted = rule.top_p * mass_of(all);
    // the most probable ones, in ever longer parts, until they are enough
    size_t count = 0;
    double mass = 0;
    for (size_t sorted = 0, part = 64; mass < wanted && count < all.size(); part *= 4) {
      const size_t end = std::min(all.size(), sorted + part);
      const auto begin = all.begin() + static_cast<ptrdiff_t>(sorted),
                 middle = all.begin() + static_cast<ptrdiff_t>(end);
      std::partial_sort(begin, middle, all.end(), is_before);
      sorted = end;
      while (count < end && mass < wanted) mass += all[count++].probability;
    }
    all.resize(std::max<size_t>(1, count));
  } else if (all.size() < logits.size()) {
    std::sort(all.begin(), all.end(), is_before);
  }
  const double mass = mass_of(all);
  for (Candidate& candidate : all) candidate.probability /= mass;
  return all;
}

int64_t draw(const std::vector<Candidate>& candidates, double uniform) {
  double mass = 0;
  for (const Candidate& candidate : candidates) {
    mass += candidate.probability;
    if (uniform < mass) return candidate.token_id;
  }
  return candidates.back().token_id;  // the sum was rounded down
}

}  // namespace flanmoe::generate
