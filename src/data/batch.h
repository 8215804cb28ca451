// Batches: rows of token ids, padded on the right with 0. A window of the example stream is laid
// out into rows at a time: one example a row, sorted by length so that padding stays small, or
// packed (packing.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "data/packing.h"
#include "data/tokenized_example.h"

namespace flanmoe::data {

// Row-major [num_rows, length] arrays; no tensor library here, `train` and `eval` copy them into
// one.
struct Batch {
  int64_t num_rows = 0;
  int64_t input_length = 0;  // longest in the batch
  int64_t target_length = 0;
  std::vector<int64_t> input_ids;          // [num_rows, input_length], padding 0
  std::vector<int64_t> input_segment_ids;  // 1.. for tokens, 0 for padding
  std::vector<int64_t> input_positions;    // position within the segment, 0 at padding
  std::vector<int64_t> target_ids;  // [num_rows, target_length], padding 0; the decoder input is
                                    // these shifted right inside each segment
  std::vector<int64_t> target_segment_ids;
  std::vector<int64_t> target_positions;
  int64_t max_segments = 0;            // examples of the row that has most
  std::vector<uint64_t> example_keys;  // [num_rows, max_segments]: of segment s at s - 1, 0 where a
                                       // row has fewer
  int64_t num_examples = 0;
  int64_t num_input_tokens = 0;  // real ones
  int64_t num_target_tokens = 0;
  PackingStatistics statistics;  // of a BatchStream's batches
};

struct BatchConfig {
  int64_t batch_size = 32;     // rows a batch
  int64_t input_length = 256;  // longer inputs are cut (the last token stays </s>) and counted
  int64_t target_length = 64;
  Packing packing = Packing::None;
  int64_t packing_window = 4096;  // so many examples are packed together
  int64_t bucket_batches = 16;    // without packing: so many batches are drawn together, sorted by
                                  // length, and cut into batches given in shuffled order
  template <class Visitor>
  void visit(Visitor& v) {
    v("batch_size", batch_size, "rows a batch: examples, or packed rows of several");
    v("input_length", input_length, "longest input in tokens, </s> included; longer ones are cut");
    v("target_length", target_length,
      "longest target in tokens, </s> included; longer ones are cut");
    v("packing", packing, "none: one example a row; best-fit: as many examples a row as fit");
    v("packing_window", packing_window, "examples that are packed together");
    v("bucket_batches", bucket_batches,
      "without packing: batches drawn together and sorted by length");
  }
};

// Throws InvalidConfig with `path` before the key ("train.batch").
void validate(const BatchConfig& config, const std::string& path);

// One example a row.
Batch make_batch(const std::vector<TokenizedExample>& examples);
// Rows of several examples, segments in the order given.
Batch make_packed_batch(const std::vector<std::vector<TokenizedExample>>& rows);

// Rows `first` to `first + count` of a batch, as they stand (the statistics are left empty); with
// `trims`, cut to the longest of them on both sides.
Batch select_rows(const Batch& batch, int64_t first, int64_t count, bool trims);

// A batch without its statistics, and back. Throws CorruptFile naming `where`.
Json to_json(const Batch& batch);
Batch parse_batch(const Json& json, const std::string& where);

// Where a stream goes on: the row `row` of window `window`.
struct Cursor {
  uint64_t window = 0;
  uint64_t row = 0;
  bool operator==(const Cursor&) const = default;
};

// An endless stream of batches. The rows of a window, and their order, are a pure function of
// (draw, config, seed, window); a batch is the next batch_size rows. A cursor, which is all the
// state that there is, is found in constant time (its window is drawn anew).
//
// Data-parallel workers share the batches: worker w of n takes the rows from w * batch_size / n on,
// so the batches do not depend on the number of workers, and neither do the cursors.
class BatchStream {
 public:
  // `draw(position)` gives example number `position` of the endless example stream; whatever it
  // throws comes out of next().
  BatchStream(std::function<TokenizedExample(uint64_t)> draw, const BatchConfig& config,
              uint64_t seed, int64_t worker = 0, int64_t num_workers = 1);
  // The worker's rows of the next batch. Throws InvalidArgument where the cursor names a row that
  // its window does not have. After an exception the stream stands where it stood.
  Batch next();
  const Cursor& cursor() const { return cursor_; }  // of what next() gives
  void seek(const Cursor& cursor) { cursor_ = cursor; }

 private:
  struct Row {
    std::vector<TokenizedExample> examples;
    PackingStatistics statistics;  // of this row
  };
  uint64_t num_window_examples() const;
  void load_window(uint64_t window);
  // Rows of a window as indices of its examples.
  std::vector<std::vector<uint32_t>> arrange(const std::vector<TokenizedExample>& examples,
                                             uint64_t window) const;

  std::function<TokenizedExample(uint64_t)> draw_;
  BatchConfig config_;
  uint64_t seed_;
  int64_t first_row_, end_row_;  // this worker's part of every batch
  Cursor cursor_;
  int64_t window_ = -1;  // whose rows are held
  std::vector<Row> rows_;
};

// How full the rows of the first windows are that hold at least `num_examples` examples.
PackingStatistics measure_packing(const std::function<TokenizedExample(uint64_t)>& draw,
                                  const BatchConfig& config, uint64_t seed, int64_t num_examples);

}  // namespace flanmoe::data
