// What every verb has: device, dtype, threads, seed, --json.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "base/json.h"
#include "options.h"

namespace flanmoe::apps {

struct Common {
  std::string device = "cpu";
  std::string dtype = "float32";
  int64_t threads = 0;  // 0: physical cores
  int64_t seed = 0;
  bool is_json = false;

  void add_to(Options& options, bool has_seed = true);
  // --device, --threads and --json alone: of verbs whose config has precision and seed.
  void add_machine_to(Options& options, const std::string& threads_help =
                                            "compute threads; 0 takes the physical cores");
  // Sets threads, device and progress display. Throws InvalidArgument or Unsupported on what cannot
  // be.
  void apply() const;
  at::Device torch_device() const;
  at::ScalarType scalar_type() const;
};

// One JSON document on stdout.
void print_json(const Json& json);
// Text on stdout.
void print(const std::string& text);

}  // namespace flanmoe::apps
