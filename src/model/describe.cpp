#include "model/describe.h"

#include <fmt/format.h>

#include "moe/router.h"

namespace flanmoe::model {

std::string describe_routers(const ModelConfig& config) {
  if (!config.is_sparse()) return "";
  const std::string &encoder = config.moe.router, &decoder = config.decoder_moe.router;
  if (config.decoder_sparse_layers.empty()) return encoder;
  if (config.encoder_sparse_layers.empty() || encoder == decoder) return decoder;
  return fmt::format("{} in the encoder, {} in the decoder", encoder, decoder);
}

std::string describe_training_difference(const ModelConfig& config) {
  if (config.decoder_sparse_layers.empty()) return "";
  const auto router = moe::make_router(config.decoder_moe);
  if (!router->differs_in_causal_evaluation()) return "";
  return fmt::format(
      "training and decoding differ: in training the decoder's {} looks at later tokens; scoring "
      "and "
      "generation give every token its own {} most probable experts",
      config.decoder_moe.router, router->experts_per_token(false, true));
}

}  // namespace flanmoe::model
