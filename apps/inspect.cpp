#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "common.h"
#include "model/accounting.h"
#include "model/describe.h"
#include "model/folder.h"
#include "peft/adapter.h"
#include "peft/spec.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_inspect(Options options) {
  struct State {
    Common common;
    std::string model, base;
    std::vector<std::string> components;
    int64_t input_length = 0, target_length = 0;
  };
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model,
                     "model folder, an adapter's, a config.json, or a named size (flan-t5-small)");
  options.option("base", state->base, "of an adapter's folder: this model, not the one it names");
  options.repeated("adapter", state->components,
                   "KIND[,key=value...]: count a new adapter's parameters (the weights are not "
                   "read); once for each component");
  options.option("input-length", state->input_length,
                 "count attention scores for inputs of this length; 0 leaves them out");
  options.option("target-length", state->target_length, "and targets of this length");
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  flanmoe inspect flan-t5-small --json\n"
      "  flanmoe inspect flan-t5-xl --adapter mov,num_experts=10\n"
      "  flanmoe inspect flan-t5-base --adapter 'mov,sites=k|v' --adapter "
      "molora,sites=wi_0,rank=4");
  return [state] {
    state->common.apply();
    const std::vector<std::string> sizes = model::size_names();
    const bool is_size = std::find(sizes.begin(), sizes.end(), state->model) != sizes.end();
    model::ModelConfig config;
    int64_t num_parameters = 0;
    const bool is_config = !is_size && is_file(state->model);
    std::shared_ptr<const peft::Adapter> adapter;
    if (is_size) {
      config = model::named_size(state->model);
    } else if (is_config) {
      config = model::parse_hf_config(load_json(state->model), state->model);
    } else if (!state->components.empty()) {
      config = model::load_model_config(state->model);
    } else {
      // The weights are read too: a folder that would not load is not inspected in silence.
      model::LoadOptions load;
      load.base = state->base;
      const model::LoadedModel loaded = model::load_model(state->model, at::kFloat, at::kCPU, load);
      config = loaded.model->config();
      num_parameters = nn::num_elements(loaded.model->parameters());
      if (const auto active = loaded.model->active_adapter())
        adapter = std::make_shared<peft::Adapter>(loaded.model->adapter(*active));
    }
    if (!state->components.empty()) {
      const model::Model shape(config, std::nullopt, at::kFloat, at::kMeta);
      adapter = std::make_shared<peft::Adapter>("new", peft::parse_components(state->components),
                                                shape.sites(), 0, "--adapter");
    }
    const model::ParameterCounts counts = model::count_parameters(config);
    if (num_parameters > 0) FLANMOE_ASSERT(num_parameters == counts.total);
    model::FlopsPerToken flops =
        model::count_flops_per_token(config, state->input_length, state->target_length);
    if (adapter) {
      flops.encoder += adapter->flops_per_token(false);
      flops.decoder += adapter->flops_per_token(true);
    }
    const int64_t num_trainable = adapter ? nn::num_elements(adapter->parameters()) : counts.total;
    const double share = static_cast<double>(num_trainable) / static_cast<double>(counts.total);
    const double bytes = static_cast<double>(counts.total) * 4,
                 trainable_bytes = static_cast<double>(num_trainable) * 4,
                 // gradients and state beside the weights
        adapter_bytes = adapter ? trainable_bytes : 0;
    if (state->common.is_json) {
      Json json = {
          {"model", state->model},
          {"num_parameters", counts.total},
          {"num_active_parameters", counts.active},
          {"num_trainable_parameters", num_trainable},
          {"share", share},
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
          {"train_bytes",
           {{"adafactor", bytes + adapter_bytes + trainable_bytes},
            {"adamw", bytes + adapter_bytes + trainable_bytes * 3}}},
          {"config", model::to_hf_config(config)}};
      if (adapter)
        json["adapter"] = {{"components", to_json(to_config_node(adapter->config()))["components"]},
                           {"num_parameters", num_trainable},
                           {"bytes", adapter_bytes}};
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
    if (adapter)
      text +=
          fmt::format("  adapter          {}: {} trainable parameters, {:.3f} % of the base's\n",
                      peft::to_spec(adapter->config()), num_trainable, 100 * share);
    text += fmt::format(
        "  FLOPs a token    encoder {}, decoder {} (matmuls, forward); {} by active parameters\n",
        format_count(flops.encoder), format_count(flops.decoder),
        format_count(static_cast<double>(counts.active)));
    text += fmt::format(
        "  weights          {}B fp32, {}B bf16; training with Adafactor about {}B, with AdamW {}B, "
        "activations aside\n",
        format_count(bytes), format_count(bytes / 2),
        format_count(bytes + adapter_bytes + trainable_bytes),
        format_count(bytes + adapter_bytes + 3 * trainable_bytes));
    print(text);
  };
}

}  // namespace flanmoe::apps
