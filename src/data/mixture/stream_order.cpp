#include "data/mixture/stream_order.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

// Positions of a window for every source: one each, the rest by largest remainder.
std::vector<uint64_t> divide_window(const std::vector<OrderedSource>& sources) {
  double total = 0;
  for (const OrderedSource& source : sources) total += source.rate;
  std::vector<uint64_t> quotas(sources.size());
  std::vector<double> wanted(sources.size());
  uint64_t num_given = 0;
  for (size_t s = 0; s < sources.size(); ++s) {
    wanted[s] = sources[s].rate / total * static_cast<double>(StreamOrder::kWindow);
    quotas[s] = std::max<uint64_t>(1, static_cast<uint64_t>(wanted[s]));
    num_given += quotas[s];
  }
  const auto shortfall = [&](size_t s) { return wanted[s] - static_cast<double>(quotas[s]); };
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shortfall(a) > shortfall(b); });
  for (size_t i = 0; num_given < StreamOrder::kWindow; i = (i + 1) % order.size(), ++num_given)
    ++quotas[order[i]];
  // Too many were given where tiny sources got their one: the largest give it back.
  for (; num_given > StreamOrder::kWindow; --num_given)
    --*std::max_element(quotas.begin(), quotas.end());
  return quotas;
}

}  // namespace

StreamOrder::StreamOrder(std::vector<OrderedSource> sources, uint64_t seed)
    : sources_(std::move(sources)), seed_(seed) {
  if (sources_.empty())
    fail(ErrorCode::InvalidArgument, "[data.mixture] there are no tasks to mix");
  if (sources_.size() > kWindow / 2)
    fail(ErrorCode::Unsupported, "[data.mixture] {} tasks are too many, at most {} can be mixed",
         sources_.size(), kWindow / 2);
  for (OrderedSource& source : sources_) {
    if (source.size == 0)
      fail(ErrorCode::InvalidArgument, "[data.mixture] task '{}' has no examples", source.name);
    if (!(source.rate > 0))
      fail(ErrorCode::InvalidConfig, "[data.mixture] task '{}' has no rate ({})", source.name,
           source.rate);
    if (source.num_used <= 0 || (source.size > 0 && source.num_used > source.size))
      source.num_used = source.size;
  }

  const std::vector<uint64_t> quotas = divide_window(sources_);
  struct Slot {
    double place;
    uint32_t source;
  };
  std::vector<Slot> slots;
  slots.reserve(kWindow);
  const RandomKey key = RandomKey(seed_, RandomPurpose::DataOrder).fold("layout");
  for (uint32_t s = 0; s < sources_.size(); ++s) {
    const RandomKey source_key = key.fold(s);
    const double width = 1.0 / static_cast<double>(quotas[s]);
    for (uint64_t i = 0; i < quotas[s]; ++i)
      slots.push_back({(static_cast<double>(i) + source_key.uniform(i)) * width, s});
  }
  std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) {
    return a.place != b.place ? a.place < b.place : a.source < b.source;
  });
  layout_.reserve(kWindow);
  slots_.resize(sources_.size());
  for (uint32_t slot = 0; slot < kWindow; ++slot) {
    layout_.push_back(slots[slot].source);
    slots_[slots[slot].source].push_back(slot);
  }
}

StreamOrder::Draw StreamOrder::locate(uint64_t position) const {
  const uint64_t window = position / kWindow;
  const RandomKey key(seed_, RandomPurpose::DataOrder);
  const uint64_t offset = key.fold("window").fold(window).below(kWindow, 0);
  const uint64_t slot =
      (position + offset) % kWindow;  // kWindow divides 2^64: no harm from wrapping
  const size_t s = layout_[slot];
  const OrderedSource& source = sources_[s];
  // How many of the source's slots came before this one in this window, counted from `offset`
  // around the circle.
  const std::vector<uint32_t>& slots = slots_[s];
  const auto rank_of = [&](uint64_t at) {
    return static_cast<uint64_t>(std::lower_bound(slots.begin(), slots.end(), at) - slots.begin());
  };
  const uint64_t quota = slots.size();
  const uint64_t rank = (rank_of(slot) + quota - rank_of(offset)) % quota;
  const uint64_t occurrence = window * quota + rank;

  if (source.num_used < 0) return {s, occurrence, 0};
  const auto num_used = static_cast<uint64_t>(source.num_used);
  const uint64_t epoch = occurrence / num_used;
  const RandomKey source_key = key.fold("epoch").fold(source.name).fold(s);
  uint64_t index = Permutation(num_used, source_key.fold(epoch))(occurrence % num_used);
  if (source.size < 0) return {s, index, epoch};
  if (num_used < static_cast<uint64_t>(source.size))
    index = Permutation(static_cast<uint64_t>(source.size),
                        key.fold("subset").fold(source.name))(index);
  return {s, index, epoch};
}

double StreamOrder::realised_rate(size_t source) const {
  return static_cast<double>(slots_.at(source).size()) / static_cast<double>(kWindow);
}

}  // namespace flanmoe::data
