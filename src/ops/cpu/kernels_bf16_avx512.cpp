#if defined(__x86_64__)
// The build gives this file AVX-512 by its name; products of pairs of bfloat16 come on top (gcc 12
// defines no macro for the pragma).
#pragma GCC target("avx512bf16")
#define FLANMOE_BF16_PAIRS
#define FLANMOE_ISA avx512bf16
#include "ops/cpu/kernels.inl"
#endif
