#include "train/stage_folder.h"

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "train/optimizers/kernels.h"

namespace flanmoe::train {
namespace {

constexpr int64_t kFormat = 2;

void check_same(const char* what, const Json& saved, const Json& given, const std::string& where) {
  const std::string key = find_difference(saved, given);
  if (key.empty()) return;
  fail(ErrorCode::InvalidConfig,
       "[train] cannot resume: {} {} is {}, the run began with {} ({}); restore it, or train into "
       "another folder",
       what, key, value_text(given, key), value_text(saved, key), where);
}

// Round trip through text, so that numbers compare as they are read back.
Json normalise(const Json& json) {
  return parse_json(json.dump(), "config");
}

Json to_json(const Result& result) {
  return {{"steps", result.steps},
          {"train_flops", result.train_flops},
          {"num_examples", result.num_examples},
          {"num_input_tokens", result.num_input_tokens},
          {"num_target_tokens", result.num_target_tokens},
          {"wall_s", result.wall_s},
          {"final_loss", result.final_loss},
          {"num_trained_parameters", result.num_trained_parameters},
          {"num_skipped_steps", result.num_skipped_steps},
          {"ended_by", result.ended_by},
          {"model_step", result.model_step},
          {"evaluation", result.evaluation},
          {"peak_memory_bytes", result.peak_memory_bytes}};
}

Result parse_result(const Json& json) {
  Result result;
  result.steps = json.at("steps");
  result.train_flops = json.at("train_flops");
  result.num_examples = json.at("num_examples");
  result.num_input_tokens = json.at("num_input_tokens");
  result.num_target_tokens = json.at("num_target_tokens");
  result.wall_s = json.at("wall_s");
  result.final_loss = json.at("final_loss");
  result.num_trained_parameters = json.at("num_trained_parameters");
  result.num_skipped_steps = json.at("num_skipped_steps");
  result.ended_by = json.at("ended_by");
  result.model_step = json.at("model_step");
  for (const auto& [name, value] : json.at("evaluation").items())
    if (value.is_number()) result.evaluation[name] = value;
  result.peak_memory_bytes = json.at("peak_memory_bytes");
  return result;
}

// Runs `read`; a missing key or a wrong type in our own files is a damaged file.
template <class Read>
auto read_fields(const std::string& path, const Read& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::CorruptFile, "[train] {}: {}", path, error.what());
  }
}

void fill_model(model::LoadedModel& loaded, const std::string& folder) {
  model::fill_from_named_tensors(*loaded.model, checkpoint::load_folder(folder), folder);
}

}  // namespace

Identity make_identity(const model::Model& model, const Config& config, const Job& job) {
  return {normalise(flanmoe::to_json(to_config_node(config))),
          normalise(model::to_hf_config(model.config())), hash_text(job.data_description)};
}

StageFolder::StageFolder(const Job& job, Identity identity)
    : out_(job.out), identity_(std::move(identity)) {
  make_folders(out_);
  recover_folder(model_path());
  recover_folder(checkpoint_path());
  if (job.resumes) return;
  if (is_folder(model_path()))
    fail(ErrorCode::InvalidArgument,
         "[train] {} is there already; give another folder, or --resume to go on from it",
         model_path());
  if (is_folder(checkpoint_path()))
    fail(ErrorCode::InvalidArgument,
         "[train] {} is there already, of a run that was stopped; continue it with --resume, give "
         "another folder, or remove it",
         checkpoint_path());
}

Json StageFolder::identity_json() const {
  return {{"config", identity_.config},
          {"model_config", identity_.model_config},
          {"data_hash", identity_.data_hash}};
}

void StageFolder::check_identity(const Json& saved, const std::string& path) const {
  check_same("train config", saved.at("config"), identity_.config, path);
  check_same("model config", saved.at("model_config"), identity_.model_config, path);
  if (saved.at("data_hash") != identity_.data_hash)
    fail(ErrorCode::InvalidConfig,
         "[train] cannot resume: the data is not what the run began with ({}); restore it, or "
         "train into another folder",
         path);
}

