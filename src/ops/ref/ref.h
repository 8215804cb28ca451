// The plain-loop truth of every op, in double, for tests. Arrays are row-major; shape letters as in
// ops/transformer.h and ops/routing.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/kernels.h"

namespace flanmoe::ops::ref {

using Array = std::vector<double>;
using Indices = std::vector<int64_t>;

Array rms_norm(const Array& x_RD, const Array& weight_D, double eps);

Array gelu(const Array& x);
Array relu(const Array& x);
Array gated_gelu(const Array& gate, const Array& up);

// Factor of element `element` of a token: 0 or 1 / (1 - rate).
double dropout_factor(uint64_t key, int64_t token_key, int64_t element, double rate);
Array dropout(const Array& x_TD, double rate, uint64_t key, const Indices& token_keys_T);
Array jitter(const Array& x_TD, double epsilon, uint64_t key, const Indices& token_keys_T);

struct Attention {
  int64_t rows, queries, keys, heads, width;
  Array q_BQHd, k_BKHd, v_BKHd;
  Array bias_HQK;                // empty: none
  Indices query_segment_ids_BQ;  // empty: one segment
  Indices key_segment_ids_BK;
  bool is_causal = false;
  int64_t query_offset = 0;
  // The dropout of probability (query, key) is keyed by the query's token key, the head, and the
  // index of the key counted from the first one of its segment in the row, so that packing does not
  // change it.
  double dropout_rate = 0;
  uint64_t dropout_key = 0;
  Indices token_keys_BQ;
};
Array attention(const Attention& problem);

int64_t relative_position_bucket(int64_t relative_position, bool is_bidirectional,
                                 int64_t num_buckets, int64_t max_distance);
Array relative_position_bias(const Array& table_NH, int64_t num_heads, int64_t query_length,
                             int64_t key_length, int64_t query_offset, bool is_bidirectional,
                             int64_t max_distance);

Array cross_entropy(const Array& logits_TV, const Indices& labels_T, const CrossEntropyRule& rule);
Array label_log_probability(const Array& logits_TV, const Indices& labels_T);

Array dispatch(const Array& x_TD, int64_t num_tokens, const Indices& token_index_A);
// Through a dense [T, A] matrix.
Array combine(const Array& x_AD, int64_t num_tokens, const Indices& token_index_A,
              const Array& weight_A);
Array grouped_matmul(const Array& x_AI, const Array& weight_EOI, int64_t in_dim, int64_t out_dim,
                     const Indices& expert_offsets);

// softmax of the kernel's products, of which the k largest are kept (0: all); [T, experts].
Array merging_weights(const Array& x_TK, const Array& kernel_nK, int64_t num_experts, int64_t top_k,
                      bool applies_gelu);
// values * sum_e weight_e vector_e, head by head; weights [T, heads, experts].
Array scale_by_weights(const Array& values_TW, const Array& weights_THn, const Array& vectors_nW,
                       int64_t num_heads, int64_t num_experts);
// output + scale * sum_e weight_e B_e A_e x; a [experts, ranks, in], b [experts, out, ranks].
Array add_low_rank(const Array& output_TO, const Array& x_TI, const Array& a, const Array& b,
                   double scale, const Array& weights_Tn, int64_t num_experts, int64_t rank);

}  // namespace flanmoe::ops::ref
