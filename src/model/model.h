// The encoder-decoder put together.
//
// Shape letters: B rows, L encoder length, M decoder length, D model, V vocabulary, N real tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/loss_normalisation.h"
#include "nn/context.h"
#include "nn/delta.h"
#include "nn/parameter.h"

namespace flanmoe::text {
class Tokenizer;
}

namespace flanmoe::peft {
class Adapter;
}

namespace flanmoe::model {

// A batch as tensors, both sides.
struct ModelInput {
  at::Tensor input_ids_BL;  // int64
  nn::TokenLayout encoder;
  at::Tensor
      decoder_input_ids_BM;  // int64: labels shifted right inside each segment, start id first
  at::Tensor labels_BM;      // int64, -1 at padding
  nn::TokenLayout decoder;
};

// What the means of a loss are taken over.
struct BatchSize {
  int64_t num_rows = 0;
  int64_t num_input_tokens = 0, num_target_tokens = 0;  // real ones
  int64_t num_input_segments = 0, num_target_segments = 0;
};
BatchSize measure(const ModelInput& input);

struct LossOptions {
  double z_coefficient = 0.0;    // of the output logits
  double label_smoothing = 0.0;  // ops::CrossEntropyRule
  LossNormalisation normalisation = LossNormalisation::Tokens;
  // Size of the batch that these rows are a part of: losses and gradients are then the part's share
  // of those of the batch, so that they add up to it. None: the rows are the batch.
  //
  // A router's z-loss is a mean over tokens, its load-balance loss over groups: where a group is a
  // sequence these add up to those of the batch too. Where a group is a batch or group_size tokens,
  // a part has groups of its own (which also share out its capacity), and their losses are weighted
  // by tokens.
  std::optional<BatchSize> whole;
};

struct LossOutput {
  at::Tensor
      loss;  // scalar fp32: cross_entropy + sum of coefficient * auxiliary loss; differentiable
  at::Tensor cross_entropy;  // scalar fp32: of the real target tokens, normalised (detached)
  at::Tensor token_loss_BM;  // fp32, 0 at padding (detached)
  int64_t num_target_tokens = 0;
  nn::Auxiliary auxiliary;
};

class Stack;

class Model {
 public:
  // Parameters are initialised as T5 does (normal, factored by width) from `seed`; without one they
  // are left for the caller to fill. Norms, routers and relative biases are at least fp32 whatever
  // `dtype` says.
  explicit Model(const ModelConfig& config, std::optional<uint64_t> seed = 0,
                 at::ScalarType dtype = at::kFloat, const at::Device& device = at::kCPU);
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const ModelConfig& config() const;
  const nn::Parameters& parameters() const;
  at::Device device() const;

  // Where adapters may act.
  nn::Sites sites() const;
  // Hangs an adapter made for these sites onto the model; its name must be new. Returns its number
  // (nn::AdapterRows). Several stay attached side by side; none acts until it is activated or a
  // context asks for it by row.
  int64_t attach(std::shared_ptr<const peft::Adapter> adapter);
  void detach(const std::string& name);
  // Of the adapter of this name. Throws NotFound with the nearest one.
  int64_t adapter_number(const std::string& name) const;
  const peft::Adapter& adapter(int64_t number) const;
  // Virtual tokens that have to stand before every encoder segment of rows that use it
  // (prepend_virtual_tokens); 0 without prompt tuning.
  int64_t num_virtual_tokens(int64_t number) const;
  std::vector<std::string> adapter_names() const;
  // The adapter that every row uses where the context does not say; none: the base alone.
  void activate(std::optional<int64_t> number);
  std::optional<int64_t> active_adapter() const;

  // Final-normed hidden states [B, L, D]. `context` gives dtype, training flag, seed, sinks; its
  // `tokens` is set by the callee.
  at::Tensor encode(const at::Tensor& input_ids_BL, const nn::TokenLayout& layout,
                    nn::Context& context, nn::Auxiliary* auxiliary = nullptr) const;
  // Final-normed hidden states [B, M, D] of the decoder. With context.cache, decoder_input_ids hold
  // only the new tokens, the cache keeps keys and values of earlier ones and of the encoder (then
  // `encoded` is needed in the first call only).
  at::Tensor decode(const at::Tensor& decoder_input_ids_BM, const nn::TokenLayout& layout,
                    const at::Tensor& encoded_BLD, const nn::TokenLayout& encoder_layout,
                    nn::Context& context, nn::Auxiliary* auxiliary = nullptr) const;
  // Output matrix, with the scaling of tied models: [..., D] -> [..., V] in the compute dtype.
  at::Tensor logits(const at::Tensor& hidden, const nn::Context& context) const;
  // Both stacks, output logits [B, M, V].
  at::Tensor forward(const ModelInput& input, nn::Context& context,
                     nn::Auxiliary* auxiliary = nullptr) const;
  // The training loss; logits are computed for real target tokens only.
  LossOutput loss(const ModelInput& input, nn::Context& context,
                  const LossOptions& options = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Names, shapes, dtypes and tags of the parameters that Model(config, ..., dtype) has, without
// their memory (the tensors are on the device `meta`).
nn::Parameters describe_parameters(const ModelConfig& config, at::ScalarType dtype = at::kFloat);

// Puts the ids of `count` virtual tokens before those of one encoder segment: vocab_size, then
// vocab_size + 1 and so on. The model takes their embeddings from the prompt of the row's adapter,
// so that what makes inputs of prompt-tuned models (packing, lengths, positions) sees tokens like
// any other.
void prepend_virtual_tokens(std::vector<int32_t>& token_ids, const ModelConfig& config,
                            int64_t count);

// Decoder inputs from labels: start id, then labels shifted right inside each segment; ids at
// padding are pad_token_id (where padding is counted, the first of a row is the row's last label,
// as in transformers). target_ids [B, M] with padding where segment id is 0. `example_keys` as in
// nn::make_layout().
ModelInput make_input(const at::Tensor& input_ids_BL, const at::Tensor& input_segment_ids_BL,
                      const at::Tensor& target_ids_BM, const at::Tensor& target_segment_ids_BM,
                      const ModelConfig& config, const std::vector<uint64_t>& example_keys = {});

}  // namespace flanmoe::model
