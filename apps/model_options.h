// The model of a verb: a folder, an adapter's folder with its base, adapters by name.
#pragma once

#include <string>
#include <vector>

#include "common.h"
#include "model/folder.h"
#include "options.h"

namespace flanmoe::apps {

struct ModelOptions {
  std::string model;
  model::LoadOptions load;

  // MODEL, --base, --ignore-base-hash, and with `has_adapters` --adapter NAME=DIR.
  void add_to(Options& options, bool has_adapters = false);
  model::LoadedModel load_with_tokenizer(const Common& common) const;

 private:
  void add_adapter(const std::string& name, const std::string& folder);
};

// The number of the adapter that a line asks for, -1 for the base alone; none: as the model has it.
// Throws InvalidArgument naming `where` and the nearest name.
std::optional<int64_t> find_adapter(const model::Model& model,
                                    const std::optional<std::string>& name,
                                    const std::string& where);

}  // namespace flanmoe::apps
