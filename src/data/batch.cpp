#include "data/batch.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

using Examples = std::vector<TokenizedExample>;
using Tokens = std::vector<int32_t>;

int64_t count_tokens(const Examples& row, Tokens TokenizedExample::*side) {
  size_t count = 0;
  for (const TokenizedExample& example : row) count += (example.*side).size();
  return static_cast<int64_t>(count);
}

// One side of a batch: ids, segment ids and positions of rows padded to the longest.
void fill_side(const std::vector<Examples>& rows, Tokens TokenizedExample::*side, int64_t& length,
               int64_t& num_tokens, std::vector<int64_t>& ids, std::vector<int64_t>& segment_ids,
               std::vector<int64_t>& positions) {
  length = num_tokens = 0;
  for (const Examples& row : rows) {
    const int64_t count = count_tokens(row, side);
    length = std::max(length, count);
    num_tokens += count;
  }
  ids.assign(rows.size() * static_cast<size_t>(length), 0);
  segment_ids = positions = ids;
  for (size_t r = 0; r < rows.size(); ++r) {
    size_t at = r * static_cast<size_t>(length);
    for (size_t s = 0; s < rows[r].size(); ++s) {
      const Tokens& tokens = rows[r][s].*side;
      for (size_t i = 0; i < tokens.size(); ++i, ++at) {
        ids[at] = tokens[i];
        segment_ids[at] = static_cast<int64_t>(s) + 1;
        positions[at] = static_cast<int64_t>(i);
      }
    }
  }
}

// Tokens lost. The last one (</s>) stays.
int64_t truncate(Tokens& tokens, int64_t length) {
  const auto limit = static_cast<size_t>(length);
  if (tokens.size() <= limit) return 0;
  const auto num_lost = static_cast<int64_t>(tokens.size() - limit);
  tokens[limit - 1] = tokens.back();
  tokens.resize(limit);
  return num_lost;
}

}  // namespace

void validate(const BatchConfig& config, const std::string& path) {
  const auto check = [&](const char* key, int64_t value) {
    if (value < 1)
      fail(ErrorCode::InvalidConfig, "[{}] {} is {}, expected 1 or more", path, key, value);
  };
  check("batch_size", config.batch_size);
  check("input_length", config.input_length);
  check("target_length", config.target_length);
  check("packing_window", config.packing_window);
  check("bucket_batches", config.bucket_batches);
}

Batch make_batch(const std::vector<TokenizedExample>& examples) {
  std::vector<Examples> rows;
  for (const TokenizedExample& example : examples) rows.push_back({example});
  return make_packed_batch(rows);
}

Batch make_packed_batch(const std::vector<std::vector<TokenizedExample>>& rows) {
  Batch batch;
  batch.num_rows = static_cast<int64_t>(rows.size());
  fill_side(rows, &TokenizedExample::inputs, batch.input_length, batch.num_input_tokens,
            batch.input_ids, batch.input_segment_ids, batch.input_positions);
  fill_side(rows, &TokenizedExample::targets, batch.target_length, batch.num_target_tokens,
            batch.target_ids, batch.target_segment_ids, batch.target_positions);
  for (const Examples& row : rows) {
    batch.num_examples += static_cast<int64_t>(row.size());
    batch.max_segments = std::max(batch.max_segments, static_cast<int64_t>(row.size()));
  }
  const auto max_segments = static_cast<size_t>(batch.max_segments);
  batch.example_keys.assign(rows.size() * max_segments, 0);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t s = 0; s < rows[r].size(); ++s)
      batch.example_keys[r * max_segments + s] = rows[r][s].key;
  return batch;
}

