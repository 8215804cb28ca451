// Batches: rows of token ids, padded on the right with 0, grouped by length so that padding stays
// small.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/example.h"

namespace flanmoe::data {

// Row-major [num_rows, length] arrays; no tensor library here, `train` and `eval` copy them into
// one.
struct Batch {
  int64_t num_rows = 0;
  int64_t input_length = 0;  // longest in the batch
  int64_t target_length = 0;
  std::vector<int64_t> input_ids;  // [num_rows, input_length], padding 0
  std::vector<int64_t>
      input_segment_ids;  // 1.. for tokens, 0 for padding (more than one segment a row when packed)
  std::vector<int64_t> input_positions;  // position within the row
  std::vector<int64_t> target_ids;  // [num_rows, target_length], padding 0; the decoder input is
                                    // these shifted right inside each segment
  std::vector<int64_t> target_segment_ids;
  std::vector<int64_t> target_positions;
  std::vector<uint64_t> example_keys;  // [num_rows, max segments = 1 for now], of segment 1
  int64_t num_input_tokens = 0;        // real ones
  int64_t num_target_tokens = 0;
};

struct BatchConfig {
  int64_t batch_size = 32;     // examples a batch
  int64_t input_length = 256;  // longer inputs are cut (the last token stays </s>) and counted
  int64_t target_length = 64;
  int64_t bucket_batches = 16;  // so many batches are drawn together, sorted by length, and cut
                                // into batches given in shuffled order
  template <class Visitor>
  void visit(Visitor& v) {
    v("batch_size", batch_size, "examples a batch");
    v("input_length", input_length, "longest input in tokens, </s> included; longer ones are cut");
    v("target_length", target_length,
      "longest target in tokens, </s> included; longer ones are cut");
    v("bucket_batches", bucket_batches, "batches drawn together and sorted by length");
  }
};

Batch make_batch(const std::vector<TokenizedExample>& examples);

// An endless stream of batches; batch `index` is a pure function of (draw, config, seed, index), so
// resume needs no state.
class BatchStream {
 public:
  // `draw(position)` gives example number `position` of the endless example stream.
  BatchStream(std::function<TokenizedExample(uint64_t)> draw, const BatchConfig& config,
              uint64_t seed);
  // Cheap in order (one bucket is kept); any index may be asked for.
  Batch get(uint64_t index);
  int64_t num_truncated() const { return num_truncated_; }

 private:
  std::function<TokenizedExample(uint64_t)> draw_;
  BatchConfig config_;
  uint64_t seed_;
  int64_t bucket_ = -1;
  std::vector<TokenizedExample> bucket_examples_;
  std::vector<uint64_t> batch_order_;
  int64_t num_truncated_ = 0;
};

}  // namespace flanmoe::data
