#include "train/trained_weights.h"

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/tensor_writer.h"
#include "model/adapter_folder.h"
#include "model/name_table.h"

namespace flanmoe::train {
namespace {

constexpr const char* kModelFolder = "model";
constexpr const char* kAdapterFolder = "adapter";

class ModelWeights final : public TrainedWeights {
 public:
  explicit ModelWeights(const model::LoadedModel& loaded) : loaded_(loaded) {}
  std::string folder_name() const override { return kModelFolder; }
  const nn::Parameters& parameters() const override { return loaded_.model->parameters(); }
  const nn::Parameters& fixed() const override { return none_; }
  std::string source_folder() const override { return loaded_.folder; }

  FileHashes write(const std::string& folder,
                   const checkpoint::NamedTensors& given) const override {
    const at::NoGradGuard no_grad;
    const model::Model& model = *loaded_.model;
    checkpoint::NamedTensors tensors;
    for (const model::DiskTensor& tensor :
         model::list_disk_tensors(model.parameters(), model.config())) {
      const nn::Parameter& parameter = model.parameters()[tensor.parameter];
      const auto found = given.find(parameter.name);
      tensors[tensor.name] = model::part_on_disk(
          found != given.end() ? found->second : parameter.tensor.detach().cpu(), parameter,
          tensor);
    }
    checkpoint::FolderWriter writer(folder, checkpoint::describe_tensors(tensors, folder));
    for (const std::string& name : writer.order()) writer.write(name, tensors.at(name));
    writer.finish();
    model::save_description(folder, model.config(), loaded_.tokenizer.get(),
                            model.parameters().front().tensor.scalar_type());
    return writer.hashes();
  }
  void fill(const std::string& folder) const override {
    model::fill_from_named_tensors(*loaded_.model, checkpoint::load_folder(folder), folder);
  }

 private:
  const model::LoadedModel& loaded_;
  const nn::Parameters none_;
};

model::AdapterBase find_base(const model::LoadedModel& loaded) {
  if (!loaded.base_folder.empty())
    return {loaded.base_folder, model::base_hash(loaded.base_folder)};
  const at::NoGradGuard no_grad;  // made in memory
  model::BaseHasher hasher;
  hasher.add(loaded.model->config());
  for (const nn::Parameter& parameter : loaded.model->parameters())
    hasher.add(parameter.name, parameter.tensor.detach());
  return {"", hasher.hex()};
}

class AdapterWeights final : public TrainedWeights {
 public:
  AdapterWeights(const model::LoadedModel& loaded, const peft::Adapter& adapter)
      : model_(*loaded.model),
        adapter_(adapter),
        folder_(loaded.folder),
        base_(find_base(loaded)),
        written_(adapter.name(), adapter.config(), loaded.model->sites(), 0) {}
  std::string folder_name() const override { return kAdapterFolder; }
  const nn::Parameters& parameters() const override { return adapter_.parameters(); }
  const nn::Parameters& fixed() const override { return model_.parameters(); }
  std::string source_folder() const override { return folder_; }
  Json adapter_identity() const override {
    peft::Config config = adapter_.config();
    return {{"config", to_json(to_config_node(config))}, {"base_hash", base_.hash}};
  }

  FileHashes write(const std::string& folder,
                   const checkpoint::NamedTensors& given) const override {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < adapter_.parameters().size(); ++i) {
      const nn::Parameter& parameter = adapter_.parameters()[i];
      const auto found = given.find(parameter.name);
      written_.parameters()[i].tensor.detach().copy_(
          found != given.end() ? found->second : parameter.tensor.detach());
    }
    model::write_adapter_files(folder, model::describe_adapter(folder, written_, model_, base_));
    return {};
  }
  void fill(const std::string& folder) const override {
    model::fill_adapter(adapter_, folder, model_);
  }

 private:
  const model::Model& model_;
  const peft::Adapter& adapter_;
  std::string folder_;
  model::AdapterBase base_;
  peft::Adapter written_;  // holds the values that are being written while training changes its own
};

}  // namespace

std::unique_ptr<TrainedWeights> make_trained_weights(const model::LoadedModel& loaded) {
  if (const std::optional<int64_t> active = loaded.model->active_adapter())
    return std::make_unique<AdapterWeights>(loaded, loaded.model->adapter(*active));
  return std::make_unique<ModelWeights>(loaded);
}

std::string find_trained_folder(const std::string& out) {
  for (const char* name : {kModelFolder, kAdapterFolder}) {
    const std::string path = out + "/" + name;
    recover_folder(path);
    if (is_folder(path)) return path;
  }
  return {};
}

}  // namespace flanmoe::train
