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

struct LoopOptions {
  size_t k = 1;
  bool is_normalised = false;
  bool is_prioritised = false;  // slots to the tokens with the largest top probability first
  int64_t capacity = 0;         // slots an expert and group; 0: no limit
};

inline void add_losses_by_loop(LoopRouting& routing, const Matrix& logits,
                               const std::vector<int64_t>& group, size_t num_groups) {
  const size_t num_tokens = logits.size(), num_experts = logits[0].size();
  for (const auto& row : logits) {
    double sum = 0;
    for (double logit : row) sum += std::exp(logit);
    routing.z_loss += std::log(sum) * std::log(sum) / static_cast<double>(num_tokens);
  }
  for (size_t g = 0; g < num_groups; ++g) {
    std::vector<double> first(num_experts, 0), mass(num_experts, 0);
    double size = 0;
    for (size_t t = 0; t < num_tokens; ++t) {
      if (static_cast<size_t>(group[t]) != g) continue;
      ++size;
      size_t best = 0;
      for (size_t e = 0; e < num_experts; ++e) {
        mass[e] += routing.probabilities[t][e];
        if (routing.probabilities[t][e] > routing.probabilities[t][best]) best = e;
      }
      ++first[best];
    }
    for (size_t e = 0; e < num_experts; ++e)
      routing.load_balance_loss += static_cast<double>(num_experts) * (first[e] / size) *
                                   (mass[e] / size) / static_cast<double>(num_groups);
  }
}

inline LoopRouting softmax_by_loop(const Matrix& logits) {
  LoopRouting routing;
  routing.requested.assign(logits[0].size(), 0);
  for (const auto& row : logits) {
    double sum = 0;
    for (double logit : row) sum += std::exp(logit);
    std::vector<double> probability;
    for (double logit : row) probability.push_back(std::exp(logit) / sum);
    routing.probabilities.push_back(probability);
  }
  return routing;
}

// Tokens choose.
inline LoopRouting route_by_loop(const Matrix& logits, const std::vector<int64_t>& group,
                                 size_t num_groups, const LoopOptions& options) {
  const size_t num_tokens = logits.size(), num_experts = logits[0].size();
  LoopRouting routing = softmax_by_loop(logits);
  for (const auto& probability : routing.probabilities) {
    std::vector<int64_t> choice;
    std::vector<bool> is_taken(num_experts);
    double mass = 0;
    for (size_t j = 0; j < options.k; ++j) {
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
      weight.push_back(probability[static_cast<size_t>(e)] / (options.is_normalised ? mass : 1));
    routing.choices.push_back(choice);
    routing.weights.push_back(weight);
    routing.slots.emplace_back(options.k, -1);
  }

  std::vector<std::vector<int64_t>> used(num_groups, std::vector<int64_t>(num_experts, 0));
  for (size_t j = 0; j < options.k; ++j) {
    std::vector<bool> is_done(num_tokens);
    for (size_t n = 0; n < num_tokens; ++n) {
      size_t t = n;
      if (options.is_prioritised) {  // the best of those left
        t = num_tokens;
        const auto top = [&](size_t token) {
          return routing.probabilities[token][static_cast<size_t>(routing.choices[token][0])];
        };
        for (size_t other = 0; other < num_tokens; ++other)
          if (!is_done[other] && (t == num_tokens || top(other) > top(t))) t = other;
        is_done[t] = true;
      }
      int64_t& next =
          used[static_cast<size_t>(group[t])][static_cast<size_t>(routing.choices[t][j])];
      if (options.capacity == 0 || next < options.capacity) routing.slots[t][j] = next++;
    }
  }
  add_losses_by_loop(routing, logits, group, num_groups);
  return routing;
}

// Experts choose: each takes the `capacity` best tokens of every group.
inline LoopRouting route_by_expert_loop(const Matrix& logits, const std::vector<int64_t>& group,
                                        size_t num_groups, const LoopOptions& options) {
  const size_t num_tokens = logits.size(), num_experts = logits[0].size();
  LoopRouting routing = softmax_by_loop(logits);
  routing.choices.resize(num_tokens);
  routing.weights.resize(num_tokens);
  routing.slots.resize(num_tokens);
  for (size_t e = 0; e < num_experts; ++e)
    for (size_t g = 0; g < num_groups; ++g) {
      std::vector<bool> is_taken(num_tokens);
      for (int64_t slot = 0; slot < options.capacity; ++slot) {
        size_t best = num_tokens;
        for (size_t t = 0; t < num_tokens; ++t)
          if (static_cast<size_t>(group[t]) == g && !is_taken[t] &&
              (best == num_tokens || routing.probabilities[t][e] > routing.probabilities[best][e]))
            best = t;
        if (best == num_tokens) break;
        is_taken[best] = true;
        routing.choices[best].push_back(static_cast<int64_t>(e));
        routing.weights[best].push_back(routing.probabilities[best][e]);
        routing.slots[best].push_back(slot);
        ++routing.requested[e];
      }
    }
  if (options.is_normalised)
    for (auto& weights : routing.weights) {
      double mass = 0;
      for (double weight : weights) mass += weight;
      for (double& weight : weights) weight /= mass;
    }
  add_losses_by_loop(routing, logits, group, num_groups);
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