namespace {

struct Side {
  int64_t Batch::*length;
  int64_t Batch::*num_tokens;
  std::vector<int64_t> Batch::*ids, Batch::*segment_ids, Batch::*positions;
};
constexpr Side kSides[] = {{&Batch::input_length, &Batch::num_input_tokens, &Batch::input_ids,
                            &Batch::input_segment_ids, &Batch::input_positions},
                           {&Batch::target_length, &Batch::num_target_tokens, &Batch::target_ids,
                            &Batch::target_segment_ids, &Batch::target_positions}};

void select_side(const Batch& batch, const Side& side, int64_t first, bool trims, Batch& part) {
  const int64_t old_length = batch.*side.length;
  const std::vector<int64_t>& segments = batch.*side.segment_ids;
  const auto at = [&](int64_t row, int64_t i) {
    return static_cast<size_t>((first + row) * old_length + i);
  };
  int64_t longest = 0;
  for (int64_t row = 0; row < part.num_rows; ++row)
    for (int64_t i = 0; i < old_length; ++i)
      if (segments[at(row, i)] != 0) {
        longest = std::max(longest, i + 1);
        ++(part.*side.num_tokens);
      }
  const int64_t length = trims ? longest : old_length;
  part.*side.length = length;
  for (auto values : {side.ids, side.segment_ids, side.positions})
    for (int64_t row = 0; row < part.num_rows; ++row) {
      const auto begin = (batch.*values).begin() + static_cast<int64_t>(at(row, 0));
      (part.*values).insert((part.*values).end(), begin, begin + length);
    }
}

constexpr std::pair<const char*, int64_t Batch::*> kNumbers[] = {
    {"num_rows", &Batch::num_rows},
    {"input_length", &Batch::input_length},
    {"target_length", &Batch::target_length},
    {"max_segments", &Batch::max_segments},
    {"num_examples", &Batch::num_examples},
    {"num_input_tokens", &Batch::num_input_tokens},
    {"num_target_tokens", &Batch::num_target_tokens}};
constexpr std::pair<const char*, std::vector<int64_t> Batch::*> kArrays[] = {
    {"input_ids", &Batch::input_ids},
    {"input_segment_ids", &Batch::input_segment_ids},
    {"input_positions", &Batch::input_positions},
    {"target_ids", &Batch::target_ids},
    {"target_segment_ids", &Batch::target_segment_ids},
    {"target_positions", &Batch::target_positions}};

}  // namespace

Batch select_rows(const Batch& batch, int64_t first, int64_t count, bool trims) {
  FLANMOE_ASSERT(first >= 0 && count >= 0 && first + count <= batch.num_rows);
  Batch part;
  part.num_rows = count;
  for (const Side& side : kSides) select_side(batch, side, first, trims, part);
  part.max_segments = batch.max_segments;
  const auto keys = batch.example_keys.begin() + first * batch.max_segments;
  part.example_keys.assign(keys, keys + count * batch.max_segments);
  for (int64_t row = 0; row < count; ++row) {
    int64_t num_segments = 0;  // of the side that has more of them
    for (const Side& side : kSides)
      for (int64_t i = 0; i < part.*side.length; ++i)
        num_segments =
            std::max(num_segments,
                     (part.*side.segment_ids)[static_cast<size_t>(row * part.*side.length + i)]);
    part.num_examples += num_segments;
  }
  return part;
}

Json to_json(const Batch& batch) {
  Json json;
  for (const auto& [name, number] : kNumbers) json[name] = batch.*number;
  for (const auto& [name, array] : kArrays) json[name] = batch.*array;
  json["example_keys"] = batch.example_keys;
  return json;
}

Batch parse_batch(const Json& json, const std::string& where) {
  Batch batch;
  read_fields("[data] " + where, [&] {
    for (const auto& [name, number] : kNumbers) batch.*number = json.at(name);
    for (const auto& [name, array] : kArrays)
      batch.*array = json.at(name).get<std::vector<int64_t>>();
    batch.example_keys = json.at("example_keys").get<std::vector<uint64_t>>();
  });
  const auto expect_size = [&](const char* name, size_t size, int64_t columns) {
    if (static_cast<int64_t>(size) != batch.num_rows * columns)
      fail(ErrorCode::CorruptFile, "[data] {}: {} has {} values, expected {} rows of {}", where,
           name, size, batch.num_rows, columns);
  };
  for (const auto& [name, array] : kArrays)
    expect_size(name, (batch.*array).size(),
                name[0] == 'i' ? batch.input_length : batch.target_length);
  expect_size("example_keys", batch.example_keys.size(), batch.max_segments);
  return batch;
}

BatchStream::BatchStream(std::function<TokenizedExample(uint64_t)> draw, const BatchConfig& config,
                         uint64_t seed, int64_t worker, int64_t num_workers)
    : draw_(std::move(draw)), config_(config), seed_(seed) {
  validate(config, "data.batch");
  if (num_workers < 1 || worker < 0 || worker >= num_workers)
    fail(ErrorCode::InvalidArgument, "[data.batch] there is no worker {} of {}", worker,
         num_workers);
  if (config.batch_size < num_workers)
    fail(ErrorCode::InvalidConfig,
         "[data.batch] batch_size is {}, expected at least one row for each of {} workers",
         config.batch_size, num_workers);
  first_row_ = worker * config.batch_size / num_workers;
  end_row_ = (worker + 1) * config.batch_size / num_workers;
}

