#include "train/checkpoints/checkpoint_writer.h"

#include <ATen/core/grad_mode.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/tensor_writer.h"
#include "model/name_table.h"

namespace flanmoe::train {
namespace {

// By the names of parameters, sharing their memory.
checkpoint::NamedTensors trained_tensors(const model::Model& model) {
  checkpoint::NamedTensors tensors;
  for (const nn::Parameter& parameter : model.parameters())
    if (parameter.tensor.requires_grad()) tensors[parameter.name] = parameter.tensor.detach();
  return tensors;
}

}  // namespace

CheckpointWriter::CheckpointWriter(const StageFolder& folder, const model::LoadedModel& loaded,
                                   Optimizer& optimizer, const Config& config)
    : folder_(folder),
      loaded_(loaded),
      optimizer_(optimizer),
      retention_{config.keep_last, config.keep_every} {}

CheckpointWriter::~CheckpointWriter() {
  wait_and_warn();
}

void CheckpointWriter::wait_and_warn() {
  try {
    wait();
  } catch (const std::exception& error) {
    log::warn("[train] the last checkpoint could not be written: {}", error.what());
  }
}

void CheckpointWriter::take_parameters() {
  parameters_.take(trained_tensors(*loaded_.model));
}

double CheckpointWriter::save(const Progressed& progressed) {
  const auto start = Clock::now();
  wait();
  const double wait_s = seconds_since(start);
  take_parameters();
  optimizer_state_.take(optimizer_.state());
  log::debug("[train] step {}: waited {:.3f} s for the checkpoint before, copied in {:.3f} s",
             progressed.counts.step, wait_s, seconds_since(start) - wait_s);
  thread_.start([this, step = progressed.counts.step, best_step = progressed.best_step,
                 trainer_json = folder_.to_trainer_json(progressed)] {
    write(step, trainer_json, best_step, parameters_.tensors(), optimizer_state_.tensors());
  });
  return seconds_since(start);
}

void CheckpointWriter::save_now(const Progressed& progressed) {
  wait_and_warn();
  write(progressed.counts.step, folder_.to_trainer_json(progressed), progressed.best_step,
        to_cpu(trained_tensors(*loaded_.model)), to_cpu(optimizer_.state()));
}

double CheckpointWriter::save_best(int64_t step, const std::map<std::string, double>& values) {
  const auto start = Clock::now();
  wait();
  take_parameters();
  Json best{{"step", step}, {"values", Json::object()}};
  for (const auto& [name, value] : values) best["values"][name] = value;
  thread_.start([this, step, text = best.dump(1) + "\n"] {
    folder_.best_models().write(step, [&](const std::string& folder) {
      const FileHashes hashes = write_model(folder, parameters_.tensors());
      write_file_atomically(folder + "/" + StageFolder::kBestFile, text);
      return hashes;
    });
  });
  return seconds_since(start);
}

FileHashes CheckpointWriter::write_model(const std::string& folder,
                                         const checkpoint::NamedTensors& trained) const {
  const at::NoGradGuard no_grad;
  const model::Model& model = *loaded_.model;
  checkpoint::NamedTensors tensors;
  for (const model::DiskTensor& tensor :
       model::list_disk_tensors(model.parameters(), model.config())) {
    const nn::Parameter& parameter = model.parameters()[tensor.parameter];
    const auto found = trained.find(parameter.name);
    tensors[tensor.name] = model::part_on_disk(
        found != trained.end() ? found->second : parameter.tensor.detach().cpu(), parameter,
        tensor);
  }
  checkpoint::FolderWriter writer(folder, checkpoint::describe_tensors(tensors, folder));
  for (const std::string& name : writer.order()) writer.write(name, tensors.at(name));
  writer.finish();
  model::save_description(folder, model.config(), loaded_.tokenizer.get(),
                          model.parameters().front().tensor.scalar_type());
  return writer.hashes();
}

void CheckpointWriter::write(int64_t step, const std::string& trainer_json, int64_t best_step,
                             const checkpoint::NamedTensors& trained,
                             const checkpoint::NamedTensors& optimizer_state) const {
  const CheckpointStore& store = folder_.checkpoints();
  store.write(step, [&](const std::string& folder) {
    FileHashes hashes;
    for (const auto& [name, hash] : write_model(folder + "/" + StageFolder::kModelFolder, trained))
      hashes[std::string(StageFolder::kModelFolder) + "/" + name] = hash;
    const std::string path = folder + "/" + model::kOptimizerFile;
    checkpoint::SafetensorsWriter writer(path, checkpoint::describe_tensors(optimizer_state, path));
    for (const std::string& name : writer.order()) writer.write(name, optimizer_state.at(name));
    writer.finish();
    hashes[model::kOptimizerFile] = writer.hash();
    write_file_atomically(folder + "/" + StageFolder::kTrainerFile, trainer_json);
    // the checkpoint counts its bytes: without them it could not be resumed from
    sync_file(folder_.metrics_path());
    return hashes;
  });
  store.keep(retain(store.steps(), step, retention_));
  folder_.keep_best_models(best_step);
}

}  // namespace flanmoe::train
