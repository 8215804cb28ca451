// Soft merging of small adapters (MoV and MoLoRA, arXiv 2309.05444) and low-rank changes of a
// projection. All are differentiable and deterministic for a given number of threads.
//
// Values are fp32, bf16 or fp64; router kernels, vectors and weights are at least fp32 (fp64 for
// fp64 values). Shape letters: n experts, K what a router looks at, W the values' width, H heads, r
// rank, I in, O out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/weight_view.h"

namespace flanmoe::ops {

// softmax(kernel x) over the experts: x [..., K], kernel [n, K] -> [..., n] in fp32 (fp64).
// `applies_gelu`: of gelu(x), without holding it.
at::Tensor merging_weights(const at::Tensor& x, const at::Tensor& kernel_nK,
                           bool applies_gelu = false);

// The k largest weights of the last dim as they are, the others 0; k 0: all of them.
at::Tensor keep_largest(const at::Tensor& weights, int64_t k);

// values * (m + sum_e p_e (vector_e - 1)), which for weights p that sum to 1 is values * sum_e p_e
// vector_e, and exactly `values` where all vectors are 1. m is 1, or sum_e p_e where `has_mass`
// (weights of which some were left out). values [..., W], vectors [n, W], weights [..., n] or [...,
// H, n]: then each head, W / H values, has its own. Nothing of the size tokens x n x W is held.
at::Tensor scale_by_weights(const at::Tensor& values, const at::Tensor& weights,
                            const at::Tensor& vectors_nW, bool has_mass = false);

// values * vector, as a mixture of one: what (IA)3 does (arXiv 2205.05638).
at::Tensor scale(const at::Tensor& values, const at::Tensor& vector_W);

struct MergingRouter {
  at::Tensor kernel_nK;
  at::Tensor input;           // [..., K]; undefined: the values of every head, K = W / H
  bool applies_gelu = false;  // to `input`
  int64_t top_k = 0;          // keep_largest
};
// The same with the weights that a router gives, in one pass; has_mass where top_k > 0. Keeps
// `values`, the router's input and, where top_k is 0, the weights for the backward pass.
at::Tensor scale_by_mixture(const at::Tensor& values, const at::Tensor& vectors_nW,
                            const MergingRouter& router, int64_t num_heads = 1);

// output + scale * (x A^T) B^T: LoRA (arXiv 2106.09685). x [..., I], output [..., O]. With weights
// [..., n] the ranks come in n groups, of which each is multiplied by its weight between the two
// products: output + scale * sum_e p_e (x A_e^T) B_e^T. Values of a are [n r, I] and of b [O, n r],
// in the dtype of x; their leaves may have the shapes [n, r, I] and [n, O, r].
at::Tensor add_low_rank(const at::Tensor& output, const at::Tensor& x, const WeightView& a,
                        const WeightView& b, double scale, const at::Tensor& weights = {});

// By libtorch's own operations: what runs on other devices than a CPU.
namespace composite {
at::Tensor merging_weights(const at::Tensor& x, const at::Tensor& kernel_nK, bool applies_gelu);
at::Tensor scale_by_weights(const at::Tensor& values, const at::Tensor& weights,
                            const at::Tensor& vectors_nW, bool has_mass);
at::Tensor scale_by_mixture(const at::Tensor& values, const at::Tensor& vectors_nW,
                            const MergingRouter& router, int64_t num_heads);
}  // namespace composite

}  // namespace flanmoe::ops