uint64_t BatchStream::num_window_examples() const {
  return static_cast<uint64_t>(config_.packing == Packing::None
                                   ? config_.bucket_batches * config_.batch_size
                                   : config_.packing_window);
}

std::vector<std::vector<uint32_t>> BatchStream::arrange(
    const std::vector<TokenizedExample>& examples, uint64_t window) const {
  const RandomKey key(seed_, RandomPurpose::DataOrder);
  if (config_.packing == Packing::BestFit) {
    std::vector<SideLengths> lengths;
    for (const TokenizedExample& example : examples)
      lengths.push_back({static_cast<int64_t>(example.inputs.size()),
                         static_cast<int64_t>(example.targets.size())});
    auto rows = pack_best_fit(lengths, {config_.input_length, config_.target_length});
    RandomStream random(key.fold("rows").fold(window));
    random.shuffle(rows);
    return rows;
  }
  std::vector<uint32_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0u);
  // Stable: equal lengths stay in the order of the stream.
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::make_pair(examples[a].inputs.size(), examples[a].targets.size()) <
           std::make_pair(examples[b].inputs.size(), examples[b].targets.size());
  });
  std::vector<uint64_t> batches(static_cast<size_t>(config_.bucket_batches));
  std::iota(batches.begin(), batches.end(), 0);
  RandomStream random(key.fold("batches").fold(window));
  random.shuffle(batches);
  std::vector<std::vector<uint32_t>> rows;
  const auto batch_size = static_cast<size_t>(config_.batch_size);
  for (const uint64_t batch : batches)
    for (size_t i = 0; i < batch_size; ++i) rows.push_back({order[batch * batch_size + i]});
  return rows;
}

void BatchStream::load_window(uint64_t window) {
  if (static_cast<int64_t>(window) == window_) return;
  window_ = -1;  // so that an exception on the way leaves no half window behind
  rows_.clear();
  const uint64_t num_examples = num_window_examples();
  std::vector<TokenizedExample> examples;
  std::vector<SideLengths> lost;
  for (uint64_t i = 0; i < num_examples; ++i) {
    examples.push_back(draw_(window * num_examples + i));
    lost.push_back({truncate(examples.back().inputs, config_.input_length),
                    truncate(examples.back().targets, config_.target_length)});
  }
  for (const std::vector<uint32_t>& indices : arrange(examples, window)) {
    Row& row = rows_.emplace_back();
    PackingStatistics& statistics = row.statistics;
    SideLengths used;
    for (const uint32_t i : indices) {
      used.inputs += static_cast<int64_t>(examples[i].inputs.size());
      used.targets += static_cast<int64_t>(examples[i].targets.size());
      statistics.num_cut_inputs += lost[i].inputs > 0;
      statistics.num_cut_targets += lost[i].targets > 0;
      statistics.lost_tokens.inputs += lost[i].inputs;
      statistics.lost_tokens.targets += lost[i].targets;
      row.examples.push_back(std::move(examples[i]));
    }
    statistics.add_row(used, static_cast<int64_t>(indices.size()),
                       {config_.input_length, config_.target_length});
  }
  window_ = static_cast<int64_t>(window);
}

Batch BatchStream::next() {
  Cursor cursor = cursor_;
  std::vector<std::vector<TokenizedExample>> rows;
  PackingStatistics statistics;
  for (int64_t taken = 0; taken < config_.batch_size; ++taken) {
    load_window(cursor.window);
    if (cursor.row >= rows_.size())
      fail(ErrorCode::InvalidArgument,
           "[data.batch] the cursor is at row {} of window {}, which has {} rows", cursor.row,
           cursor.window, rows_.size());
    if (taken >= first_row_ && taken < end_row_) {
      const Row& row = rows_[cursor.row];
      rows.push_back(row.examples);
      statistics.add(row.statistics);
    }
    if (++cursor.row == rows_.size()) cursor = {cursor.window + 1, 0};
  }
  Batch batch = make_packed_batch(rows);
  batch.statistics = statistics;
  cursor_ = cursor;
  return batch;
}

PackingStatistics measure_packing(const std::function<TokenizedExample(uint64_t)>& draw,
                                  const BatchConfig& config, uint64_t seed, int64_t num_examples) {
  BatchConfig by_row = config;  // a batch ends where the window does
  if (config.packing != Packing::None) by_row.batch_size = 1;
  BatchStream stream(draw, by_row, seed);
  PackingStatistics statistics;
  while (statistics.num_segments < num_examples || stream.cursor().row > 0)
    statistics.add(stream.next().statistics);
  return statistics;
}

}  // namespace flanmoe::data
