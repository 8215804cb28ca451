#include <memory>

#include "base/json.h"
#include "base/progress.h"
#include "base/random.h"
#include "common.h"
#include "model/folder.h"
#include "peft/spec.h"
#include "study/data_spec.h"
#include "study/stages/documents.h"
#include "study/stages/load_for_training.h"
#include "study/stages/mixture_draw.h"
#include "study/stages/stage_defaults.h"
#include "study/stages/task_draw.h"
#include "study/stages/validation.h"
#include "train/trained_weights.h"
#include "train/trainer.h"
#include "verbs.h"

namespace flanmoe::apps {

namespace {

struct State {
  Common common;
  std::string model, data, validation, task, objective, stage;
  int64_t num_validation_examples = 200;
  train::Job job;
  std::vector<std::string> adapter_specs;
  peft::Config adapter;
  train::Config config;
  data::MixtureConfig mixture;
  data::ObjectiveConfig pretraining;

  study::StageKind kind() const {
    if (!stage.empty()) return *parse_enum<study::StageKind>(stage);
    return objective.empty() || objective == "tune" ? study::StageKind::Tune
                                                    : study::StageKind::Pretrain;
  }
  bool reads_documents() const {
    return kind() == study::StageKind::Pretrain || kind() == study::StageKind::Adapt;
  }
  uint64_t seed() const { return static_cast<uint64_t>(config.seed); }

  void check() {
    train::validate(config, "train");
    study::check_paths_exist(data, "--data");
    study::check_paths_exist(validation, "--validation-data");
    const bool is_given = !objective.empty() && objective != "tune";
    if (reads_documents() ? objective == "tune" : is_given)
      fail(ErrorCode::InvalidArgument, "[--objective] is {}, which --stage {} does not have",
           objective, to_string(kind()));
    if (!task.empty() && kind() != study::StageKind::Finetune)
      fail(ErrorCode::InvalidArgument, "[--task] is {}, expected with --stage finetune alone",
           task);
    if (config.evaluate_every > 0 && validation.empty() && kind() != study::StageKind::Finetune)
      fail(ErrorCode::InvalidArgument,
           "[--evaluate-every] is {}, but there is nothing to evaluate on: expected "
           "--validation-data",
           config.evaluate_every);
    if (kind() == study::StageKind::Tune) data::check_mixture(data, mixture);
    if (!adapter_specs.empty()) {
      adapter = peft::parse_components(adapter_specs, "--adapter");
      study::check_adapter(model, adapter, "--adapter");
    }
    pretraining.kind = is_given ? *parse_enum<data::ObjectiveKind>(objective)
                       : kind() == study::StageKind::Adapt ? data::ObjectiveKind::PrefixLm
                                                           : data::ObjectiveKind::SpanCorruption;
  }

  study::Draw draw_documents(const std::string& specs, uint64_t draw_seed,
                             const text::Tokenizer& tokenizer) const {
    return study::make_document_draw(
        {.specs = specs,
         .objective = pretraining,
         .limits = {config.batch.input_length, config.batch.target_length},
         .seed = draw_seed},
        tokenizer);
  }

