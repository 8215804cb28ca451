// Rows of token ids of different lengths as padded batches.
//
// Shape letters: B rows, L length.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"
#include "nn/context.h"

namespace flanmoe::generate {

using TokenRows = std::vector<const std::vector<int32_t>*>;

// Row numbers, longest first (equal ones in their order), cut into batches of at most
// `max_batch_tokens` padded tokens and `max_rows` rows (0: any number). A row longer than
// max_batch_tokens is a batch of its own.
std::vector<std::vector<size_t>> plan_batches(const std::vector<int64_t>& lengths,
                                              int64_t max_batch_tokens, int64_t max_rows = 0);

// Throws InvalidArgument "[who] prompt 3 ..." where a row is empty or holds an id outside the
// vocabulary.
void check_rows(const std::vector<std::vector<int32_t>>& rows, int64_t vocab_size,
                const std::string& who, const std::string& what);

struct PaddedRows {
  at::Tensor ids_BL;  // int64, pad_id where there is no token
  nn::TokenLayout layout;
  at::Tensor key_segment_ids_BK;  // of pad_rows_on_the_left()
};
// Padding behind the rows, which may be empty if others are not. `first_position` of every row;
// none: 0.
PaddedRows pad_rows(const TokenRows& rows, int64_t pad_id, const std::vector<uint64_t>& row_keys,
                    const at::Device& device, const std::vector<int64_t>& first_position = {});
// Padding before the rows, so that all end at one position. key_segment_ids_BK as nn::KvCache has
// them, for `num_more` tokens behind the end.
PaddedRows pad_rows_on_the_left(const TokenRows& rows, int64_t pad_id,
                                const std::vector<uint64_t>& row_keys, int64_t num_more,
                                const at::Device& device);

// The row with its adapter's virtual tokens before it (model::prepend_virtual_tokens). `adapter` by
// its number, -1 for none.
std::vector<int32_t> add_virtual_tokens(const model::Model& model, int64_t adapter,
                                        const std::vector<int32_t>& row);

// Identity of a row for keyed noise: of its content, so that the batch it is in does not matter.
uint64_t row_key(const std::vector<int32_t>& row);

// Row i of the result is row row_index[i] of `layout`.
nn::TokenLayout select_rows(const nn::TokenLayout& layout, const at::Tensor& row_index,
                            const std::vector<uint64_t>& row_keys);

at::Tensor to_tensor(const std::vector<int64_t>& values, at::IntArrayRef shape,
                     const at::Device& device);

}  // namespace flanmoe::generate
