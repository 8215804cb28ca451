#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <memory>

#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "common.h"
#include "data/sources/format.h"
#include "ops/device.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_doctor(Options options) {
  auto common = std::make_shared<Common>();
  common->add_to(options, false);
  options.footer("Example:\n  flanmoe doctor");
  return [common] {
    common->apply();
    struct Check {
      std::string name;
      bool is_ok;
      std::string found, hint;
    };
    const double memory_bytes = static_cast<double>(machine_memory_bytes());
    const std::string arrow = data::arrow_version();
    const std::string kernels = ops::cpu_kernel_name();
    const std::vector<Check> checks = {
        {"libtorch", true, TORCH_VERSION, ""},
        {"cpu kernels", kernels != "generic", kernels,
         "this processor lacks AVX2: everything works, slowly"},
        {"bf16 matmul", __builtin_cpu_supports("avx512bf16") != 0,
         __builtin_cpu_supports("avx512bf16") ? "native" : "emulated",
         "without AVX512-BF16 --dtype float32 is the faster one"},
        {"threads", at::get_num_threads() >= 1,
         fmt::format("{} of {} physical cores", at::get_num_threads(), num_physical_cores()), ""},
        {"memory", memory_bytes > 4e9, format_count(memory_bytes) + "B",
         "the quickstart needs up to 4 GB"},
        {"cuda", true, ops::has_cuda_build() ? "built in" : "not in this build",
         "configure with the preset 'cuda' for --device cuda"},
        {"parquet", true, arrow.empty() ? "not in this build" : "Arrow " + arrow,
         "run FLANMOE_WITH_PARQUET=1 tools/setup and build again to read Parquet files"},
    };
    if (common->is_json) {
      Json list = Json::array();
      for (const Check& check : checks)
        list.push_back({{"name", check.name},
                        {"is_ok", check.is_ok},
                        {"found", check.found},
                        {"hint", check.is_ok ? "" : check.hint}});
      print_json({{"checks", list}});
      return;
    }
    for (const Check& check : checks)
      print(fmt::format("{} {:<12} {}{}\n", check.is_ok ? "ok  " : "WARN", check.name, check.found,
                        check.is_ok ? "" : "  (" + check.hint + ")"));
  };
}

}  // namespace flanmoe::apps
