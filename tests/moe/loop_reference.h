// Routing and a sparse block written as plain loops in double, without any of the code under test.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "moe/config.h"

namespace flanmoe::moe {

using Matrix = std::vector<std::vector<double>>;

struct LoopRouting {
  Matrix probabilities;                       // [T][E]
  std::vector<std::vector<int64_t>> choices;  // [T][k], best first
  Matrix weights;                             // [T][k], before dropping
  std::vector<std::vector<int64_t>> slots;    // [T][k], place in its expert and group; -1: dropped
  std::vector<int64_t> requested;             // [E]
  double load_balance_loss = 0, z_loss = 0;
};

// k choices a token; `capacity` slots an expert and group (0: no limit); `group` [T].
inline LoopRouting route_by_loop(const Matrix& logits, size_t k, bool is_normalised,
                                 const std::vector<int64_t>& group, size_t num_groups,
                                 const std::vector<int64_t>& capacity) {
  const size_t num_tokens = logits.size(), num_experts = logits[0].size();
  LoopRouting routing;
  routing.requested.assign(num_experts, 0);
  for (const auto& row : logits) {
    double sum = 0;
    for (double logit : row) sum += std::exp(logit);
    std::vector<double> probability;
    for (double logit : row) probability.push_back(std::exp(logit) / sum);
    routing.z_loss += std::log(sum) * std::log(sum) / static_cast<double>(num_tokens);

    std::vector<int64_t> choice;
    std::vector<bool> is_taken(num_experts);
    double mass = 0;
    for (size_t j = 0; j < k; ++j) {
      size_t best = num_experts;
      for (size_t e = 0; e < num_experts; ++e)
        if (!is_taken[e] && (best == num_experts || probability[e] > probability[best])) best = e;
      is_taken[best] = true;
      mass += probability[best];
      choice.push_back(static_cast<int64_t>(best));
      ++routing.requested[best];
    }
    std::vector<double> weight;
    for (int64_t e : choice)
      weight.push_back(probability[static_cast<size_t>(e)] / (is_normalised ? mass : 1));
    routing.probabilities.push_back(probability);
    routing.choices.push_back(choice);
    routing.weights.push_back(weight);
    routing.slots.emplace_back(k, -1);
  }

  std::vector<std::vector<int64_t>> used(num_groups, std::vector<int64_t>(num_experts, 0));
  for (size_t j = 0; j < k; ++j)
    for (size_t t = 0; t < num_tokens; ++t) {
      const auto g = static_cast<size_t>(group[t]);
      int64_t& next = used[g][static_cast<size_t>(routing.choices[t][j])];
      if (capacity[g] == 0 || next < capacity[g]) routing.slots[t][j] = next++;
    }

  for (size_t g = 0; g < num_groups; ++g) {
    std::vector<double> first(num_experts, 0), mass(num_experts, 0);
    double size = 0;
    for (size_t t = 0; t < num_tokens; ++t) {
      if (static_cast<size_t>(group[t]) != g) continue;
      ++size;
      ++first[static_cast<size_t>(routing.choices[t][0])];
      for (size_t e = 0; e < num_experts; ++e) mass[e] += routing.probabilities[t][e];
    }
    for (size_t e = 0; e < num_experts; ++e)
      routing.load_balance_loss += static_cast<double>(num_experts) * (first[e] / size) *
                                   (mass[e] / size) / static_cast<double>(num_groups);
  }
  return routing;
}

inline std::vector<double> multiply(const Matrix& weight, const std::vector<double>& x) {
  std::vector<double> y;
  for (const auto& row : weight) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += row[i] * x[i];
    y.push_back(sum);
  }
  return y;
}

// wo(relu(wi_0 x)), or wo(gelu(wi_0 x) * wi_1 x) where wi_1 is not empty; gelu in the tanh form.
inline std::vector<double> feed_forward_by_loop(const Matrix& wi_0, const Matrix& wi_1,
                                                const Matrix& wo, const std::vector<double>& x) {
  std::vector<double> hidden = multiply(wi_0, x);
  if (wi_1.empty()) {
    for (double& h : hidden) h = h > 0 ? h : 0;
  } else {
    const std::vector<double> up = multiply(wi_1, x);
    for (size_t i = 0; i < hidden.size(); ++i) {
      const double h = hidden[i];
      hidden[i] =
          0.5 * h * (1 + std::tanh(std::sqrt(2 / M_PI) * (h + 0.044715 * h * h * h))) * up[i];
    }
  }
  return multiply(wo, hidden);
}

}  // namespace flanmoe::moe
