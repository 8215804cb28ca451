#include "data/batch.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

// One side of a batch: ids, segment ids and positions of rows padded to the longest.
void fill_side(const std::vector<TokenizedExample>& examples,
               std::vector<int32_t> TokenizedExample::*side, int64_t& length, int64_t& num_tokens,
               std::vector<int64_t>& ids, std::vector<int64_t>& segment_ids,
               std::vector<int64_t>& positions) {
  size_t longest = 0;
  for (const TokenizedExample& example : examples)
    longest = std::max(longest, (example.*side).size());
  ids.assign(examples.size() * longest, 0);
  segment_ids = positions = ids;
  num_tokens = 0;
  for (size_t row = 0; row < examples.size(); ++row) {
    const std::vector<int32_t>& tokens = examples[row].*side;
    num_tokens += static_cast<int64_t>(tokens.size());
    for (size_t i = 0; i < longest; ++i) {
      const size_t at = row * longest + i;
      positions[at] = static_cast<int64_t>(i);
      if (i >= tokens.size()) continue;
      ids[at] = tokens[i];
      segment_ids[at] = 1;
    }
  }
  length = static_cast<int64_t>(longest);
}

// Keeps the last token (</s>).
bool truncate(std::vector<int32_t>& tokens, int64_t length) {
  const auto limit = static_cast<size_t>(length);
  if (tokens.size() <= limit) return false;
  tokens[limit - 1] = tokens.back();
  tokens.resize(limit);
  return true;
}

void check_positive(const char* name, int64_t value) {
  if (value < 1)
    fail(ErrorCode::InvalidConfig, "[data.batch] {} is {}, expected 1 or more", name, value);
}

}  // namespace

Batch make_batch(const std::vector<TokenizedExample>& examples) {
  Batch batch;
  batch.num_rows = static_cast<int64_t>(examples.size());
  fill_side(examples, &TokenizedExample::inputs, batch.input_length, batch.num_input_tokens,
            batch.input_ids, batch.input_segment_ids, batch.input_positions);
  fill_side(examples, &TokenizedExample::targets, batch.target_length, batch.num_target_tokens,
            batch.target_ids, batch.target_segment_ids, batch.target_positions);
  for (const TokenizedExample& example : examples) batch.example_keys.push_back(example.key);
  return batch;
}

BatchStream::BatchStream(std::function<TokenizedExample(uint64_t)> draw, const BatchConfig& config,
                         uint64_t seed)
    : draw_(std::move(draw)), config_(config), seed_(seed) {
  check_positive("batch_size", config.batch_size);
  check_positive("input_length", config.input_length);
  check_positive("target_length", config.target_length);
  check_positive("bucket_batches", config.bucket_batches);
}

Batch BatchStream::get(uint64_t index) {
  const auto batch_size = static_cast<size_t>(config_.batch_size);
  const auto bucket_batches = static_cast<uint64_t>(config_.bucket_batches);
  const auto bucket = static_cast<int64_t>(index / bucket_batches);
  if (bucket != bucket_) {
    bucket_ = -1;  // so that an exception on the way leaves no half bucket behind
    const uint64_t first = static_cast<uint64_t>(bucket) * bucket_batches * batch_size;
    bucket_examples_.clear();
    for (uint64_t i = 0; i < bucket_batches * batch_size; ++i) {
      TokenizedExample example = draw_(first + i);
      const bool is_input_cut = truncate(example.inputs, config_.input_length);
      const bool is_target_cut = truncate(example.targets, config_.target_length);
      if (is_input_cut || is_target_cut) ++num_truncated_;
      bucket_examples_.push_back(std::move(example));
    }
    // Stable: equal lengths stay in the order of the stream.
    std::stable_sort(bucket_examples_.begin(), bucket_examples_.end(),
                     [](const TokenizedExample& a, const TokenizedExample& b) {
                       return std::make_pair(a.inputs.size(), a.targets.size()) <
                              std::make_pair(b.inputs.size(), b.targets.size());
                     });
    batch_order_.resize(bucket_batches);
    std::iota(batch_order_.begin(), batch_order_.end(), 0);
    RandomStream random(RandomKey(seed_, RandomPurpose::DataOrder)
                            .fold("batches")
                            .fold(static_cast<uint64_t>(bucket)));
    random.shuffle(batch_order_);
    bucket_ = bucket;
  }
  const size_t first = batch_order_[index % bucket_batches] * batch_size;
  const auto begin = bucket_examples_.begin() + static_cast<std::ptrdiff_t>(first);
  return make_batch({begin, begin + static_cast<std::ptrdiff_t>(batch_size)});
}

}  // namespace flanmoe::data
