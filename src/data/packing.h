// Several examples in one row of (input length, target length), side by side on both sides, as
// seqio's EncDecFeatureConverter lays them out: segment ids 1.. and positions from 0 in every
// segment. Attention, relative positions and the shift of the decoder's input stay inside a
// segment.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/enum_names.h"
#include "base/json_fwd.h"

namespace flanmoe::data {

enum class Packing {
  None,     // one example a row
  BestFit,  // as many as fit: pack_best_fit()
};

// Tokens of an example, or room in a row, on both sides.
struct SideLengths {
  int64_t inputs = 0;
  int64_t targets = 0;
};

// Which examples share a row: indices into `lengths`, rising in a row, every example in exactly
// one. Best-fit decreasing (Johnson 1974; for training rows Ding et al., arXiv 2404.10830) in two
// dimensions. Two of the rules of Panigrahy et al., "Heuristics for Vector Bin Packing" (2011), are
// tried, and the one that needs fewer rows is kept:
//   * examples by falling larger share of the row, each into the row where it fits that is fullest
//     with it (smallest sum of squared free shares);
//   * examples by falling share on both sides, weighted by the mean of that side, each into the row
//     where it fits with the largest weighted dot product of its shares and the free ones, which
//     puts long targets beside long inputs.
// Integers only: the same on every machine. Throws InvalidArgument where an example is longer than
// `row`.
std::vector<std::vector<uint32_t>> pack_best_fit(const std::vector<SideLengths>& lengths,
                                                 const SideLengths& row);

// How full rows are, and what was cut to fit.
struct PackingStatistics {
  int64_t num_rows = 0;
  int64_t num_segments = 0;     // examples
  SideLengths tokens;           // real ones
  SideLengths capacity;         // rows x length of a row
  double closing_fill_sum = 0;  // over rows, of the fuller side's share: that side closes the row
  int64_t num_cut_inputs = 0;
  int64_t num_cut_targets = 0;
  SideLengths lost_tokens;  // cut off

  // Of one row: its tokens on both sides.
  void add_row(const SideLengths& used, int64_t num_examples, const SideLengths& row);
  void add(const PackingStatistics& other);
  // Shares in [0, 1]; 0 where there is no row.
  double input_fill() const;
  double target_fill() const;
  double closing_fill() const;  // mean over rows
};
Json to_json(const PackingStatistics& statistics);

}  // namespace flanmoe::data

template <>
struct flanmoe::EnumNames<flanmoe::data::Packing> {
  static constexpr std::pair<data::Packing, std::string_view> values[] = {
      {data::Packing::None, "none"}, {data::Packing::BestFit, "best-fit"}};
};
