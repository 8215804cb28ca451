#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/random.h"
#include "ops/ref/ref.h"

namespace flanmoe::ops::ref {

namespace {

uint64_t fold(uint64_t key, uint64_t part) {
  return mix64(key ^ mix64(part + 0x632BE59BD9B4E019ull));
}

// 16 bits of element `element` of a row with this state: a quarter of the 64 that
// RandomKey::bits(element / 4) gives.
uint64_t noise_bits(uint64_t state, int64_t element) {
  const uint64_t word = mix64(state + static_cast<uint64_t>(element / 4) * 0x9E3779B97F4A7C15ull);
  return word >> (16 * (element % 4)) & 0xffff;
}

double factor(uint64_t state, int64_t element, double rate) {
  return noise_bits(state, element) >= static_cast<uint64_t>(std::lround(rate * 65536))
             ? 1 / (1 - rate)
             : 0;
}

}  // namespace

Array rms_norm(const Array& x, const Array& weight, double eps) {
  const size_t width = weight.size();
  Array y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += width) {
    double squares = 0;
    for (size_t i = 0; i < width; ++i) squares += x[begin + i] * x[begin + i];
    const double rms = std::sqrt(squares / static_cast<double>(width) + eps);
    for (size_t i = 0; i < width; ++i) y[begin + i] = x[begin + i] / rms * weight[i];
  }
  return y;
}

Array gelu(const Array& x) {
  Array y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] =
        0.5 * x[i] *
        (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x[i] + 0.044715 * x[i] * x[i] * x[i])));
  return y;
}

Array relu(const Array& x) {
  Array y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] > 0 ? x[i] : 0;
  return y;
}

Array gated_gelu(const Array& gate, const Array& up) {
  Array y = gelu(gate);
  for (size_t i = 0; i < y.size(); ++i) y[i] *= up[i];
  return y;
}

double dropout_factor(uint64_t key, int64_t token_key, int64_t element, double rate) {
  return factor(fold(key, static_cast<uint64_t>(token_key)), element, rate);
}

Array dropout(const Array& x, double rate, uint64_t key, const Indices& token_keys) {
  Array y(x.size());
  const size_t width = x.size() / token_keys.size();
  for (size_t t = 0; t < token_keys.size(); ++t)
    for (size_t i = 0; i < width; ++i)
      y[t * width + i] =
          x[t * width + i] * dropout_factor(key, token_keys[t], static_cast<int64_t>(i), rate);
  return y;
}

Array jitter(const Array& x, double epsilon, uint64_t key, const Indices& token_keys) {
  Array y(x.size());
  const size_t width = x.size() / token_keys.size();
  for (size_t t = 0; t < token_keys.size(); ++t)
    for (size_t i = 0; i < width; ++i) {
      const double uniform =
          (static_cast<double>(noise_bits(fold(key, static_cast<uint64_t>(token_keys[t])),
                                          static_cast<int64_t>(i))) +
           0.5) /
          65536;
      y[t * width + i] = x[t * width + i] * (1 - epsilon + 2 * epsilon * uniform);
    }
  return y;
}

Array attention(const Attention& p) {
  Array y(p.q_BQHd.size());
  auto query_at = [&](int64_t b, int64_t l, int64_t h, int64_t i) {
    return static_cast<size_t>(((b * p.queries + l) * p.heads + h) * p.width + i);
  };
  auto key_at = [&](int64_t b, int64_t l, int64_t h, int64_t i) {
    return static_cast<size_t>(((b * p.keys + l) * p.heads + h) * p.width + i);
  };
  for (int64_t b = 0; b < p.rows; ++b)
    for (int64_t h = 0; h < p.heads; ++h)
      for (int64_t q = 0; q < p.queries; ++q) {
        std::vector<int64_t> seen, element;
        const int64_t query_id =
            p.query_segment_ids_BQ.empty()
                ? 1
                : p.query_segment_ids_BQ[static_cast<size_t>(b * p.queries + q)];
        int64_t first = -1;
        for (int64_t k = 0; k < p.keys; ++k) {
          const int64_t key_id = p.key_segment_ids_BK.empty()
                                     ? 1
                                     : p.key_segment_ids_BK[static_cast<size_t>(b * p.keys + k)];
          if (key_id != query_id || key_id == 0) continue;
          if (first < 0) first = k;
          if (p.is_causal && k > q + p.query_offset) continue;
          seen.push_back(k);
          element.push_back(k - first);
        }
        if (seen.empty()) continue;
        Array scores;
        for (const int64_t k : seen) {
          double score = p.bias_HQK.empty()
                             ? 0
                             : p.bias_HQK[static_cast<size_t>((h * p.queries + q) * p.keys + k)];
          for (int64_t i = 0; i < p.width; ++i)
            score += p.q_BQHd[query_at(b, q, h, i)] * p.k_BKHd[key_at(b, k, h, i)];
          scores.push_back(score);
        }
        const double peak = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (double& score : scores) sum += score = std::exp(score - peak);
        for (size_t n = 0; n < seen.size(); ++n) {
          double probability = scores[n] / sum;
          if (p.dropout_rate > 0)
            probability *= dropout_factor(fold(p.dropout_key, static_cast<uint64_t>(h)),
                                          p.token_keys_BQ[static_cast<size_t>(b * p.queries + q)],
                                          element[n], p.dropout_rate);
          for (int64_t i = 0; i < p.width; ++i)
            y[query_at(b, q, h, i)] += probability * p.v_BKHd[key_at(b, seen[n], h, i)];
        }
      }
  return y;
}

