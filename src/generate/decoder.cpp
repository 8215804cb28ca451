#include "generate/decoder.h"

#include <ATen/core/grad_mode.h>

#include "base/error.h"

namespace flanmoe::generate {

Decoder::Decoder(const model::Model& model, const TokenRows& prompts, int64_t max_new_tokens,
                 at::ScalarType compute_dtype, const std::vector<int64_t>& adapter_of_prompt)
    : model_(model), cache_(model.config().num_decoder_layers, max_new_tokens) {
  const at::NoGradGuard no_grad;
  context_.compute_dtype = compute_dtype;
  if (!adapter_of_prompt.empty()) context_.adapter_of_row = adapter_of_prompt;
  for (const auto* prompt : prompts) row_keys_.push_back(row_key(*prompt));
  PaddedRows padded = pad_rows(prompts, model.config().pad_token_id, row_keys_, model.device());
  encoder_layout_ = std::move(padded.layout);
  encoded_ = model.encode(padded.ids_BL, encoder_layout_, context_);
  context_.cache = &cache_;
}

at::Tensor Decoder::step(const std::vector<int64_t>& token_ids) {
  FLANMOE_ASSERT(static_cast<int64_t>(token_ids.size()) == num_rows());
  const at::NoGradGuard no_grad;
  const at::Device device = model_.device();
  const at::Tensor ids = to_tensor(token_ids, {num_rows(), 1}, device);
  const at::Tensor positions =
      to_tensor(std::vector<int64_t>(token_ids.size(), cache_.length()), {num_rows(), 1}, device);
  const nn::TokenLayout layout = nn::make_layout(num_rows(), 1, {}, positions, row_keys_, device);
  const at::Tensor hidden = model_.decode(ids, layout, encoded_, encoder_layout_, context_);
  encoded_.reset();
  return model_.logits(hidden.squeeze(1), context_);
}

void Decoder::select_rows(const std::vector<int64_t>& row_index) {
  bool is_identity = static_cast<int64_t>(row_index.size()) == num_rows();
  for (size_t i = 0; is_identity && i < row_index.size(); ++i)
    is_identity = row_index[i] == static_cast<int64_t>(i);
  if (is_identity) return;

  const at::NoGradGuard no_grad;
  std::vector<uint64_t> keys;
  std::vector<int64_t> adapters;
  bool is_layout_same = static_cast<int64_t>(row_index.size()) == num_rows();
  for (size_t i = 0; i < row_index.size(); ++i) {
    keys.push_back(row_keys_.at(static_cast<size_t>(row_index[i])));
    is_layout_same = is_layout_same && keys.back() == row_keys_[i];
    if (context_.adapter_of_row)
      adapters.push_back(context_.adapter_of_row->at(static_cast<size_t>(row_index[i])));
  }
  row_keys_ = std::move(keys);
  if (context_.adapter_of_row) context_.adapter_of_row = std::move(adapters);
  const at::Tensor index = to_tensor(row_index, {num_rows()}, model_.device());
  if (encoded_.defined()) encoded_ = encoded_.index_select(0, index);
  at::Tensor& sentence_vectors_BSD = context_.computed_sentence_vectors_BSD;
  if (sentence_vectors_BSD.defined())
    sentence_vectors_BSD = sentence_vectors_BSD.index_select(0, index);
  cache_.select_rows(index);
  // Beams that change places inside one prompt look at the same encoder row.
  if (!is_layout_same) encoder_layout_ = generate::select_rows(encoder_layout_, index, row_keys_);
}

}  // namespace flanmoe::generate
