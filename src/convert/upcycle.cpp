#include "convert/upcycle.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "model/initialisation.h"

namespace flanmoe::convert {
namespace {

std::vector<int64_t> pick_layers(int64_t num_layers, int64_t every) {
  std::vector<int64_t> layers;
  for (int64_t i = every - 1; i < num_layers; i += every) layers.push_back(i);
  return layers;
}

// "...layer.1.mlp.experts.wi_0.weight" -> "...layer.1.DenseReluDense.wi_0.weight".
std::string dense_name(std::string name) {
  const std::string from = ".mlp.experts.";
  return name.replace(name.find(from), from.size(), ".DenseReluDense.");
}

// The block behind a sparse one adds nothing at first: its output matrix is 0.
void start_extra_feed_forward(const nn::Parameter& parameter, const UpcycleConfig& config) {
  const at::Tensor target = parameter.tensor.detach();
  if (parameter.tags.is_norm)
    target.fill_(1);
  else if (parameter.name.ends_with(".wo.weight"))
    target.zero_();
  else
    model::fill_normal(target, 1 / std::sqrt(static_cast<double>(target.size(1))),
                       static_cast<uint64_t>(config.seed), parameter.name);
}

}  // namespace

model::ModelConfig upcycled_config(const model::ModelConfig& dense, const UpcycleConfig& config) {
  if (dense.is_sparse())
    fail(ErrorCode::InvalidArgument, "[upcycle] the model is sparse already ({} experts a layer)",
         dense.moe.num_experts);
  if (config.every < 1)
    fail(ErrorCode::InvalidArgument, "[upcycle.every] expected at least 1, found {}", config.every);
  model::ModelConfig sparse = dense;
  sparse.moe = config.moe;
  sparse.decoder_moe = config.decoder_moe;
  if (config.is_encoder_sparse)
    sparse.encoder_sparse_layers = pick_layers(dense.num_layers, config.every);
  if (config.is_decoder_sparse)
    sparse.decoder_sparse_layers = pick_layers(dense.num_decoder_layers, config.every);
  if (!sparse.is_sparse())
    fail(ErrorCode::InvalidArgument,
         "[upcycle.every] every {} layers of {} + {}: no layer would become sparse", config.every,
         dense.num_layers, dense.num_decoder_layers);
  model::validate(sparse, "upcycle");
  return sparse;
}

model::Model upcycle(const model::Model& dense, const UpcycleConfig& config) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> source;
  for (const nn::Parameter& parameter : dense.parameters())
    source[parameter.name] = parameter.tensor;

  model::Model sparse(upcycled_config(dense.config(), config), std::nullopt,
                      source.at("shared.weight").scalar_type(), dense.device());
  for (const nn::Parameter& parameter : sparse.parameters()) {
    const at::Tensor target = parameter.tensor.detach();
    if (parameter.tags.is_router)
      model::fill_normal(target, config.router_init_std, static_cast<uint64_t>(config.seed),
                         parameter.name);
    else if (parameter.tags.is_expert())
      target.copy_(source.at(dense_name(parameter.name))
                       .unsqueeze(parameter.tags.expert_axis)
                       .expand_as(target));
    else if (!source.count(parameter.name))
      start_extra_feed_forward(parameter, config);
    else
      target.copy_(source.at(parameter.name));
  }
  return sparse;
}

}  // namespace flanmoe::convert
