#include "train/stage_folder.h"

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "train/optimizers/kernels.h"

namespace flanmoe::train {
namespace {

constexpr int64_t kFormat = 3;  // of trainer.json
constexpr const char* kCheckpoints = "checkpoints";
constexpr const char* kBestModels = "best";

[[noreturn]] void fail_on_difference(const char* what, const std::string& key, const Json& saved,
                                     const Json& given, const std::string& where,
                                     const std::string& remark = {}) {
  fail(
      ErrorCode::InvalidConfig,
      "[train] cannot resume: {} {} is {}, the run began with {} ({}){}; restore it, or train into "
      "another folder",
      what, key, value_text(given, key), value_text(saved, key), where, remark);
}

void check_same(const char* what, const Json& saved, const Json& given, const std::string& where) {
  const std::string key = find_difference(saved, given);
  if (!key.empty()) fail_on_difference(what, key, saved, given, where);
}

constexpr const char* kBudgetKeys[] = {"steps", "tokens", "train_flops", "wall_s"};

// Whether the learning rate of a step depends on when the run is to end.
bool has_schedule_over_budget(const Json& config) {
  const std::string schedule = config.at("schedule");
  return (schedule == to_string(ScheduleKind::Linear) ||
          schedule == to_string(ScheduleKind::Cosine)) &&
         config.at("decay_steps") == 0;
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

// How an identity without an adapter, or with one, is called.
const char* name_of_kind(const Json& adapter) {
  return adapter.is_null() ? "the whole model" : "an adapter";
}

}  // namespace

Identity make_identity(const model::Model& model, const TrainedWeights& weights,
                       const Config& config, const Job& job) {
  return {normalise(flanmoe::to_json(to_config_node(config))),
          normalise(model::to_hf_config(model.config())), hash_text(job.data_description),
          normalise(weights.adapter_identity())};
}

StageFolder::StageFolder(const Job& job, const TrainedWeights& weights, Identity identity)
    : out_(job.out),
      weights_(weights),
      identity_(std::move(identity)),
      retention_{identity_.config.at("keep_last"), identity_.config.at("keep_every")},
      checkpoints_(out_ + "/" + kCheckpoints),
      best_models_(out_ + "/" + kBestModels) {
  make_folders(out_);
  if (const std::string found = find_trained_folder(out_);
      !found.empty() && found != finished_path())
    fail(ErrorCode::InvalidArgument,
         "[train] {} is there already, of a run that trained {}, not {}; give another folder",
         found, name_of_kind(identity_.adapter.is_null() ? Json::object() : Json()),
         name_of_kind(identity_.adapter));
  checkpoints_.clean_up();
  best_models_.clean_up();
  if (is_folder(out_ + "/checkpoint"))
    fail(ErrorCode::InvalidArgument,
         "[train] {}/checkpoint is of a version of flanmoe before checkpoints/step-...; this one "
         "cannot continue it: remove it, or give another folder",
         out_);
  if (job.resumes) return;
  if (is_folder(finished_path()))
    fail(ErrorCode::InvalidArgument,
         "[train] {} is there already; give another folder, or --resume to go on from it",
         finished_path());
  if (!checkpoints_.steps().empty())
    fail(ErrorCode::InvalidArgument,
         "[train] {} is there already, of a run that was stopped; continue it with --resume, give "
         "another folder, or remove it",
         checkpoints_.folder());
}

Json StageFolder::identity_json() const {
  Json json{{"config", identity_.config},
            {"model_config", identity_.model_config},
            {"data_hash", identity_.data_hash}};
  if (!identity_.adapter.is_null()) json["adapter"] = identity_.adapter;
  return json;
}

void StageFolder::check_identity(const Json& saved, const std::string& path, Budget budget) const {
  const auto without = [](Json config, const auto& keys) {
    for (const char* key : keys) config.erase(key);
    return config;
  };
  const char* const what = "train config";
  const Json began = without(saved.at("config"), kKeysBesideTheResult),
             given = without(identity_.config, kKeysBesideTheResult);
  check_same(what, without(began, kBudgetKeys), without(given, kBudgetKeys), path);
  if (const std::string key = find_difference(began, given); !key.empty()) {
    if (budget == Budget::Same)
      fail_on_difference(what, key, began, given, path,
                         ", and is finished: a stage that starts from its model trains it further");
    if (has_schedule_over_budget(given))
      fail_on_difference(
          what, key, began, given, path,
          ", and the learning rate decays until the budget is spent (decay_steps 0)");
  }
  check_same("model config", saved.at("model_config"), identity_.model_config, path);
  check_adapter(saved.value("adapter", Json()), path);
  if (saved.at("data_hash") != identity_.data_hash)
    fail(ErrorCode::InvalidConfig,
         "[train] cannot resume: the data is not what the run began with ({}); restore it, or "
         "train into another folder",
         path);
}

void StageFolder::check_adapter(const Json& began, const std::string& path) const {
  const Json& given = identity_.adapter;
  if (began.is_null() != given.is_null())
    fail(ErrorCode::InvalidConfig,
         "[train] cannot resume: {} is to be trained, the run began with {} ({}); restore it, or "
         "train into another folder",
         name_of_kind(given), name_of_kind(began), path);
  if (given.is_null()) return;
  check_same("adapter config", began.at("config"), given.at("config"), path);
  if (began.at("base_hash") != given.at("base_hash"))
    fail(ErrorCode::InvalidConfig,
         "[train] cannot resume: the adapter's base model has other weights than the run began "
         "with ({}); restore it, or train into another folder",
         path);
}

void StageFolder::check_not_spent(const Counts& counts, const std::string& path) const {
  const auto check = [&](const char* key, double spent) {
    const double budget = identity_.config.at(key);
    if (budget > 0 && spent >= budget)
      fail(ErrorCode::InvalidConfig,
           "[train] cannot resume: train config {} is {}, the run has made {} already ({}); give "
           "more, or train into another folder",
           key, value_text(identity_.config, key), spent, path);
  };
  check("steps", static_cast<double>(counts.step));
  check("tokens", static_cast<double>(counts.num_input_tokens + counts.num_target_tokens));
  check("train_flops", counts.train_flops);
}

std::optional<Result> StageFolder::load_finished() const {
  if (!is_folder(finished_path())) return std::nullopt;
  const std::string path = out_ + "/result.json";
  const Json saved = load_json(path);
  const Result result = read_fields("[train] " + path, [&] {
    check_identity(saved, path, Budget::Same);
    return parse_result(saved.at("result"));
  });
  weights_.fill(finished_path());
  remove_unfinished();
  return result;
}

void StageFolder::check_checkpoint(int64_t step) const {
  checkpoints_.check(step);
  const std::string path = checkpoints_.path(step) + "/" + kTrainerFile;
  const Json saved = load_json(path);
  read_fields("[train] " + path, [&] {
    if (saved.at("format") != kFormat)
      fail(ErrorCode::Unsupported, "[train] {} has format {}, expected {}", path,
           saved.at("format").dump(), kFormat);
    const int64_t metrics_bytes = saved.at("metrics_bytes");
    std::error_code error;
    const auto size = std::filesystem::file_size(metrics_path(), error);
    if (error || static_cast<int64_t>(size) < metrics_bytes)
      fail(ErrorCode::CorruptFile, "'{}' has {} bytes where {} were written before", metrics_path(),
           error ? 0 : size, metrics_bytes);
    const int64_t best_step = saved.at("best_step");
    if (best_step > 0) best_models_.check(best_step);
    return 0;
  });
}

// 0 where there is none.
int64_t StageFolder::find_whole_checkpoint() const {
  const std::vector<int64_t> steps = checkpoints_.steps();
  std::string damages;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      check_checkpoint(*step);
      return *step;
    } catch (const Error& error) {
      const bool is_damage = error.code() == ErrorCode::CorruptFile ||
                             error.code() == ErrorCode::NotFound || error.code() == ErrorCode::Io;
      if (!is_damage) throw;
      log::warn("[train] the checkpoint of step {} is damaged: {}", *step, error.what());
      damages += fmt::format("\n  step {}: {}", *step, error.what());
    }
  }
  if (!damages.empty())
    fail(ErrorCode::CorruptFile,
         "[train] cannot resume: every checkpoint in {} is damaged; bring one back from a copy, or "
         "remove the folder to begin at step 0{}",
         checkpoints_.folder(), damages);
  return 0;
}

