#include "model/model.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/nearest.h"
#include "model/blocks.h"
#include "model/initialisation.h"
#include "moe/feed_forward.h"
#include "moe/losses.h"
#include "nn/stack.h"
#include "ops/transformer.h"
#include "peft/adapter.h"

namespace flanmoe::model {
namespace {

nn::StackConfig stack_config(const ModelConfig& config, bool is_decoder) {
  nn::StackConfig stack;
  stack.name = is_decoder ? "decoder" : "encoder";
  stack.is_decoder = is_decoder;
  stack.num_layers = is_decoder ? config.num_decoder_layers : config.num_layers;
  stack.attention = {config.d_model, config.num_heads, config.d_kv, config.dropout_rate};
  stack.num_buckets = config.relative_attention_num_buckets;
  stack.max_distance = config.relative_attention_max_distance;
  stack.dropout_rate = config.dropout_rate;
  stack.layer_norm_epsilon = config.layer_norm_epsilon;
  return stack;
}

bool is_sparse_layer(const ModelConfig& config, bool is_decoder, int64_t layer) {
  const auto& layers = is_decoder ? config.decoder_sparse_layers : config.encoder_sparse_layers;
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

nn::Stack make_stack(const ModelConfig& config, bool is_decoder, const at::TensorOptions& options) {
  const nn::FeedForwardConfig block = feed_forward_config(config);
  const moe::Config& moe = config.moe_of(is_decoder);
  const auto make = [&](int64_t layer,
                        const std::string& prefix) -> std::unique_ptr<nn::FeedForward> {
    if (is_sparse_layer(config, is_decoder, layer))
      return std::make_unique<moe::FeedForward>(block, moe, prefix, is_decoder, options);
    return std::make_unique<nn::DenseFeedForward>(block, prefix, options);
  };
  const auto make_extra = [&](int64_t layer,
                              const std::string& prefix) -> std::unique_ptr<nn::FeedForward> {
    if (moe.has_extra_feed_forward && is_sparse_layer(config, is_decoder, layer))
      return std::make_unique<nn::DenseFeedForward>(block, prefix, options);
    return nullptr;
  };
  return nn::Stack(stack_config(config, is_decoder), make, options, make_extra);
}

int64_t count_segments(const nn::TokenLayout& layout) {
  const at::Tensor segments = layout.segment_ids_BL.to(at::kCPU).contiguous();
  const int64_t* segment = segments.const_data_ptr<int64_t>();
  int64_t count = 0;
  for (int64_t i = 0; i < segments.numel(); ++i) {
    const bool is_first = i % layout.length == 0 || segment[i] != segment[i - 1];
    count += segment[i] != 0 && is_first ? 1 : 0;
  }
  return count;
}

// What a mean over a part of a batch counts for in the mean over the whole.
double find_share(const nn::AuxiliaryLoss& loss, const ModelConfig& config, const BatchSize& part,
                  const BatchSize& whole) {
  const auto share = [&](int64_t BatchSize::*size) {
    return static_cast<double>(part.*size) / static_cast<double>(whole.*size);
  };
  const bool is_decoder = loss.layer.starts_with("decoder") && !loss.is_of_memory;
  const moe::Config& moe = config.moe_of(is_decoder);
  if (moe.padding == moe::PaddingRule::Counted) return share(&BatchSize::num_rows);
  if (!loss.factors.empty() && moe.group == moe::RoutingGroup::Sequence)
    return share(is_decoder ? &BatchSize::num_target_segments : &BatchSize::num_input_segments);
  return share(is_decoder ? &BatchSize::num_target_tokens : &BatchSize::num_input_tokens);
}

void take_share(nn::Auxiliary& auxiliary, const ModelConfig& config, const BatchSize& part,
                const BatchSize& whole) {
  for (nn::AuxiliaryLoss& loss : auxiliary.losses) {
    const double share = find_share(loss, config, part, whole);
    loss.value = loss.value.mul(share);
    if (!loss.factors.empty()) loss.factors.back() = loss.factors.back().mul(share);  // pooling
  }
}

// 1 / (tokens of its segment) / (segments of the batch) of every real token, in fp32 (fp64).
at::Tensor weigh_sequences(const nn::TokenLayout& layout, int64_t num_segments,
                           const at::TensorOptions& options) {
  const at::Tensor segments = layout.segment_ids_BL.to(at::kCPU).contiguous();
  const int64_t* segment = segments.const_data_ptr<int64_t>();
  std::vector<int64_t> lengths, segment_of_token;
  for (int64_t row = 0; row < layout.num_rows; ++row)
    for (int64_t i = row * layout.length; i < (row + 1) * layout.length; ++i) {
      if (segment[i] == 0) continue;
      if (i == row * layout.length || segment[i] != segment[i - 1]) lengths.push_back(0);
      ++lengths.back();
      segment_of_token.push_back(static_cast<int64_t>(lengths.size()) - 1);
    }
  std::vector<double> weights;
  for (const int64_t s : segment_of_token)
    weights.push_back(1.0 / static_cast<double>(lengths[static_cast<size_t>(s)] * num_segments));
  return at::tensor(weights, options);
}

}  // namespace

struct Model::State {
  State(const ModelConfig& model_config, const at::TensorOptions& options)
      : config(model_config),
        device(options.device()),
        shared(at::empty({config.vocab_size, config.d_model}, options).requires_grad_(true)),
        encoder(make_stack(config, false, options)),
        decoder(make_stack(config, true, options)) {
    parameters.push_back({"shared.weight", shared.master(), {.is_embedding = true}});
    encoder.collect(parameters);
    decoder.collect(parameters);
    if (!config.has_tied_embeddings) {
      lm_head =
          nn::Weight(at::empty({config.vocab_size, config.d_model}, options).requires_grad_(true));
      parameters.push_back(
          {"lm_head.weight", lm_head.master(), {.is_embedding = true, .is_multiplied = true}});
    }
  }

