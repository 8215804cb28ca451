#if defined(__x86_64__)
#define FLANMOE_ISA avx2
#include "ops/cpu/kernels.inl"
#endif
