// Keys and values of earlier tokens and of the encoder, for decoding one token at a time.
//
// Shape letters: B rows, K cached length, H heads, d head width.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace flanmoe::nn {

class KvCache {
 public:
  struct Layer {
    at::Tensor self_key_BKHd,
        self_value_BKHd;  // capacity-sized buffers; the first length() positions are valid
    at::Tensor cross_key_BKHd, cross_value_BKHd;  // undefined before the first step
  };
  KvCache(int64_t num_layers, int64_t max_length)
      : layers_(static_cast<size_t>(num_layers)), max_length_(max_length) {}

  int64_t length() const { return length_; }  // tokens decoded so far
  int64_t max_length() const { return max_length_; }
  void advance(int64_t num_tokens) { length_ += num_tokens; }
  Layer& layer(int64_t index) { return layers_[static_cast<size_t>(index)]; }

  // Rows rearranged, dropped or repeated: row i becomes old row row_index[i] (beam search, finished
  // rows). Cross entries too, by `cross_index`: with fewer of them than rows, row r looks at those
  // of row r / (rows / cross rows). What is undefined stays.
  void select_rows(const at::Tensor& row_index, const at::Tensor& cross_index);
  void select_rows(const at::Tensor& row_index) { select_rows(row_index, row_index); }
  // Row i of `other` takes the place rows[i]; its length() tokens become the last ones here. The
  // cross entries of `other` are at most as long; those behind their end are not changed.
  void put_rows(KvCache& other, const std::vector<int64_t>& rows);
  // Forgets the first tokens of all rows.
  void drop_front(int64_t num_tokens);

  // int64 [B, max_length], 1 for a position that its row may look at, 0 for one that it may not;
  // undefined: it may look at all.
  at::Tensor segment_ids_BK;

 private:
  std::vector<Layer> layers_;
  int64_t max_length_;
  int64_t length_ = 0;
};

}  // namespace flanmoe::nn
