#include "train/checkpoints/checkpoint_writer.h"

#include <ATen/core/grad_mode.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/tensor_writer.h"

namespace flanmoe::train {
namespace {

// By the names of parameters, sharing their memory.
checkpoint::NamedTensors trained_tensors(const TrainedWeights& weights) {
  checkpoint::NamedTensors tensors;
  for (const nn::Parameter& parameter : weights.parameters())
    if (parameter.tensor.requires_grad()) tensors[parameter.name] = parameter.tensor.detach();
  return tensors;
}

}  // namespace

CheckpointWriter::CheckpointWriter(const StageFolder& folder, Optimizer& optimizer,
                                   const Config& config)
    : folder_(folder), optimizer_(optimizer), retention_{config.keep_last, config.keep_every} {}

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
  parameters_.take(trained_tensors(folder_.weights()));
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
        to_cpu(trained_tensors(folder_.weights())), to_cpu(optimizer_.state()));
}

double CheckpointWriter::save_best(int64_t step, const std::map<std::string, double>& values) {
  const auto start = Clock::now();
  wait();
  take_parameters();
  Json best{{"step", step}, {"values", Json::object()}};
  for (const auto& [name, value] : values) best["values"][name] = value;
  thread_.start([this, step, text = best.dump(1) + "\n"] {
    folder_.best_models().write(step, [&](const std::string& folder) {
      const FileHashes hashes = folder_.weights().write(folder, parameters_.tensors());
      write_file_atomically(folder + "/" + StageFolder::kBestFile, text);
      return hashes;
    });
  });
  return seconds_since(start);
}

void CheckpointWriter::write(int64_t step, const std::string& trainer_json, int64_t best_step,
                             const checkpoint::NamedTensors& trained,
                             const checkpoint::NamedTensors& optimizer_state) const {
  const CheckpointStore& store = folder_.checkpoints();
  store.write(step, [&](const std::string& folder) {
    FileHashes hashes;
    const std::string weights = folder_.weights().folder_name();
    make_folders(folder + "/" + weights);
    for (const auto& [file, hash] : folder_.weights().write(folder + "/" + weights, trained))
      hashes[weights + "/" + file] = hash;
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
