// The Routing value: what every discrete router returns and all that dispatch, expert matmuls,
// combine and statistics know.
//
// Shape letters: T tokens that are routed, E experts, G routing groups, A assignments kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ops/weight_view.h"

namespace flanmoe::ops {

// A sparse token x expert matrix, sorted by expert and inside an expert by slot.
struct Routing {
  int64_t num_tokens = 0;
  int64_t num_experts = 0;
  at::Tensor token_index_A;             // int64 [A]: which token
  at::Tensor combine_weight_A;          // fp32 (or fp64) [A], differentiable
  std::vector<int64_t> expert_offsets;  // [E + 1]: expert e owns assignments [expert_offsets[e],
                                        // expert_offsets[e + 1])

  // Undefined where the router has none:
  at::Tensor probabilities_TE;     // fp32 (or fp64): softmax of the router's logits, differentiable
  at::Tensor load_share_GE;        // f of the balance loss, no gradient
  at::Tensor mean_probability_GE;  // P of the balance loss, differentiable
  at::Tensor load_balance_loss;    // scalar without its coefficient
  at::Tensor z_loss;               // scalar without its coefficient
  std::vector<int64_t> requested;  // [E]: assignments asked for, before the capacity cut any
  int64_t capacity = 0;            // slots an expert had (largest over the groups); 0: no limit
};

// Values of one routing, for metrics and reports; no gradient.
struct RoutingStatistics {
  int64_t num_tokens = 0;
  std::vector<int64_t> load;       // [E] kept assignments
  std::vector<int64_t> requested;  // [E]
  double entropy = 0;              // mean over tokens of -sum p ln p, in nats
  double fraction_dropped = 0;     // 1 - kept / requested assignments
  double fraction_unserved = 0;    // tokens served by no expert
  double mean_combine_weight = 0;  // over kept assignments
  double load_balance_loss = 0;
  double z_loss = 0;
};

RoutingStatistics compute_statistics(const Routing& routing);
// Coefficient of variation of the load (standard deviation over mean; 0 where nothing was routed).
double load_variation(const std::vector<int64_t>& load);

// One assignment asked for, in the order of priority in which slots are given.
struct AssignmentRequest {
  int64_t token;
  int64_t expert;
};

// Gives slots in the order of `requests` (first come, first served inside each expert and group)
// until the capacity of their group ([G]; 0: no limit). `group_of_token` [T] (empty: one group).
// Returns for every expert the indices into `requests` that were kept, in slot order (groups one
// after the other), flattened, with offsets [E + 1].
struct SlotAssignment {
  std::vector<int64_t> kept;  // indices into requests, sorted by expert then group then slot
  std::vector<int64_t> expert_offsets;  // [E + 1]
};
SlotAssignment assign_slots(const std::vector<AssignmentRequest>& requests, int64_t num_experts,
                            const std::vector<int64_t>& capacity_of_group,
                            const std::vector<int64_t>& group_of_token = {});

// Rows of x_TD gathered by assignment: [A, D]. Differentiable.
at::Tensor dispatch(const at::Tensor& x_TD, const Routing& routing);

// y[t] = sum over assignments a of token t of combine_weight[a] * expert_output[a]; tokens without
// one get 0. [T, D] in the dtype of expert_output, summed in fp32 (fp64 for fp64) in assignment
// order whatever the number of threads. Differentiable in both.
at::Tensor combine(const at::Tensor& expert_output_AD, const Routing& routing);

// out[a] = x[a] @ weight[e(a)]^T: every expert multiplies its own rows by its own matrix (weights
// as on disk: [E, out, in]). Rows [A, in] -> [A, out]. Works on true counts: no padding, no
// capacity buffers. Differentiable. x and weight have one dtype.
at::Tensor grouped_matmul(const at::Tensor& x_AI, const WeightView& weight_EOI,
                          const std::vector<int64_t>& expert_offsets);

}  // namespace flanmoe::ops