  // The job's data, and what is kept of it for validation.
  void open_data(const model::LoadedModel& loaded) {
    const text::Tokenizer& tokenizer = *loaded.tokenizer;
    const bool is_evaluated = config.evaluate_every > 0;
    std::vector<eval::ValidationExample> examples;
    job.data_description = study::hash_specs(data) + " " +
                           (reads_documents() ? std::string(to_string(pretraining.kind))
                                              : std::string(to_string(kind())));
    if (kind() == study::StageKind::Tune) {
      for (const std::string& path : data::mixture_inputs(data, mixture))
        job.data_description += " " + study::hash_specs(path);
      job.draw = study::make_mixture_draw({data, mixture, seed()}, tokenizer);
    } else if (kind() == study::StageKind::Finetune) {
      const int64_t num_kept = is_evaluated && validation.empty() ? num_validation_examples : 0;
      const study::TaskSplit split = study::open_task(data, task, num_kept, seed());
      job.draw = study::make_task_draw(split, seed(), tokenizer);
      job.data_description += fmt::format(" {} {}", task, num_kept);
      if (num_kept > 0)
        examples = eval::make_validation_examples(
            study::make_validation_suite(split, data, num_kept, seed()), tokenizer,
            {.input_length = config.batch.input_length,
             .target_length = config.batch.target_length,
             .seed = seed()});
    } else {
      job.draw = draw_documents(data, seed(), tokenizer);
    }
    if (!is_evaluated) return;
    if (!validation.empty()) {
      job.data_description += " " + study::hash_specs(validation);
      examples = reads_documents() ? study::take_validation_examples(
                                         draw_documents(validation, mix64(seed()), tokenizer),
                                         config, num_validation_examples)
                                   : study::load_validation_examples(validation, tokenizer, config,
                                                                     num_validation_examples);
    }
    job.evaluate = study::make_evaluation(*loaded.model, std::move(examples), config);
  }
};

}  // namespace

Verb add_train(Options options) {
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model, "model folder, or an adapter to train on");
  options.option("data", state->data,
                 "mixture files, examples (files or folders), builtin:train, builtin:easy, "
                 "builtin:TASK (tune, finetune); documents or builtin:corpus, builtin:easy-corpus "
                 "(pretrain, adapt); separated by commas",
                 true);
  options.choice(
      "stage", enum_names<study::StageKind>(), "tune",
      [state](const std::string& text) { state->stage = text; },
      "tune: instruction examples; finetune: one task; pretrain: documents; adapt: prefix-lm on "
      "documents. Named, it brings the learning rate, batch size and dropout of its papers "
      "(docs/stages.md) where they are not given");
  options.repeated("adapter", state->adapter_specs,
                   "KIND[,key=value...]: train an adapter in place of the model, whose own weights "
                   "stay as they are; given several times, its components. Brings the learning "
                   "rate, dropout and loss of its paper, as --stage does");
  options.option("task", state->task, "finetune: the task to take where the data has several");
  options.option("validation-data", state->validation,
                 "what --evaluate-every evaluates: suites (builtin:seen, builtin:TASK, files or "
                 "folders) or documents; finetune keeps some of its task where none is given");
  options.option("num-validation-examples", state->num_validation_examples,
                 "examples of it, a task: the same ones every time");
  options.option("out", state->job.out, "folder to write", true);
  options.flag("resume", state->job.resumes, "continue what was interrupted");
  options.choice(
      "objective", {"tune", "span-corruption", "ul2", "prefix-lm"}, "",
      [state](const std::string& text) { state->objective = text; },
      "on documents: span-corruption, ul2 (the seven denoisers of UL2), prefix-lm (T5's "
      "language-model adaptation); without --stage, any of them pretrains");
  options.after_parsing([state] {
    const bool has_adapter = !state->adapter_specs.empty();
    if (!state->stage.empty() || has_adapter)
      state->config = study::make_train_defaults(state->kind(), has_adapter);
  });
  options.fields(state->config, {{"batch", ""}}, {{"optimizer-name", "optimizer"}});
  options.fields(state->mixture, {}, {}, "mixture");
  options.choice(
      "on-error", enum_names<data::OnError>(), "stop",
      [state](const std::string& text) {
        state->mixture.on_error = *parse_enum<data::OnError>(text);
      },
      "stop at a bad line of data, or skip it, count it and name it");
  options.fields(state->pretraining.span_corruption);
  options.fields(state->pretraining.prefix_lm, {}, {}, "prefix-lm");
  state->common.add_machine_to(options);
  options.footer(
      "Example:\n  flanmoe train flan-t5-small --data train.jsonl --out tuned --steps 500 "
      "--learning-rate 5e-4 --precision bfloat16\n  flanmoe train moe --data train.jsonl --out "
      "tuned "
      "--frozen gate,embedding\n  flanmoe train flan-t5-small --data train.jsonl --out adapted "
      "--adapter mov,num_experts=10 --precision bfloat16");
  return [state] {
    state->common.apply();
    state->check();
    const model::LoadedModel loaded = study::load_for_training(
        state->model, state->adapter, state->config, state->common.torch_device(), "--adapter");
    state->job.label = "train";
    state->open_data(loaded);
    const train::Result result = train::train(loaded, state->config, state->job);
    const std::string model_folder = train::find_trained_folder(state->job.out);
    if (state->common.is_json)
      print_json({{"model", model_folder},
                  {"steps", result.steps},
                  {"ended_by", result.ended_by},
                  {"model_step", result.model_step},
                  {"evaluation", result.evaluation},
                  {"num_skipped_steps", result.num_skipped_steps},
                  {"final_loss", result.final_loss},
                  {"num_trained_parameters", result.num_trained_parameters},
                  {"train_flops", result.train_flops},
                  {"num_examples", result.num_examples},
                  {"num_input_tokens", result.num_input_tokens},
                  {"num_target_tokens", result.num_target_tokens},
                  {"wall_s", result.wall_s},
                  {"peak_memory_bytes", result.peak_memory_bytes}});
    else
      print(fmt::format("{}: {} steps, loss {:.4f}, {} training FLOPs, {}, peak memory {}B\n",
                        model_folder, result.steps, result.final_loss,
                        format_count(result.train_flops), format_duration(result.wall_s),
                        format_count(static_cast<double>(result.peak_memory_bytes))));
  };
}

}  // namespace flanmoe::apps