  at::Tensor embed(const at::Tensor& ids, const nn::Context& context) const {
    // ids of virtual tokens lie above; their embeddings are put in by embedding_deltas
    const at::Tensor known =
        embedding_deltas.empty() ? ids : at::clamp_max(ids, config.vocab_size - 1);
    return at::embedding(shared.master(), known).to(context.compute_dtype);
  }
  // Of both sides in one look-up: its gradient is as large as the vocabulary.
  std::pair<at::Tensor, at::Tensor> embed_both(const ModelInput& input,
                                               const nn::Context& context) const {
    const at::Tensor &encoder_ids = input.input_ids_BL, &decoder_ids = input.decoder_input_ids_BM;
    const std::vector<at::Tensor> parts =
        embed(at::cat({encoder_ids.reshape(-1), decoder_ids.reshape(-1)}), context)
            .split_with_sizes({encoder_ids.numel(), decoder_ids.numel()});
    return {parts[0].view({encoder_ids.size(0), encoder_ids.size(1), config.d_model}),
            parts[1].view({decoder_ids.size(0), decoder_ids.size(1), config.d_model})};
  }
  const nn::Weight& output_weight() const { return config.has_tied_embeddings ? shared : lm_head; }
  at::Tensor scale_output(const at::Tensor& hidden) const {
    return config.scales_decoder_outputs
               ? hidden.mul(std::pow(static_cast<double>(config.d_model), -0.5))
               : hidden;
  }
  at::Tensor run_encoder(const at::Tensor& x_BLD, const at::Tensor& ids_BL,
                         const nn::TokenLayout& layout, nn::Context& context,
                         nn::Auxiliary* auxiliary) const {
    context.tokens = &layout;
    context.token_ids_BL = ids_BL;
    context.computes_padding = config.counts_padding();
    context.memory_tokens = nullptr;
    context.auxiliary = auxiliary;
    choose_adapters(layout.num_rows, context);
    context.computed_sentence_vectors_BSD = at::Tensor();
    if (wants_sentence_vectors(context) && !context.sentence_vectors_BSD.defined())
      context.computed_sentence_vectors_BSD = compute_sentence_vectors(ids_BL, layout, context);
    return encoder.forward(embedding_deltas.apply(ids_BL, x_BLD, &layout, {}, context), {},
                           context);
  }
  at::Tensor run_decoder(const at::Tensor& x_BMD, const at::Tensor& ids_BM,
                         const nn::TokenLayout& layout, const at::Tensor& encoded_BLD,
                         const nn::TokenLayout& encoder_layout, nn::Context& context,
                         nn::Auxiliary* auxiliary) const {
    context.tokens = &layout;
    context.token_ids_BL = ids_BM;
    context.computes_padding = config.counts_padding();
    context.memory_tokens = &encoder_layout;
    context.auxiliary = auxiliary;
    choose_adapters(layout.num_rows, context);
    return decoder.forward(x_BMD, encoded_BLD, context);
  }

