#include "data/packing.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::data {
namespace {

constexpr int64_t kWhole = 1 << 16;  // a row, in the units of shares

SideLengths to_shares(const SideLengths& lengths, const SideLengths& row) {
  return {lengths.inputs * kWhole / row.inputs, lengths.targets * kWhole / row.targets};
}

struct Item {
  SideLengths tokens;
  SideLengths shares;
};

// The larger, the better a row with these free shares suits the item.
using Suits = int64_t (*)(const SideLengths& free, const SideLengths& item,
                          const SideLengths& mean);

int64_t fullness(const SideLengths& free, const SideLengths& item, const SideLengths&) {
  const int64_t inputs = free.inputs - item.inputs, targets = free.targets - item.targets;
  return -(inputs * inputs + targets * targets);
}

int64_t dot_product(const SideLengths& free, const SideLengths& item, const SideLengths& mean) {
  return mean.inputs * free.inputs * item.inputs + mean.targets * free.targets * item.targets;
}

struct Row {
  std::vector<uint32_t> examples;
  SideLengths free_tokens;
  SideLengths free_shares;
};

std::vector<Row> pack_in_order(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                               const SideLengths& row_tokens, const SideLengths& mean,
                               Suits suits) {
  SideLengths smallest = row_tokens;
  for (const Item& item : items) {
    smallest.inputs = std::min(smallest.inputs, item.tokens.inputs);
    smallest.targets = std::min(smallest.targets, item.tokens.targets);
  }
  const auto is_full = [&](const Row& row) {
    return row.free_tokens.inputs < smallest.inputs || row.free_tokens.targets < smallest.targets;
  };
  std::vector<Row> open, full;
  for (const uint32_t example : order) {
    const Item& item = items[example];
    size_t best = open.size();
    int64_t best_score = 0;
    for (size_t i = 0; i < open.size(); ++i) {
      if (open[i].free_tokens.inputs < item.tokens.inputs ||
          open[i].free_tokens.targets < item.tokens.targets)
        continue;
      const int64_t score = suits(open[i].free_shares, item.shares, mean);
      if (best < open.size() && score <= best_score) continue;
      best = i;
      best_score = score;
    }
    if (best == open.size()) open.push_back({{}, row_tokens, {kWhole, kWhole}});
    Row& row = open[best];
    row.examples.push_back(example);
    row.free_tokens.inputs -= item.tokens.inputs;
    row.free_tokens.targets -= item.tokens.targets;
    row.free_shares.inputs -= item.shares.inputs;
    row.free_shares.targets -= item.shares.targets;
    if (is_full(row)) {
      full.push_back(std::move(row));
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(best));
    }
  }
  full.insert(full.end(), std::make_move_iterator(open.begin()),
              std::make_move_iterator(open.end()));
  return full;
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

}  // namespace

std::vector<std::vector<uint32_t>> pack_best_fit(const std::vector<SideLengths>& lengths,
                                                 const SideLengths& row) {
  std::vector<Item> items;
  SideLengths mean;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i].inputs > row.inputs || lengths[i].targets > row.targets)
      fail(ErrorCode::InvalidArgument,
           "[data.packing] example {} has {} input and {} target tokens, a row has room for {} and "
           "{}",
           i, lengths[i].inputs, lengths[i].targets, row.inputs, row.targets);
    items.push_back({lengths[i], to_shares(lengths[i], row)});
    mean.inputs += items[i].shares.inputs;
    mean.targets += items[i].shares.targets;
  }
  const auto count = static_cast<int64_t>(std::max<size_t>(1, items.size()));
  mean = {mean.inputs / count, mean.targets / count};

  const auto pack = [&](const std::function<int64_t(const SideLengths& shares)>& size,
                        Suits suits) {
    std::vector<uint32_t> order(items.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return size(items[a].shares) > size(items[b].shares);
    });
    return pack_in_order(items, order, row, mean, suits);
  };
  std::vector<Row> packed = pack(
      [](const SideLengths& shares) { return std::max(shares.inputs, shares.targets); }, fullness);
  std::vector<Row> other = pack(
      [&](const SideLengths& shares) {
        return mean.inputs * shares.inputs + mean.targets * shares.targets;
      },
      dot_product);
  if (other.size() < packed.size()) packed = std::move(other);

  std::vector<std::vector<uint32_t>> rows;
  for (Row& packed_row : packed) {
    std::sort(packed_row.examples.begin(), packed_row.examples.end());
    rows.push_back(std::move(packed_row.examples));
  }
  return rows;
}

void PackingStatistics::add_row(const SideLengths& used, int64_t num_examples,
                                const SideLengths& row) {
  ++num_rows;
  num_segments += num_examples;
  tokens.inputs += used.inputs;
  tokens.targets += used.targets;
  capacity.inputs += row.inputs;
  capacity.targets += row.targets;
  closing_fill_sum += std::max(share(used.inputs, row.inputs), share(used.targets, row.targets));
}

void PackingStatistics::add(const PackingStatistics& other) {
  num_rows += other.num_rows;
  num_segments += other.num_segments;
  tokens.inputs += other.tokens.inputs;
  tokens.targets += other.tokens.targets;
  capacity.inputs += other.capacity.inputs;
  capacity.targets += other.capacity.targets;
  closing_fill_sum += other.closing_fill_sum;
  num_cut_inputs += other.num_cut_inputs;
  num_cut_targets += other.num_cut_targets;
  lost_tokens.inputs += other.lost_tokens.inputs;
  lost_tokens.targets += other.lost_tokens.targets;
}

double PackingStatistics::input_fill() const {
  return share(tokens.inputs, capacity.inputs);
}
double PackingStatistics::target_fill() const {
  return share(tokens.targets, capacity.targets);
}
double PackingStatistics::closing_fill() const {
  return num_rows > 0 ? closing_fill_sum / static_cast<double>(num_rows) : 0.0;
}

Json to_json(const PackingStatistics& statistics) {
  return {{"rows", statistics.num_rows},
          {"segments", statistics.num_segments},
          {"input_tokens", statistics.tokens.inputs},
          {"target_tokens", statistics.tokens.targets},
          {"input_fill", statistics.input_fill()},
          {"target_fill", statistics.target_fill()},
          {"closing_fill", statistics.closing_fill()},
          {"cut_inputs", statistics.num_cut_inputs},
          {"cut_targets", statistics.num_cut_targets},
          {"lost_input_tokens", statistics.lost_tokens.inputs},
          {"lost_target_tokens", statistics.lost_tokens.targets}};
}

}  // namespace flanmoe::data
