#include "ops/cpu/kernels.h"

#include <string_view>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace flanmoe::ops::cpu {

#define FLANMOE_DECLARE_TABLES(isa)          \
  namespace isa {                            \
  extern const Tables<float> tables_float;   \
  extern const Tables<double> tables_double; \
  extern const Tables<Bf16> tables_bf16;     \
  }
FLANMOE_DECLARE_TABLES(generic)
#if defined(__x86_64__)
FLANMOE_DECLARE_TABLES(avx2)
FLANMOE_DECLARE_TABLES(avx512)
FLANMOE_DECLARE_TABLES(avx512bf16)
#endif
#undef FLANMOE_DECLARE_TABLES

namespace {

struct InstructionSet {
  const char* name;
  bool is_here;
  const Tables<float>* of_float;
  const Tables<double>* of_double;
  const Tables<Bf16>* of_bf16;
  template <class T>
  const Tables<T>* tables() const {
    if constexpr (sizeof(T) == 4) return of_float;
    if constexpr (sizeof(T) == 8) return of_double;
    if constexpr (sizeof(T) == 2) return of_bf16;
  }
};

// Best first.
const InstructionSet* instruction_sets() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool has_avx512 =
      has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool has_avx512_bf16 = has_avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  static const InstructionSet sets[] = {
#if defined(__x86_64__)
    {"avx512bf16", has_avx512_bf16, &avx512bf16::tables_float, &avx512bf16::tables_double,
     &avx512bf16::tables_bf16},
    {"avx512", has_avx512, &avx512::tables_float, &avx512::tables_double, &avx512::tables_bf16},
    {"avx2", has_avx2, &avx2::tables_float, &avx2::tables_double, &avx2::tables_bf16},
#endif
    {"generic", true, &generic::tables_float, &generic::tables_double, &generic::tables_bf16},
  };
  return sets;
}

const InstructionSet& best() {
  static const InstructionSet* const set = [] {
    const InstructionSet* candidate = instruction_sets();
    while (!candidate->is_here) ++candidate;
    return candidate;
  }();
  return *set;
}

// AMX has a bf16 product of its own, which oneDNN uses; GCC 12 does not know its name.
bool has_amx_bf16() {
#if defined(__x86_64__)
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22 & 1u) != 0;
  }();
  return has;
#else
  return false;
#endif
}

bool is_intel() {
#if defined(__x86_64__)
  static const bool is = __builtin_cpu_is("intel");
  return is;
#else
  return false;
#endif
}

}  // namespace

template <>
bool prefers_own_gemm<float>() {
  return !is_intel() && instruction_set() != std::string_view("generic");
}
template <>
bool prefers_own_gemm<Bf16>() {
  return !has_amx_bf16() && instruction_set() != std::string_view("generic");
}

const char* instruction_set() {
  return best().name;
}

template <class T>
const RowKernels<T>& row_kernels() {
  return best().tables<T>()->rows;
}
template <class T>
const AttentionKernels<T>& attention_kernels() {
  return best().tables<T>()->attention;
}
template <class T>
const GemmKernels<T>& gemm_kernels() {
  return best().tables<T>()->gemm;
}
template <class T>
const MergingKernels<T>& merging_kernels() {
  return best().tables<T>()->merging;
}
template <class T>
const Tables<T>* find_kernels(const char* name) {
  for (const InstructionSet* set = instruction_sets();; ++set) {
    if (set->name == std::string_view(name)) return set->is_here ? set->tables<T>() : nullptr;
    if (set->name == std::string_view("generic")) return nullptr;
  }
}

#define FLANMOE_INSTANTIATE(T)                                \
  template const RowKernels<T>& row_kernels<T>();             \
  template const AttentionKernels<T>& attention_kernels<T>(); \
  template const GemmKernels<T>& gemm_kernels<T>();           \
  template const MergingKernels<T>& merging_kernels<T>();     \
  template const Tables<T>* find_kernels<T>(const char*);
FLANMOE_INSTANTIATE(float)
FLANMOE_INSTANTIATE(double)
FLANMOE_INSTANTIATE(Bf16)
#undef FLANMOE_INSTANTIATE

}  // namespace flanmoe::ops::cpu
