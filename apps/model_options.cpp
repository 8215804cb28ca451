#include "model_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace flanmoe::apps {

void ModelOptions::add_adapter(const std::string& name, const std::string& folder) {
  const bool is_taken = name == "default" || std::any_of(load.adapters.begin(), load.adapters.end(),
                                                         [&](const model::NamedAdapter& other) {
                                                           return other.name == name;
                                                         });
  if (is_taken)
    fail(ErrorCode::InvalidArgument, "[--adapter] the name '{}' is {}", name,
         name == "default" ? "that of MODEL's own adapter" : "given twice");
  load.adapters.push_back({name, folder});
}

void ModelOptions::add_to(Options& options, bool has_adapters) {
  options.positional("MODEL", model, "model folder, or an adapter's");
  options.option("base", load.base, "of an adapter's folder: this model, not the one it names");
  options.flag("ignore-base-hash", load.ignores_base_hash,
               "use an adapter with a base of other weights than it was made for");
  if (has_adapters)
    options.entries(
        "adapter",
        [this](const std::string& name, const std::string& folder) { add_adapter(name, folder); },
        "NAME=DIR: an adapter that lines choose with \"adapter\": NAME (\"\" is the base alone); "
        "one "
        "alone is for all lines that choose none");
}

model::LoadedModel ModelOptions::load_with_tokenizer(const Common& common) const {
  return model::load_model_with_tokenizer(model, common.scalar_type(), common.torch_device(), load);
}

std::optional<int64_t> find_adapter(const model::Model& model,
                                    const std::optional<std::string>& name,
                                    const std::string& where) {
  if (!name) return {};
  if (name->empty()) return -1;
  const std::vector<std::string> names = model.adapter_names();
  if (std::find(names.begin(), names.end(), *name) == names.end())
    fail(ErrorCode::InvalidArgument, "{}: no adapter is named '{}'{}", where, *name,
         names.empty() ? "; give it with --adapter NAME=DIR" : suggestion(*name, names));
  return model.adapter_number(*name);
}

}  // namespace flanmoe::apps
