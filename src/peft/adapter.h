// An adapter: the trained parts that go with one frozen base model.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "nn/delta.h"
#include "nn/parameter.h"
#include "peft/config.h"

namespace flanmoe::peft {

class Adapter {
 public:
  // Parameters for `sites` (Model::sites()), initialised from `seed` so that the model computes
  // what its base does; float32 unless the base is float64, on the base's device. `place` is for
  // messages. Throws InvalidConfig as validate() does, and where a pattern matches no site, naming
  // the nearest.
  Adapter(std::string name, const Config& config, const nn::Sites& sites, uint64_t seed,
          const std::string& place = "adapter");

  const std::string& name() const { return name_; }
  const Config& config() const { return config_; }
  // Named SITE.PART: "encoder.block.0.layer.0.SelfAttention.k.lora_A.weight"; tagged as adapter.
  const nn::Parameters& parameters() const { return parameters_; }
  // Whether one of its routers looks at sentence vectors (nn::Context).
  bool wants_sentence_vectors() const;
  // Of its prompt, which have to stand before every encoder segment; 0: it has none.
  int64_t num_virtual_tokens() const;
  // What one component does at one site, in the order of components, then of sites.
  struct Part {
    size_t component = 0;  // index into config().components
    std::string site;
    nn::Parameters parameters;
    std::shared_ptr<const nn::Delta> delta;
    double flops_per_token = 0;
  };
  const std::vector<Part>& parts() const { return parts_; }
  // Multiply-adds times two that it adds to a token of the encoder, or of the decoder.
  double flops_per_token(bool is_decoder) const;

  // Hangs its deltas onto the sites it was made for (those of the same names here), as `number`.
  void attach(const nn::Sites& sites, int64_t number) const;
  static void detach(const nn::Sites& sites, int64_t number);

 private:
  std::string name_;
  Config config_;
  nn::Parameters parameters_;
  std::vector<Part> parts_;
};

}  // namespace flanmoe::peft
