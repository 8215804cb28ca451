// Included by kernels_<set>.cpp, which define FLANMOE_ISA (a namespace name). Nothing here may have
// external linkage but the tables, and no template of the standard library is used: the linker
// could pick a copy made for a processor that is not there.
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
// gcc 12 warns of its own _mm512_undefined_*
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "ops/cpu/kernels.h"

namespace flanmoe::ops::cpu::FLANMOE_ISA {
namespace {

#include "ops/cpu/vectors.inl"
//
#include "ops/cpu/products.inl"
//
#include "ops/cpu/gemm.inl"
#include "ops/cpu/rows.inl"
#include "ops/cpu/softmax.inl"
//
#include "ops/cpu/merging.inl"

template <class T>
constexpr Tables<T> make_tables() {
  return {
      .rows =
          {
              .rms_norm = rms_norm<T>,
              .rms_norm_backward = rms_norm_backward<T>,
              .gated_gelu = gated_gelu<T>,
              .gated_gelu_backward = gated_gelu_backward<T>,
              .dropout = dropout<T>,
              .jitter = jitter<T>,
              .cross_entropy = cross_entropy<T>,
              .cross_entropy_backward = cross_entropy_backward<T>,
              .gather_rows = gather_rows<T>,
              .sum_rows = sum_rows<T>,
              .dot_rows = dot_rows<T>,
          },
      .attention =
          {
              .pair = kPair<T>,
              .multiply = multiply<T>,
              .pack_transposed = pack_transposed<T>,
              .pack_rows = pack_rows<T>,
              .pack_pairs = pack_pairs<T>,
              .pack_score_rows = pack_score_rows<T>,
              .pack_score_pairs = pack_score_pairs<T>,
              .dot_all = dot_all<T>,
              .sum_weighted = sum_weighted<T>,
              .store_rows = store_rows<T>,
              .attention_softmax = attention_softmax<T>,
              .attention_softmax_backward = attention_softmax_backward<T>,
              .row_dot = row_dot<T>,
          },
      .gemm = {.scratch_size = gemm_scratch_size<T>,
               .gemm = gemm<T>,
               .dot_products = dot_products<T>},
      .merging =
          {
              .scratch_size = merging_scratch_size<T>,
              .merge = merge<T>,
              .merge_backward = merge_backward<T>,
              .scale_groups = scale_groups<T>,
              .scale_groups_backward = scale_groups_backward<T>,
          },
  };
}

}  // namespace

extern const Tables<float> tables_float;
extern const Tables<double> tables_double;
extern const Tables<Bf16> tables_bf16;
constinit const Tables<float> tables_float = make_tables<float>();
constinit const Tables<double> tables_double = make_tables<double>();
constinit const Tables<Bf16> tables_bf16 = make_tables<Bf16>();

}  // namespace flanmoe::ops::cpu::FLANMOE_ISA
