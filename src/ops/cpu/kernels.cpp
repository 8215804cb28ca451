#include "ops/cpu/kernels.h"

#include <string_view>

namespace flanmoe::ops::cpu {

#define FLANMOE_DECLARE_TABLES(isa)              \
  namespace isa {                                \
  extern const KernelTable<float> table_float;   \
  extern const KernelTable<double> table_double; \
  extern const KernelTable<Bf16> table_bf16;     \
  }
FLANMOE_DECLARE_TABLES(generic)
#if defined(__x86_64__)
FLANMOE_DECLARE_TABLES(avx2)
FLANMOE_DECLARE_TABLES(avx512)
FLANMOE_DECLARE_TABLES(avx512bf16)
#endif
#undef FLANMOE_DECLARE_TABLES

namespace {

struct Tables {
  const char* name;
  const KernelTable<float>* of_float;
  const KernelTable<double>* of_double;
  const KernelTable<Bf16>* of_bf16;
};
constexpr Tables kGeneric{"generic", &generic::table_float, &generic::table_double, &generic::table_bf16};
#if defined(__x86_64__)
constexpr Tables kAvx2{"avx2", &avx2::table_float, &avx2::table_double, &avx2::table_bf16};
constexpr Tables kAvx512{"avx512", &avx512::table_float, &avx512::table_double, &avx512::table_bf16};
constexpr Tables kAvx512Bf16{"avx512bf16", &avx512bf16::table_float, &avx512bf16::table_double, &avx512bf16::table_bf16};

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
}
#endif

const Tables* find_tables(std::string_view name) {
  if (name == "generic") return &kGeneric;
#if defined(__x86_64__)
  if (name == "avx2" && has_avx2()) return &kAvx2;
  if (name == "avx512" && has_avx512()) return &kAvx512;
  if (name == "avx512bf16" && has_avx512() && __builtin_cpu_supports("avx512bf16")) return &kAvx512Bf16;
#endif
  return nullptr;
}

const Tables& best_tables() {
  static const Tables* const best = [] {
    for (const char* name : {"avx512bf16", "avx512", "avx2"})
      if (const Tables* tables = find_tables(name)) return tables;
    return &kGeneric;
  }();
  return *best;
}

}  // namespace

const char* instruction_set() { return best_tables().name; }

template <>
const KernelTable<float>& kernels<float>() {
  return *best_tables().of_float;
}
template <>
const KernelTable<double>& kernels<double>() {
  return *best_tables().of_double;
}
template <>
const KernelTable<Bf16>& kernels<Bf16>() {
  return *best_tables().of_bf16;
}

template <>
const KernelTable<float>* find_kernels<float>(const char* name) {
  const Tables* tables = find_tables(name);
  return tables ? tables->of_float : nullptr;
}
template <>
const KernelTable<double>* find_kernels<double>(const char* name) {
  const Tables* tables = find_tables(name);
  return tables ? tables->of_double : nullptr;
}
template <>
const KernelTable<Bf16>* find_kernels<Bf16>(const char* name) {
  const Tables* tables = find_tables(name);
  return tables ? tables->of_bf16 : nullptr;
}

}  // namespace flanmoe::ops::cpu