std::optional<Progressed> StageFolder::load_checkpoint(Optimizer& optimizer) const {
  const int64_t step = find_whole_checkpoint();
  if (step == 0) return std::nullopt;
  const std::string folder = checkpoints_.path(step), path = folder + "/" + kTrainerFile;
  const Json saved = load_json(path);
  const Progressed progressed = read_fields("[train] " + path, [&] {
    check_identity(saved, path, Budget::CanDiffer);
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
  check_not_spent(progressed.counts, path);
  weights_.fill(folder + "/" + weights_.folder_name());
  optimizer.load_state(checkpoint::load_safetensors(folder + "/" + model::kOptimizerFile));
  return progressed;
}

std::map<std::string, double> StageFolder::load_best(int64_t step) const {
  best_models_.check(step);
  const std::string folder = best_models_.path(step), path = folder + "/" + kBestFile;
  const Json saved = load_json(path);
  auto values = read_fields(
      "[train] " + path, [&] { return saved.at("values").get<std::map<std::string, double>>(); });
  weights_.fill(folder);
  return values;
}

std::string StageFolder::to_trainer_json(const Progressed& progressed) const {
  Json trainer{{"format", kFormat},
               {"counts", train::to_json(progressed.counts)},
               {"cursor", {{"window", progressed.cursor.window}, {"row", progressed.cursor.row}}},
               {"metrics_bytes", progressed.metrics_bytes},
               {"num_threads", kernels::num_threads()},
               {"best_step", progressed.best_step}};
  trainer.update(identity_json());
  trainer["window"] = progressed.window;
  trainer["experts"] = progressed.experts;
  trainer["extra"] = progressed.extra;
  return trainer.dump(1) + "\n";
}

void StageFolder::keep_best_models(int64_t best_step) const {
  if (best_models_.steps().empty()) return;
  std::set<int64_t> kept;
  if (best_step > 0) kept.insert(best_step);
  for (const int64_t step : checkpoints_.steps()) {
    const std::string path = checkpoints_.path(step) + "/" + kTrainerFile;
    kept.insert(read_fields("[train] " + path,
                            [&] { return load_json(path).at("best_step").get<int64_t>(); }));
  }
  best_models_.keep(kept);
}

void StageFolder::remove_unfinished() const {
  checkpoints_.keep(retain_finished(checkpoints_.steps(), retention_));
  best_models_.keep({});
}

void StageFolder::save_finished(const Result& result,
                                const std::function<void(const std::string&)>& add) const {
  // the weights last: where it is, the stage is finished and its result is there
  Json document{{"result", to_json(result)}};
  document.update(identity_json());
  write_file_atomically(out_ + "/result.json", document.dump(1) + "\n");
  AtomicFolder aside(finished_path());
  weights_.write(aside.path());
  if (add) add(aside.path());
  aside.commit();
  remove_unfinished();
}

bool has_training(const std::string& out) {
  return !find_trained_folder(out).empty() ||
         !CheckpointStore(out + "/" + kCheckpoints).steps().empty();
}

}  // namespace flanmoe::train