  bool wants_sentence_vectors(const nn::Context& context) const {
    return std::any_of(context.adapters.begin(), context.adapters.end(), [&](const auto& use) {
      return adapters.at(use.adapter)->wants_sentence_vectors();
    });
  }
  // The mean of the base's last hidden states over every segment, [B, S, D], fp32 (fp64). Virtual
  // tokens are no part of it.
  at::Tensor compute_sentence_vectors(const at::Tensor& ids_BL, const nn::TokenLayout& layout,
                                      const nn::Context& given) const {
    const c10::AutoGradMode off(false);
    at::Tensor segment_ids_BL = layout.segment_ids_BL;
    const nn::TokenLayout* tokens = &layout;
    nn::TokenLayout without_virtual;
    if (!embedding_deltas.empty()) {
      segment_ids_BL = segment_ids_BL.mul(ids_BL.lt(config.vocab_size));
      without_virtual =
          nn::make_layout(layout.num_rows, layout.length, segment_ids_BL, {}, {}, ids_BL.device());
      tokens = &without_virtual;
    }
    nn::Context context;
    context.compute_dtype = given.compute_dtype;
    context.tokens = tokens;
    context.token_ids_BL = ids_BL;
    context.computes_padding = given.computes_padding;
    const at::Tensor hidden_BLD = encoder.forward(embed(ids_BL, context), {}, context);
    const auto dtype = context.compute_dtype == at::kDouble ? at::kDouble : at::kFloat;
    const int64_t num_segments = std::max<int64_t>(
        1, layout.segment_ids_BL.numel() > 0 ? layout.segment_ids_BL.max().item<int64_t>() : 1);
    // the sums of padding come first and are left out
    const at::Tensor row_B1 =
        at::arange(layout.num_rows, segment_ids_BL.options()).mul(num_segments + 1).unsqueeze(1);
    const at::Tensor index_T = segment_ids_BL.add(row_B1).reshape(-1);
    const at::Tensor ones = at::ones({index_T.size(0)}, hidden_BLD.options().dtype(dtype));
    const int64_t count = layout.num_rows * (num_segments + 1);
    const at::Tensor lengths = at::zeros({count}, ones.options()).index_add(0, index_T, ones);
    const at::Tensor sums =
        at::zeros({count, config.d_model}, ones.options())
            .index_add(0, index_T, hidden_BLD.reshape({-1, config.d_model}).to(dtype));
    return sums.div(lengths.clamp_min(1).unsqueeze(1))
        .view({layout.num_rows, num_segments + 1, config.d_model})
        .narrow(1, 1, num_segments)
        .contiguous();
  }
  // Final-normed hidden states of the decoder.
  at::Tensor run_both(const ModelInput& input, nn::Context& context,
                      nn::Auxiliary* auxiliary) const {
    const auto [encoder_x, decoder_x] = embed_both(input, context);
    const at::Tensor encoded =
        run_encoder(encoder_x, input.input_ids_BL, input.encoder, context, auxiliary);
    return run_decoder(decoder_x, input.decoder_input_ids_BM, input.decoder, encoded, input.encoder,
                       context, auxiliary);
  }

