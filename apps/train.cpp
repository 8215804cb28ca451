#include <memory>

#include "base/memory.h"
#include "base/progress.h"
#include "common.h"
#include "model/folder.h"
#include "study/data_spec.h"
#include "study/stages/documents.h"
#include "study/stages/mixture_draw.h"
#include "train/trainer.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_train(Options options) {
  struct State {
    Common common;
    std::string model, data, objective = "tune";
    train::Job job;
    train::Config config;
    data::MixtureConfig mixture;
    data::ObjectiveConfig pretraining;
  };
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model, "model folder");
  options.option("data", state->data,
                 "mixture files, examples (files or folders), builtin:train, builtin:easy, "
                 "builtin:TASK (tune); documents or builtin:corpus, builtin:easy-corpus (the other "
                 "objectives); separated by commas",
                 true);
  options.option("out", state->job.out, "folder to write", true);
  options.flag("resume", state->job.resumes, "continue what was interrupted");
  options.choice(
      "objective", {"tune", "span-corruption", "ul2", "prefix-lm"}, state->objective,
      [state](const std::string& text) { state->objective = text; },
      "tune: instruction examples; pretraining on documents: span-corruption, ul2 (the seven "
      "denoisers of UL2), prefix-lm (T5's language-model adaptation)");
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
  options.choice(
      "device", {"cpu", "cuda"}, "cpu",
      [state](const std::string& text) { state->common.device = text; }, "where to compute");
  options.option("threads", state->common.threads, "compute threads; 0 takes the physical cores");
  options.flag("json", state->common.is_json,
               "one JSON document on stdout, everything else on stderr");
  options.footer(
      "Example:\n  flanmoe train flan-t5-small --data train.jsonl --out tuned --steps 500 "
      "--learning-rate 5e-4 --precision bfloat16\n  flanmoe train moe --data train.jsonl --out "
      "tuned "
      "--frozen gate,embedding");
  return [state] {
    state->common.apply();
    study::check_paths_exist(state->data, "--data");
    if (state->objective == "tune") data::check_mixture(state->data, state->mixture);
    model::LoadedModel loaded =
        model::load_model_with_tokenizer(state->model, at::kFloat, state->common.torch_device());
    const uint64_t seed = static_cast<uint64_t>(state->config.seed);
    state->job.label = "train";
    state->job.data_description = study::hash_specs(state->data) + " " + state->objective;
    if (state->objective == "tune") {
      for (const std::string& path : data::mixture_inputs(state->data, state->mixture))
        state->job.data_description += " " + study::hash_specs(path);
      state->job.draw =
          study::make_mixture_draw({state->data, state->mixture, seed}, *loaded.tokenizer);
    } else {
      state->pretraining.kind = *parse_enum<data::ObjectiveKind>(state->objective);
      const data::BatchConfig& batch = state->config.batch;
      state->job.draw =
          study::make_document_draw({.specs = state->data,
                                     .objective = state->pretraining,
                                     .limits = {batch.input_length, batch.target_length},
                                     .seed = seed},
                                    *loaded.tokenizer);
    }
    const train::Result result = train::train(loaded, state->config, state->job);
    const std::string model_folder = state->job.out + "/model";
    if (state->common.is_json)
      print_json({{"model", model_folder},
                  {"steps", result.steps},
                  {"final_loss", result.final_loss},
                  {"num_trained_parameters", result.num_trained_parameters},
                  {"train_flops", result.train_flops},
                  {"num_examples", result.num_examples},
                  {"num_input_tokens", result.num_input_tokens},
                  {"num_target_tokens", result.num_target_tokens},
                  {"wall_s", result.wall_s},
                  {"peak_memory_bytes", peak_memory_bytes()}});
    else
      print(fmt::format("{}: {} steps, loss {:.4f}, {} training FLOPs, {}\n", model_folder,
                        result.steps, result.final_loss, format_count(result.train_flops),
                        format_duration(result.wall_s)));
  };
}

}  // namespace flanmoe::apps