int64_t relative_position_bucket(int64_t relative_position, bool is_bidirectional,
                                 int64_t num_buckets, int64_t max_distance) {
  int64_t first = 0, distance = std::max<int64_t>(0, -relative_position);
  if (is_bidirectional) {
    num_buckets /= 2;
    first = relative_position > 0 ? num_buckets : 0;
    distance = std::abs(relative_position);
  }
  const int64_t num_exact = num_buckets / 2;
  if (distance < num_exact) return first + distance;
  // the smallest bucket whose upper edge lies above; edges are num_exact * (max_distance /
  // num_exact)^(i / (num_buckets - num_exact)), and those that are whole numbers belong to the
  // bucket above, but for rounding of the edge itself
  for (int64_t bucket = num_exact; bucket + 1 < num_buckets; ++bucket) {
    const double exponent =
        static_cast<double>(bucket + 1 - num_exact) / static_cast<double>(num_buckets - num_exact);
    const double edge =
        static_cast<double>(num_exact) *
        std::pow(static_cast<double>(max_distance) / static_cast<double>(num_exact), exponent);
    if (static_cast<double>(distance) < edge - 1e-9) return first + bucket;
  }
  return first + num_buckets - 1;
}

Array relative_position_bias(const Array& table, int64_t num_heads, int64_t query_length,
                             int64_t key_length, int64_t query_offset, bool is_bidirectional,
                             int64_t max_distance) {
  const int64_t num_buckets = static_cast<int64_t>(table.size()) / num_heads;
  Array bias;
  for (int64_t h = 0; h < num_heads; ++h)
    for (int64_t q = 0; q < query_length; ++q)
      for (int64_t k = 0; k < key_length; ++k)
        bias.push_back(table[static_cast<size_t>(
            relative_position_bucket(k - (q + query_offset), is_bidirectional, num_buckets,
                                     max_distance) *
                num_heads +
            h)]);
  return bias;
}

Array cross_entropy(const Array& logits, const Indices& labels, const CrossEntropyRule& rule) {
  const size_t width = labels.empty() ? 0 : logits.size() / labels.size();
  Array loss(labels.size());
  for (size_t t = 0; t < labels.size(); ++t) {
    if (labels[t] < 0) continue;
    const double* row = logits.data() + t * width;
    const double peak = *std::max_element(row, row + width);
    double sum = 0;
    for (size_t i = 0; i < width; ++i) sum += std::exp(row[i] - peak);
    const double logsumexp = peak + std::log(sum);
    for (size_t i = 0; i < width; ++i) {
      const double target = rule.label_smoothing / static_cast<double>(width) +
                            (i == static_cast<size_t>(labels[t]) ? 1 - rule.label_smoothing : 0);
      loss[t] += target * (logsumexp - row[i]);
    }
    loss[t] += rule.z_coefficient * logsumexp * logsumexp;
  }
  return loss;
}

Array label_log_probability(const Array& logits, const Indices& labels) {
  Array result = cross_entropy(logits, labels, {});
  for (double& value : result) value = -value;
  return result;
}

}  // namespace flanmoe::ops::ref
