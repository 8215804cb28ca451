// What a stage trains, and how that stands on disk: a whole model, or an adapter of a model whose
// own weights stay as they are.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "checkpoint/named_tensors.h"
#include "model/folder.h"
#include "train/checkpoints/checksums.h"

namespace flanmoe::train {

class TrainedWeights {
 public:
  virtual ~TrainedWeights() = default;

  // The name of a folder that holds them: "model", "adapter".
  virtual std::string folder_name() const = 0;
  // Those that `trainable` and `frozen` choose from.
  virtual const nn::Parameters& parameters() const = 0;
  // Those that take part and are never trained: the base's of an adapter.
  virtual const nn::Parameters& fixed() const = 0;
  // Of the adapter: {"config", "base_hash"}; null for a whole model. Must be the same where a run
  // goes on.
  virtual Json adapter_identity() const { return nullptr; }
  // The optimizer's state of an earlier stage stands here.
  virtual std::string source_folder() const = 0;

  // Writes the files into `folder`, which is there. Values come from `tensors` by the names of
  // parameters (on the CPU), where it has not got one from the parameter. Returns the hashes of
  // files that were hashed while they were written. May run beside training, which changes no
  // parameter that `tensors` lacks.
  virtual FileHashes write(const std::string& folder,
                           const checkpoint::NamedTensors& tensors = {}) const = 0;
  // Puts what such a folder has into the parameters. Throws as model::load_model() does.
  virtual void fill(const std::string& folder) const = 0;
};

// The active adapter's where `loaded.model` has one, else the model's. `loaded` must outlive it.
std::unique_ptr<TrainedWeights> make_trained_weights(const model::LoadedModel& loaded);

// Whether a model's folder stands in `out` as a finished stage left it ("model" or "adapter"): its
// path, or "" where there is none.
std::string find_trained_folder(const std::string& out);

}  // namespace flanmoe::train
