#include "study/stages/load_for_training.h"

#include "base/error.h"
#include "model/adapter_folder.h"
#include "train/stochastic_rounding.h"

namespace flanmoe::study {
namespace {

constexpr const char* kAdapterName = "adapter";

void check_is_no_adapter(const std::string& folder, const std::string& place) {
  if (model::is_adapter_folder(folder))
    fail(ErrorCode::InvalidConfig,
         "[{}] is given, but '{}' is an adapter already: leave it out to train that one on, or "
         "give the adapter's base as the model",
         place, folder);
}

}  // namespace

model::LoadedModel load_for_training(const std::string& folder, const peft::Config& adapter,
                                     const train::Config& config, const at::Device& device,
                                     const std::string& place) {
  const bool makes_adapter = !adapter.components.empty();
  if (makes_adapter) check_is_no_adapter(folder, place);
  model::LoadedModel loaded = model::load_model_with_tokenizer(
      folder,
      train::find_parameter_dtype(config, makes_adapter || model::is_adapter_folder(folder)),
      device);
  if (makes_adapter)
    loaded.model->activate(loaded.model->attach(std::make_shared<peft::Adapter>(
        kAdapterName, adapter, loaded.model->sites(), static_cast<uint64_t>(config.seed), place)));
  return loaded;
}

void check_adapter(const std::string& folder, const peft::Config& adapter,
                   const std::string& place) {
  if (adapter.components.empty()) return;
  check_is_no_adapter(folder, place);
  model::Model shape(model::load_model_config(folder), std::nullopt, at::kFloat, at::kMeta);
  const peft::Adapter made(kAdapterName, adapter, shape.sites(), 0, place);
}

}  // namespace flanmoe::study
