#include "train/optimizer_state.h"

#include <charconv>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/tensor_file.h"
#include "model/folder.h"
#include "train/checkpoints/snapshot.h"

namespace flanmoe::train {
namespace {

std::string state_path(const std::string& model_folder) {
  return model_folder + "/" + model::kOptimizerFile;
}

}  // namespace

void save_optimizer_state(const std::string& model_folder, Optimizer& optimizer,
                          const std::string& optimizer_name, int64_t step) {
  checkpoint::save_safetensors(
      state_path(model_folder), to_cpu(optimizer.state()),
      {{"format", "pt"}, {"optimizer", optimizer_name}, {"step", std::to_string(step)}});
}

int64_t load_optimizer_step(const std::string& model_folder, const std::string& optimizer_name) {
  const std::string path = state_path(model_folder);
  if (!is_file(path))
    fail(ErrorCode::NotFound,
         "[train.starts_from_optimizer_state] there is no '{}' (a stage with "
         "train.keeps_optimizer_state writes it)",
         path);
  std::map<std::string, std::string> metadata;
  (void)checkpoint::open_safetensors(path, &metadata);
  if (metadata["optimizer"] != optimizer_name)
    fail(ErrorCode::InvalidConfig,
         "[train.starts_from_optimizer_state] '{}' is of the optimizer '{}', this stage has '{}'",
         path, metadata["optimizer"], optimizer_name);
  const std::string& text = metadata["step"];
  int64_t step = -1;
  std::from_chars(text.data(), text.data() + text.size(), step);
  if (step < 0) fail(ErrorCode::CorruptFile, "{}: metadata 'step' is '{}'", path, text);
  return step;
}

void load_optimizer_state(const std::string& model_folder, const nn::Parameters& parameters,
                          Optimizer& optimizer) {
  std::set<std::string> names;
  for (const nn::Parameter& parameter : parameters) names.insert(parameter.name);
  const checkpoint::NamedTensors own = optimizer.state();
  checkpoint::NamedTensors saved = checkpoint::load_safetensors(state_path(model_folder));
  std::erase_if(saved, [&](const auto& entry) {
    return !own.contains(entry.first) &&
           names.contains(entry.first.substr(0, entry.first.rfind('.')));
  });
  std::string fresh;
  for (const auto& [name, tensor] : own)
    if (saved.emplace(name, tensor).second) fresh += (fresh.empty() ? "" : ", ") + name;
  if (!fresh.empty()) log::info("[train] optimizer state that begins anew: {}", fresh);
  optimizer.load_state(saved);
}

}  // namespace flanmoe::train
