#include "base/registry.h"
#include "model/config.h"

namespace flanmoe::model {
namespace {

// facts.md item 121 for v1.1; v1.0 and mT5 as in the published config.json files.
Registry<ModelConfig> make_sizes() {
  Registry<ModelConfig> sizes("size");
  struct Shape {
    const char* name;
    int64_t d_model, d_ff, num_heads, d_kv, num_layers;
  };
  const auto make = [](const Shape& shape) {
    ModelConfig config;
    config.d_model = shape.d_model;
    config.d_ff = shape.d_ff;
    config.num_heads = shape.num_heads;
    config.d_kv = shape.d_kv;
    config.num_layers = config.num_decoder_layers = shape.num_layers;
    return config;
  };
  for (const Shape& shape :
       {Shape{"small", 512, 1024, 6, 64, 8}, Shape{"base", 768, 2048, 12, 64, 12},
        Shape{"large", 1024, 2816, 16, 64, 24}, Shape{"xl", 2048, 5120, 32, 64, 24},
        Shape{"xxl", 4096, 10240, 64, 64, 24}}) {
    ModelConfig config = make(shape);
    sizes.add(std::string("flan-t5-") + shape.name, config);
    sizes.add(std::string("t5-v1_1-") + shape.name, config);
    config.vocab_size = 250112;
    sizes.add(std::string("mt5-") + shape.name, config);
  }
  for (const Shape& shape :
       {Shape{"small", 512, 2048, 8, 64, 6}, Shape{"base", 768, 3072, 12, 64, 12},
        Shape{"large", 1024, 4096, 16, 64, 24}, Shape{"3b", 1024, 16384, 32, 128, 24},
        Shape{"11b", 1024, 65536, 128, 128, 24}}) {
    ModelConfig config = make(shape);
    config.feed_forward = FeedForwardKind::Relu;
    config.has_tied_embeddings = config.scales_decoder_outputs = true;
    sizes.add(std::string("t5-") + shape.name, config);
  }
  return sizes;
}

const Registry<ModelConfig>& sizes() {
  static const Registry<ModelConfig> registry = make_sizes();
  return registry;
}

}  // namespace

ModelConfig named_size(const std::string& name) {
  return sizes().get(name);
}
std::vector<std::string> size_names() {
  return sizes().names();
}

}  // namespace flanmoe::model
