#include "common.h"

#include <ATen/Parallel.h>

#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "ops/device.h"

namespace flanmoe::apps {

void Common::add_to(Options& options, bool has_seed) {
  options.choice(
      "dtype", {"float32", "bfloat16"}, dtype, [this](const std::string& text) { dtype = text; },
      "of compute");
  if (has_seed) options.option("seed", seed, "of everything that draws");
  add_machine_to(options);
}

void Common::add_machine_to(Options& options, const std::string& threads_help) {
  options.choice(
      "device", {"cpu", "cuda"}, device, [this](const std::string& text) { device = text; },
      "where to compute");
  options.option("threads", threads, threads_help);
  options.flag("json", is_json, "one JSON document on stdout, everything else on stderr");
}

void Common::apply() const {
  if (threads < 0)
    fail(ErrorCode::InvalidArgument, "[--threads] expected 0 or more, found {}", threads);
  at::set_num_threads(threads > 0 ? static_cast<int>(threads) : num_physical_cores());
  if (device == "cuda") ops::require_cuda();
  if (is_json) disable_progress();
}

at::Device Common::torch_device() const {
  return at::Device(device == "cuda" ? at::kCUDA : at::kCPU);
}
at::ScalarType Common::scalar_type() const {
  return dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

void print_json(const Json& json) {
  print(json.dump(2) + "\n");
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    fail(ErrorCode::Io, "[stdout] cannot write: disk full or pipe closed");
}

}  // namespace flanmoe::apps
