// The feed-forward blocks that a config asks for.
#pragma once

#include "model/config.h"
#include "nn/feed_forward.h"

namespace flanmoe::model {

// A dense block.
inline nn::FeedForwardConfig feed_forward_config(const ModelConfig& config) {
  return {config.d_model, config.d_ff, config.feed_forward == FeedForwardKind::GatedGelu,
          config.dropout_rate};
}

}  // namespace flanmoe::model
