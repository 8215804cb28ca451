#include <memory>

#include "base/json.h"
#include "base/progress.h"
#include "common.h"
#include "model/accounting.h"
#include "model/describe.h"
#include "model/folder.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_inspect(Options options) {
  struct State {
    Common common;
    std::string model;
    int64_t input_length = 0, target_length = 0;
  };
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model, "model folder, or a named size (flan-t5-small)");
  options.option("input-length", state->input_length,
                 "count attention scores for inputs of this length; 0 leaves them out");
  options.option("target-length", state->target_length, "and targets of this length");
  state->common.add_to(options, false);
  options.footer("Example:\n  flanmoe inspect flan-t5-small --json");
  return [state] {
    state->common.apply();
    const std::vector<std::string> sizes = model::size_names();
    const bool is_size = std::find(sizes.begin(), sizes.end(), state->model) != sizes.end();
    model::ModelConfig config;
    int64_t num_parameters = 0;
    if (is_size) {
      config = model::named_size(state->model);
    } else {
      // The weights are read too: a folder that would not load is not inspected in silence.
      const model::LoadedModel loaded = model::load_model(state->model);
      config = loaded.model->config();
      num_parameters = nn::num_elements(loaded.model->parameters());
    }
    const model::ParameterCounts counts = model::count_parameters(config);
    if (!is_size) FLANMOE_ASSERT(num_parameters == counts.total);
    const model::FlopsPerToken flops =
        model::count_flops_per_token(config, state->input_length, state->target_length);
    const double bytes = static_cast<double>(counts.total) * 4;
    if (state->common.is_json) {
      Json json = {
          {"model", state->model},
          {"num_parameters", counts.total},
          {"num_active_parameters", counts.active},
          {"num_trainable_parameters", counts.total},
          {"flops_per_token", {{"encoder", flops.encoder}, {"decoder", flops.decoder}}},
          {"flops_per_token_by_active_parameters", counts.active},
          {"num_experts", config.is_sparse()
                              ? config.moe_of(config.encoder_sparse_layers.empty()).num_experts
                              : 0},
          {"router", config.is_sparse()
                         ? Json(config.encoder_sparse_layers.empty() ? config.decoder_moe.router
                                                                     : config.moe.router)
                         : Json(nullptr)},
          {"num_router_parameters", counts.routers},
          {"num_expert_parameters", counts.experts},
          {"num_embedding_parameters", counts.embedding},
          {"weights_bytes", {{"float32", bytes}, {"bfloat16", bytes / 2}}},
          {"train_bytes", {{"adafactor", bytes * 2}, {"adamw", bytes * 4}}},
          {"config", model::to_hf_config(config)}};
      if (config.is_sparse()) {
        json["decoder_router"] = config.decoder_moe.router;
        json["training_difference"] = model::describe_training_difference(config);
      }
      if (config.is_sparse())
        json["sparse_layers"] = {{"encoder", config.encoder_sparse_layers},
                                 {"decoder", config.decoder_sparse_layers}};
      print_json(json);
      return;
    }
    std::string text = fmt::format(
        "{}: {} encoder-decoder, {}\n", state->model, config.is_sparse() ? "sparse" : "dense",
        config.feed_forward == model::FeedForwardKind::GatedGelu ? "gated GELU" : "ReLU");
    text += fmt::format(
        "  shape            d_model {}, d_ff {}, {} heads x {}, {} + {} layers, vocabulary {}{}\n",
        config.d_model, config.d_ff, config.num_heads, config.d_kv, config.num_layers,
        config.num_decoder_layers, config.vocab_size, config.has_tied_embeddings ? " (tied)" : "");
    if (config.is_sparse())
      text +=
          fmt::format("  experts          {} a sparse layer, {} + {} sparse layers, router {}\n",
                      config.moe.num_experts, config.encoder_sparse_layers.size(),
                      config.decoder_sparse_layers.size(), model::describe_routers(config));
    if (const std::string difference = model::describe_training_difference(config);
        !difference.empty())
      text += fmt::format("  note             {}\n", difference);
    text += fmt::format("  parameters       {} in all, {} active a token\n", counts.total,
                        counts.active);
    text += fmt::format(
        "  FLOPs a token    encoder {}, decoder {} (matmuls, forward); {} by active parameters\n",
        format_count(flops.encoder), format_count(flops.decoder),
        format_count(static_cast<double>(counts.active)));
    text += fmt::format(
        "  weights          {}B fp32, {}B bf16; training with Adafactor about {}B, with AdamW {}B, "
        "activations aside\n",
        format_count(bytes), format_count(bytes / 2), format_count(2 * bytes),
        format_count(4 * bytes));
    print(text);
  };
}

}  // namespace flanmoe::apps