  // Which rows of the pass use which adapter.
  void choose_adapters(int64_t num_rows, nn::Context& context) const {
    context.adapters.clear();
    if (!context.adapter_of_row) {
      if (active_adapter) context.adapters.push_back({*active_adapter, {}});
      return;
    }
    const std::vector<int64_t>& of_row = *context.adapter_of_row;
    if (static_cast<int64_t>(of_row.size()) != num_rows)
      fail(ErrorCode::ShapeMismatch, "[model] adapters of {} rows for a batch of {}", of_row.size(),
           num_rows);
    std::map<int64_t, std::vector<int64_t>> rows;
    for (size_t row = 0; row < of_row.size(); ++row)
      if (of_row[row] >= 0) rows[of_row[row]].push_back(static_cast<int64_t>(row));
    for (const auto& [number, chosen] : rows) {
      FLANMOE_ASSERT(adapters.contains(number));
      const bool is_all = static_cast<int64_t>(chosen.size()) == num_rows;
      context.adapters.push_back(
          {number, is_all ? at::Tensor() : at::tensor(chosen, at::kLong).to(device)});
    }
  }

  ModelConfig config;
  at::Device device;
  nn::Weight shared, lm_head;
  nn::Stack encoder, decoder;
  nn::DeltaList embedding_deltas;  // of the encoder
  nn::Parameters parameters;
  std::map<int64_t, std::shared_ptr<const peft::Adapter>> adapters;
  int64_t next_adapter = 0;
  std::optional<int64_t> active_adapter;
};

Model::Model(const ModelConfig& config, std::optional<uint64_t> seed, at::ScalarType dtype,
             const at::Device& device) {
  validate(config, "model");
  state_ = std::make_unique<State>(config, at::TensorOptions().dtype(dtype).device(device));
  if (seed) initialise(state_->parameters, config, *seed);
}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

const ModelConfig& Model::config() const {
  return state_->config;
}
const nn::Parameters& Model::parameters() const {
  return state_->parameters;
}
at::Device Model::device() const {
  return state_->device;
}

nn::Sites Model::sites() const {
  nn::Site embedding;
  embedding.name = "shared";
  embedding.kind = nn::SiteKind::Embedding;
  embedding.in_dim = state_->config.vocab_size;
  embedding.out_dim = embedding.block_dim = state_->config.d_model;
  embedding.weight = state_->shared.master();
  nn::connect(embedding, state_->embedding_deltas);
  nn::Sites sites{std::move(embedding)};
  state_->encoder.collect_sites(sites);
  state_->decoder.collect_sites(sites);
  return sites;
}

int64_t Model::attach(std::shared_ptr<const peft::Adapter> adapter) {
  for (const auto& [number, other] : state_->adapters)
    if (other->name() == adapter->name())
      fail(ErrorCode::InvalidArgument, "[model] an adapter '{}' is attached already",
           adapter->name());
  const int64_t number = state_->next_adapter++;
  adapter->attach(sites(), number);
  state_->adapters.emplace(number, std::move(adapter));
  return number;
}

void Model::detach(const std::string& name) {
  const int64_t number = adapter_number(name);
  peft::Adapter::detach(sites(), number);
  state_->adapters.erase(number);
  if (state_->active_adapter == number) state_->active_adapter.reset();
}

int64_t Model::adapter_number(const std::string& name) const {
  for (const auto& [number, adapter] : state_->adapters)
    if (adapter->name() == name) return number;
  fail(ErrorCode::NotFound, "[model] no adapter '{}' is attached{}", name,
       suggestion(name, adapter_names()));
}

const peft::Adapter& Model::adapter(int64_t number) const {
  return *state_->adapters.at(number);
}

int64_t Model::num_virtual_tokens(int64_t number) const {
  return adapter(number).num_virtual_tokens();
}

void prepend_virtual_tokens(std::vector<int32_t>& token_ids, const ModelConfig& config,
                            int64_t count) {
  std::vector<int32_t> virtual_ids(static_cast<size_t>(count));
  std::iota(virtual_ids.begin(), virtual_ids.end(), static_cast<int32_t>(config.vocab_size));
  token_ids.insert(token_ids.begin(), virtual_ids.begin(), virtual_ids.end());
}

std::vector<std::string> Model::adapter_names() const {
  std::vector<std::string> names;
  for (const auto& [number, adapter] : state_->adapters) names.push_back(adapter->name());
  return names;
}

void Model::activate(std::optional<int64_t> number) {
  FLANMOE_ASSERT(!number || state_->adapters.contains(*number));
  state_->active_adapter = number;
}

std::optional<int64_t> Model::active_adapter() const {
  return state_->active_adapter;
}

nn::Parameters describe_parameters(const ModelConfig& config, at::ScalarType dtype) {
  return Model(config, std::nullopt, dtype, at::kMeta).parameters();
}

at::Tensor Model::encode(const at::Tensor& input_ids_BL, const nn::TokenLayout& layout,
                         nn::Context& context, nn::Auxiliary* auxiliary) const {
  return state_->run_encoder(state_->embed(input_ids_BL, context), input_ids_BL, layout, context,
                             auxiliary);
}

at::Tensor Model::decode(const at::Tensor& decoder_input_ids_BM, const nn::TokenLayout& layout,
                         const at::Tensor& encoded_BLD, const nn::TokenLayout& encoder_layout,
                         nn::Context& context, nn::Auxiliary* auxiliary) const {
  return state_->run_decoder(state_->embed(decoder_input_ids_BM, context), decoder_input_ids_BM,
                             layout, encoded_BLD, encoder_layout, context, auxiliary);
}

at::Tensor Model::logits(const at::Tensor& hidden, const nn::Context& context) const {
  return ops::linear(state_->scale_output(hidden),
                     state_->output_weight().as(context.compute_dtype));
}

at::Tensor Model::forward(const ModelInput& input, nn::Context& context,
                          nn::Auxiliary* auxiliary) const {
  return logits(state_->run_both(input, context, auxiliary), context);
}

LossOutput Model::loss(const ModelInput& input, nn::Context& context,
                       const LossOptions& options) const {
  LossOutput output;
  const at::Tensor& target_index_N = input.decoder.real_index_N;
  output.num_target_tokens = target_index_N.size(0);
  if (output.num_target_tokens == 0)
    fail(ErrorCode::InvalidArgument, "[loss] the batch has no target token");
  const at::Tensor hidden_BMD = state_->run_both(input, context, &output.auxiliary);
  at::Tensor hidden_ND = hidden_BMD.reshape({-1, hidden_BMD.size(2)});
  at::Tensor labels_N = input.labels_BM.reshape(-1);
  if (input.decoder.has_padding) {
    hidden_ND = at::index_select(hidden_ND, 0, target_index_N);
    labels_N = at::index_select(labels_N, 0, target_index_N);
  }
  const auto weight_options =
      at::TensorOptions()
          .dtype(context.compute_dtype == at::kDouble ? at::kDouble : at::kFloat)
          .device(state_->device);
  const at::Tensor token_weight_N =
      options.normalisation == LossNormalisation::Tokens
          ? at::full({output.num_target_tokens},
                     1.0 / static_cast<double>(options.whole ? options.whole->num_target_tokens
                                                             : output.num_target_tokens),
                     weight_options)
          : weigh_sequences(
                input.decoder,
                options.whole ? options.whole->num_target_segments : count_segments(input.decoder),
                weight_options);
  const auto [cross_entropy, token_loss_N] = ops::linear_cross_entropy(
      state_->scale_output(hidden_ND), state_->output_weight().as(context.compute_dtype), labels_N,
      token_weight_N, {options.z_coefficient, options.label_smoothing});
  if (options.whole && !output.auxiliary.losses.empty())
    take_share(output.auxiliary, state_->config, measure(input), *options.whole);
  output.cross_entropy = cross_entropy.detach();
  output.token_loss_BM = at::zeros({input.labels_BM.numel()}, token_loss_N.options())
                             .index_copy(0, target_index_N, token_loss_N)
                             .view(input.labels_BM.sizes());
  output.loss = cross_entropy;
  for (const nn::AuxiliaryLoss& auxiliary :
       moe::reduce_over_layers(output.auxiliary.losses, state_->config.moe.layer_reduction))
    if (auxiliary.coefficient != 0)
      output.loss = output.loss.add(auxiliary.value, auxiliary.coefficient);
  return output;
}

BatchSize measure(const ModelInput& input) {
  return {.num_rows = input.encoder.num_rows,
          .num_input_tokens = input.encoder.num_real_tokens(),
          .num_target_tokens = input.decoder.num_real_tokens(),
          .num_input_segments = count_segments(input.encoder),
          .num_target_segments = count_segments(input.decoder)};
}

namespace {

at::Tensor follows_real(const at::Tensor& is_real_BM) {
  at::Tensor result = at::zeros_like(is_real_BM);
  const int64_t rest = is_real_BM.size(1) - 1;
  if (rest > 0) result.narrow(1, 1, rest).copy_(is_real_BM.narrow(1, 0, rest));
  return result;
}

}  // namespace

ModelInput make_input(const at::Tensor& input_ids_BL, const at::Tensor& input_segment_ids_BL,
                      const at::Tensor& target_ids_BM, const at::Tensor& target_segment_ids_BM,
                      const ModelConfig& config, const std::vector<uint64_t>& example_keys) {
  ModelInput input;
  input.input_ids_BL = input_ids_BL;
  input.encoder = nn::make_layout(input_ids_BL.size(0), input_ids_BL.size(1), input_segment_ids_BL,
                                  {}, example_keys, input_ids_BL.device());
  // Decoder tokens are keyed apart from encoder tokens by their noise sites.
  input.decoder = nn::make_layout(target_ids_BM.size(0), target_ids_BM.size(1),
                                  target_segment_ids_BM, {}, example_keys, target_ids_BM.device());

  const at::Tensor& segments = input.decoder.segment_ids_BL;
  const at::Tensor is_real = segments.ne(0);
  input.labels_BM = at::where(is_real, target_ids_BM, at::full_like(target_ids_BM, -1));
  at::Tensor shifted = at::full_like(target_ids_BM, config.decoder_start_token_id);
  if (target_ids_BM.size(1) > 1) {
    const int64_t rest = target_ids_BM.size(1) - 1;
    at::Tensor continues = segments.narrow(1, 1, rest).eq(segments.narrow(1, 0, rest));
    if (config.counts_padding())
      continues = continues.logical_or(is_real.narrow(1, 1, rest).logical_not());
    const at::Tensor previous = target_ids_BM.narrow(1, 0, rest);
    shifted.narrow(1, 1, rest)
        .copy_(
            at::where(continues, previous, at::full_like(previous, config.decoder_start_token_id)));
  }
  // transformers shifts the padded labels: the last one stands at the first padding position
  const at::Tensor keeps_id =
      config.counts_padding() ? is_real.logical_or(follows_real(is_real)) : is_real;
  input.decoder_input_ids_BM =
      at::where(keeps_id, shifted, at::full_like(shifted, config.pad_token_id));
  return input;
}

}  // namespace flanmoe::model