std::optional<Result> StageFolder::load_finished(model::LoadedModel& loaded) const {
  if (!is_folder(model_path())) return std::nullopt;
  const std::string path = out_ + "/result.json";
  const Json saved = load_json(path);
  const Result result = read_fields(path, [&] {
    check_identity(saved, path);
    return parse_result(saved.at("result"));
  });
  fill_model(loaded, model_path());
  return result;
}

std::optional<Progressed> StageFolder::load_checkpoint(model::LoadedModel& loaded,
                                                       Optimizer& optimizer) const {
  if (!is_folder(checkpoint_path())) return std::nullopt;
  const std::string path = checkpoint_path() + "/trainer.json";
  const Json saved = load_json(path);
  const Progressed progressed = read_fields(path, [&] {
    if (saved.at("format") != kFormat)
      fail(ErrorCode::Unsupported, "[train] {} has format {}, expected {}", path,
           saved.at("format").dump(), kFormat);
    check_identity(saved, path);
    if (saved.at("num_threads") != kernels::num_threads())
      log::warn(
          "[train] the run began with {} threads and goes on with {}: its bytes may differ from "
          "those of a run never stopped",
          saved.at("num_threads").dump(), kernels::num_threads());
    const Json& cursor = saved.at("cursor");
    return Progressed{parse_counts(saved.at("counts")),
                      {cursor.at("window"), cursor.at("row")},
                      saved.at("metrics_bytes"),
                      saved.at("window"),
                      saved.at("experts"),
                      saved.at("best_step"),
                      saved.at("extra")};
  });
  fill_model(loaded, checkpoint_path() + "/model");
  optimizer.load_state(checkpoint::load_safetensors(checkpoint_path() + "/optimizer.safetensors"));
  return progressed;
}

void StageFolder::save_checkpoint(const model::LoadedModel& loaded, Optimizer& optimizer,
                                  const Progressed& progressed) const {
  AtomicFolder folder(checkpoint_path());
  model::save_model(folder.path() + "/model", *loaded.model, loaded.tokenizer.get());
  checkpoint::save_safetensors(folder.path() + "/optimizer.safetensors", optimizer.state());
  Json trainer{{"format", kFormat},
               {"counts", train::to_json(progressed.counts)},
               {"cursor", {{"window", progressed.cursor.window}, {"row", progressed.cursor.row}}},
               {"metrics_bytes", progressed.metrics_bytes},
               {"num_threads", kernels::num_threads()}};
  trainer.update(identity_json());
  trainer["window"] = progressed.window;
  trainer["experts"] = progressed.experts;
  trainer["best_step"] = progressed.best_step;
  trainer["extra"] = progressed.extra;
  write_file_atomically(folder.path() + "/trainer.json", trainer.dump(1) + "\n");
  folder.commit();
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(out_ + "/best", ignored))
    if (entry.path() != best_path(progressed.best_step))
      std::filesystem::remove_all(entry.path(), ignored);
}

std::string StageFolder::best_path(int64_t step) const {
  return fmt::format("{}/best/step-{}", out_, step);
}

void StageFolder::save_best(const model::LoadedModel& loaded, int64_t step) const {
  make_folders(out_ + "/best");
  model::save_model(best_path(step), *loaded.model, loaded.tokenizer.get());
}

void StageFolder::load_best(model::LoadedModel& loaded, int64_t step) const {
  fill_model(loaded, best_path(step));
}

void StageFolder::save_finished(const model::LoadedModel& loaded, const Result& result,
                                const std::function<void(const std::string&)>& add) const {
  // model/ last: where it is, the stage is finished and its result is there
  Json document{{"result", to_json(result)}};
  document.update(identity_json());
  write_file_atomically(out_ + "/result.json", document.dump(1) + "\n");
  model::save_model(model_path(), *loaded.model, loaded.tokenizer.get(), checkpoint::kMaxShardBytes,
                    add);
  std::error_code ignored;
  std::filesystem::remove_all(checkpoint_path(), ignored);
  std::filesystem::remove_all(out_ + "/best", ignored);
}

}  // namespace flanmoe::train
