#include "study/record.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace flanmoe::study {

TrainingFacts& TrainingFacts::operator+=(const TrainingFacts& later) {
  steps += later.steps;
  num_examples += later.num_examples;
  num_input_tokens += later.num_input_tokens;
  num_target_tokens += later.num_target_tokens;
  train_flops += later.train_flops;
  final_loss = later.final_loss;
  num_trained_parameters = later.num_trained_parameters;
  return *this;
}

Json to_json(const ModelFacts& facts) {
  return {
      {"num_parameters", facts.num_parameters},
      {"num_active_parameters", facts.num_active_parameters},
      {"num_experts", facts.num_experts},
      {"router", facts.router},
      {"training_difference", facts.training_difference},
      {"flops_per_token",
       {{"encoder", facts.encoder_flops_per_token}, {"decoder", facts.decoder_flops_per_token}}}};
}

Json to_json(const TrainingFacts& facts) {
  return {{"steps", facts.steps},
          {"num_examples", facts.num_examples},
          {"num_input_tokens", facts.num_input_tokens},
          {"num_target_tokens", facts.num_target_tokens},
          {"train_flops", facts.train_flops},
          {"final_loss", facts.final_loss},
          {"num_trained_parameters", facts.num_trained_parameters}};
}

Json to_json(const StageRecord& record) {
  Json json = {{"name", record.name},
               {"kind", record.kind},
               {"arm", record.arm},
               {"key", record.key},
               {"is_complete", record.is_complete},
               {"num_resumes", record.num_resumes},
               {"num_threads", record.num_threads},
               {"wall_s", record.wall_s}};
  if (!record.replicate.empty()) json["replicate"] = record.replicate;
  json["inputs"] = Json::array();
  for (const auto& input : record.inputs)
    json["inputs"].push_back(
        {{"name", input.name}, {"stage", input.stage}, {"path", input.path}, {"key", input.key}});
  json["outputs"] = Json::array();
  for (const auto& output : record.outputs)
    json["outputs"].push_back({{"path", output.path}, {"num_bytes", output.num_bytes}});
  if (record.model) json["model"] = to_json(*record.model);
  if (record.training) json["training"] = to_json(*record.training);
  json["suites"] = Json::array();
  for (const auto& suite : record.suites)
    json["suites"].push_back({{"spec", suite.spec},
                              {"title", suite.title},
                              {"path", suite.path},
                              {"easy_tasks", suite.easy_tasks}});
  return json;
}

namespace {

ModelFacts parse_model(const Json& json) {
  const Json& flops = json.at("flops_per_token");
  return {.num_parameters = json.at("num_parameters"),
          .num_active_parameters = json.at("num_active_parameters"),
          .num_experts = json.at("num_experts"),
          .router = json.at("router"),
          .training_difference = json.value("training_difference", ""),
          .encoder_flops_per_token = flops.at("encoder"),
          .decoder_flops_per_token = flops.at("decoder")};
}

TrainingFacts parse_training(const Json& json) {
  const Json& loss = json.at("final_loss");
  return {.steps = json.at("steps"),
          .num_examples = json.at("num_examples"),
          .num_input_tokens = json.at("num_input_tokens"),
          .num_target_tokens = json.at("num_target_tokens"),
          .train_flops = json.at("train_flops"),
          .final_loss = loss.is_number() ? loss.get<double>() : 0,
          .num_trained_parameters = json.value("num_trained_parameters", int64_t{0})};
}

StageRecord parse_fields(const Json& json) {
  StageRecord record;
  json.at("name").get_to(record.name);
  json.at("kind").get_to(record.kind);
  json.at("arm").get_to(record.arm);
  json.at("key").get_to(record.key);
  record.replicate = json.value("replicate", "");
  json.at("is_complete").get_to(record.is_complete);
  json.at("num_resumes").get_to(record.num_resumes);
  json.at("num_threads").get_to(record.num_threads);
  json.at("wall_s").get_to(record.wall_s);
  for (const auto& input : json.at("inputs"))
    record.inputs.push_back(
        {input.at("name"), input.at("stage"), input.at("path"), input.at("key")});
  for (const auto& output : json.at("outputs"))
    record.outputs.push_back({output.at("path"), output.at("num_bytes")});
  if (json.contains("model")) record.model = parse_model(json["model"]);
  if (json.contains("training")) record.training = parse_training(json["training"]);
  for (const auto& suite : json.at("suites"))
    record.suites.push_back({suite.at("spec"), suite.at("title"), suite.at("path"),
                             suite.at("easy_tasks").get<std::vector<std::string>>()});
  return record;
}

}  // namespace

StageRecord parse_record(const Json& json, const std::string& where) {
  return read_fields("[study] " + where + ": not the record of a stage",
                     [&] { return parse_fields(json); });
}

std::string stage_folder(const std::string& run_folder, const std::string& name) {
  return run_folder + "/stages/" + name;
}

void save_record(const std::string& run_folder, const StageRecord& record) {
  const std::string folder = stage_folder(run_folder, record.name);
  make_folders(folder);
  write_file_atomically(folder + "/stage.json", to_json(record).dump(2) + "\n");
}

std::optional<StageRecord> load_record(const std::string& run_folder, const std::string& name) {
  const std::string path = stage_folder(run_folder, name) + "/stage.json";
  if (!is_file(path)) return std::nullopt;
  return parse_record(load_json(path), path);
}

int64_t count_bytes(const std::string& path) {
  std::error_code error;
  if (is_file(path)) return static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (!is_folder(path)) return -1;
  int64_t sum = 0;
  for (const auto& file : list_files(path))
    sum += static_cast<int64_t>(std::filesystem::file_size(file, error));
  return sum;
}

bool has_all_outputs(const std::string& run_folder, const StageRecord& record) {
  for (const auto& output : record.outputs)
    if (count_bytes(run_folder + "/" + output.path) != output.num_bytes) return false;
  return true;
}

}  // namespace flanmoe::study
