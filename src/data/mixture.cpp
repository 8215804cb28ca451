#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace flanmoe::data {
namespace {

constexpr uint64_t kWindow = 1u << 16;

}  // namespace

Mixture::Mixture(std::vector<std::shared_ptr<const Source>> sources, const MixtureConfig& config,
                 uint64_t seed)
    : sources_(std::move(sources)), seed_(seed) {
  if (sources_.empty())
    fail(ErrorCode::InvalidArgument, "[data.mixture] there are no tasks to mix");
  if (config.max_examples < 1)
    fail(ErrorCode::InvalidConfig, "[data.mixture] max_examples is {}, expected 1 or more",
         config.max_examples);
  if (!(config.temperature > 0))
    fail(ErrorCode::InvalidConfig, "[data.mixture] temperature is {}, expected more than 0",
         config.temperature);
  if (sources_.size() > kWindow / 2)
    fail(ErrorCode::Unsupported, "[data.mixture] {} tasks are too many, at most {} can be mixed",
         sources_.size(), kWindow / 2);

  // Relative to the cap, so that a low temperature does not overflow.
  for (const auto& source : sources_) {
    if (source->size() == 0)
      fail(ErrorCode::InvalidArgument, "[data.mixture] task '{}' has no examples", source->task());
    const int64_t size =
        source->size() < 0 ? config.max_examples : std::min(config.max_examples, source->size());
    rates_.push_back(std::pow(static_cast<double>(size) / static_cast<double>(config.max_examples),
                              1.0 / config.temperature));
  }
  const double total = std::accumulate(rates_.begin(), rates_.end(), 0.0);
  if (!(total > 0))
    fail(ErrorCode::InvalidConfig, "[data.mixture] temperature {} leaves no task a rate",
         config.temperature);
  for (double& rate : rates_) rate /= total;

  // Every source gets one position of the window, the rest goes by largest remainder.
  const size_t num_sources = sources_.size();
  std::vector<uint64_t> quotas(num_sources);
  std::vector<double> wanted(num_sources);
  uint64_t num_given = 0;
  for (size_t s = 0; s < num_sources; ++s) {
    wanted[s] = rates_[s] * static_cast<double>(kWindow);
    quotas[s] = std::max<uint64_t>(1, static_cast<uint64_t>(wanted[s]));
    num_given += quotas[s];
  }
  auto shortfall = [&](size_t s) { return wanted[s] - static_cast<double>(quotas[s]); };
  std::vector<size_t> order(num_sources);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shortfall(a) > shortfall(b); });
  for (size_t i = 0; num_given < kWindow; i = (i + 1) % num_sources, ++num_given)
    ++quotas[order[i]];
  // Too many were given where tiny sources got their one: the largest give it back.
  for (; num_given > kWindow; --num_given) --*std::max_element(quotas.begin(), quotas.end());

  for (size_t s = 0; s < num_sources; ++s)
    layout_.insert(layout_.end(), quotas[s], static_cast<uint32_t>(s));
  RandomStream random(RandomKey(seed_, RandomPurpose::DataOrder).fold("layout"));
  random.shuffle(layout_);
  slots_.resize(num_sources);
  for (uint32_t slot = 0; slot < kWindow; ++slot) slots_[layout_[slot]].push_back(slot);
}

Mixture::Draw Mixture::locate(uint64_t position) const {
  const uint64_t window = position / kWindow;
  const RandomKey key(seed_, RandomPurpose::DataOrder);
  const uint64_t offset = key.fold("window").fold(window).below(kWindow, 0);
  const uint64_t slot =
      (position + offset) % kWindow;  // kWindow divides 2^64: no harm from wrapping
  const size_t source = layout_[slot];
  // How many of the source's slots came before this one in this window, counted from `offset`
  // around the circle.
  const std::vector<uint32_t>& slots = slots_[source];
  const auto rank_of = [&](uint64_t at) {
    return static_cast<uint64_t>(std::lower_bound(slots.begin(), slots.end(), at) - slots.begin());
  };
  const uint64_t quota = slots.size();
  const uint64_t rank = (rank_of(slot) + quota - rank_of(offset)) % quota;
  const uint64_t occurrence = window * quota + rank;

  const int64_t size = sources_[source]->size();
  if (size < 0) return {source, occurrence};
  const auto num_examples = static_cast<uint64_t>(size);
  const uint64_t epoch = occurrence / num_examples;
  const Permutation permutation(
      num_examples, key.fold("epoch").fold(sources_[source]->task()).fold(source).fold(epoch));
  return {source, permutation(occurrence % num_examples)};
}

Example Mixture::get(uint64_t position) const {
  const Draw draw = locate(position);
  return sources_[draw.source]->get(draw.index);
}

std::vector<Mixture::Share> Mixture::shares() const {
  std::vector<Share> shares;
  for (size_t s = 0; s < sources_.size(); ++s)
    shares.push_back({sources_[s]->task(), sources_[s]->cluster(), rates_[s], sources_[s]->size()});
  return shares;
}

}  // namespace flanmoe::data
