#if defined(__x86_64__)
#define FLANMOE_ISA avx512
#include "ops/cpu/kernels.inl"
#endif
