#define FLANMOE_ISA generic
#include "ops/cpu/kernels.inl"
