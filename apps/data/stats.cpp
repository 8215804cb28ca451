#include <algorithm>
#include <thread>

#include "base/json.h"
#include "base/memory.h"
#include "data/batch.h"
#include "data/data.h"
#include "data/mixture/shares.h"

namespace flanmoe::apps {

namespace {

struct State {
  DataSettings settings;
  std::string model;
  int64_t num_draws = 100000, num_sampled = 0, threads = 0;
  data::BatchConfig batch = {.input_length = 2048, .target_length = 512};
};

// Lengths in tokens, </s> included, of examples drawn from the stream.
struct Lengths {
  std::vector<int32_t> inputs, targets;
  int64_t num_dropped_exemplars = 0;
};

Lengths measure_lengths(const data::Mixture& mixture, const text::Tokenizer& tokenizer,
                        uint64_t num_sampled, int64_t num_threads) {
  Lengths lengths;
  lengths.inputs.resize(num_sampled);
  lengths.targets.resize(num_sampled);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(num_threads));
  std::vector<int64_t> num_dropped(static_cast<size_t>(num_threads));
  const auto work = [&](size_t thread) {
    try {
      for (uint64_t i = thread; i < num_sampled; i += static_cast<uint64_t>(num_threads)) {
        const data::PromptText text = mixture.text(mixture.locate(i), tokenizer);
        lengths.inputs[i] = static_cast<int32_t>(tokenizer.encode(text.inputs).size() + 1);
        lengths.targets[i] = static_cast<int32_t>(tokenizer.encode(text.targets).size() + 1);
        num_dropped[thread] += static_cast<int64_t>(text.num_dropped_exemplars);
      }
    } catch (...) {
      errors[thread] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (size_t t = 0; t < static_cast<size_t>(num_threads); ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
  for (const int64_t count : num_dropped) lengths.num_dropped_exemplars += count;
  return lengths;
}

Json describe_lengths(std::vector<int32_t> lengths, int64_t limit) {
  std::sort(lengths.begin(), lengths.end());
  int64_t total = 0, num_cut = 0, num_lost = 0;
  for (const int32_t length : lengths) {
    total += length;
    if (length > limit) {
      ++num_cut;
      num_lost += length - limit;
    }
  }
  const auto at = [&](double share) {
    return lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  return {{"num_tokens", total},
          {"mean", static_cast<double>(total) / static_cast<double>(lengths.size())},
          {"p5", at(0.05)},
          {"p50", at(0.5)},
          {"p95", at(0.95)},
          {"p99", at(0.99)},
          {"max", lengths.back()},
          {"limit", limit},
          {"num_cut", num_cut},
          {"num_lost_tokens", num_lost}};
}

Json shares_json(const std::vector<data::Share>& shares) {
  Json json = Json::array();
  for (const data::Share& share : shares)
    json.push_back({{"name", share.name},
                    {"collection", share.collection},
                    {"cluster", share.cluster},
                    {"num_tasks", share.num_tasks},
                    {"num_examples", share.num_examples},
                    {"asked", share.asked},
                    {"realised", share.realised}});
  return json;
}

// The largest ones; the rest is in the JSON.
std::string shares_table(const std::string& title, std::vector<data::Share> shares) {
  constexpr size_t kShown = 40;
  std::stable_sort(shares.begin(), shares.end(),
                   [](const auto& a, const auto& b) { return a.asked > b.asked; });
  const size_t num_left_out = shares.size() > kShown ? shares.size() - kShown : 0;
  shares.resize(shares.size() - num_left_out);
  std::vector<std::vector<std::string>> rows = {
      {title, "tasks", "examples", "asked", "realised", "difference"}};
  for (const data::Share& share : shares)
    rows.push_back({share.name.empty() ? "(none)" : share.name, std::to_string(share.num_tasks),
                    share.num_examples == 0  ? ""
                    : share.num_examples < 0 ? "endless"
                                             : std::to_string(share.num_examples),
                    percent(share.asked), percent(share.realised),
                    fmt::format("{:+.3f} %", 100 * (share.realised - share.asked))});
  return format_table(rows) +
         (num_left_out > 0 ? fmt::format("... and {} more (--json has all)\n", num_left_out) : "") +
         "\n";
}

std::string lengths_table(const Json& lengths) {
  std::vector<std::vector<std::string>> rows = {
      {"tokens", "total", "mean", "5 %", "median", "95 %", "99 %", "max", "limit", "cut", "lost"}};
  for (const auto& [side, values] : lengths.items()) {
    rows.push_back({side});
    for (const auto& [key, value] : values.items())
      rows.back().push_back(value.is_number_float() ? fmt::format("{:.1f}", value.get<double>())
                                                    : value.dump());
  }
  return format_table(rows) + "\n";
}

// Packing looks at lengths alone.
data::PackingStatistics measure_packing(const Lengths& lengths, const data::BatchConfig& config,
                                        uint64_t seed) {
  data::BatchConfig packed = config;
  packed.packing = data::Packing::BestFit;
  const auto draw = [&](uint64_t position) {
    const size_t i = position % lengths.inputs.size();
    data::TokenizedExample example;
    example.inputs.assign(static_cast<size_t>(lengths.inputs[i]), text::Tokenizer::kEosId);
    example.targets.assign(static_cast<size_t>(lengths.targets[i]), text::Tokenizer::kEosId);
    return example;
  };
  return data::measure_packing(draw, packed, seed, static_cast<int64_t>(lengths.inputs.size()));
}

std::string packing_text(const data::PackingStatistics& packing, const data::BatchConfig& config) {
  return fmt::format(
      "packed into rows of {} and {} tokens: {} rows, {:.1f} examples a row\n"
      "filled: the side that closes the row {}, inputs {}, targets {}\n",
      config.input_length, config.target_length, packing.num_rows,
      static_cast<double>(packing.num_segments) / static_cast<double>(packing.num_rows),
      percent(packing.closing_fill()), percent(packing.input_fill()),
      percent(packing.target_fill()));
}

}  // namespace

Verb add_data_stats(Options options) {
  auto state = std::make_shared<State>();
  options.option("model", state->model,
                 "folder with a tokenizer; without one nothing is counted in tokens");
  options.option("num-draws", state->num_draws, "draws that the realised shares are counted over");
  options.option("num-sampled", state->num_sampled,
                 "draws that are tokenised; 0: as many as there are examples, at most num-draws");
  options.option("input-length", state->batch.input_length,
                 "longest input in tokens, </s> included");
  options.option("target-length", state->batch.target_length,
                 "longest target in tokens, </s> included");
  options.option("packing-window", state->batch.packing_window, "examples packed together");
  options.option("threads", state->threads, "0 takes the physical cores");
  state->settings.add_to(options);
  options.footer(
      "Example:\n  flanmoe data stats --data train/ --model flan-t5-small --json\n  flanmoe data "
      "stats --data recipes/mixtures/flan2022-released.toml --folder my-data");
  return [state] {
    if (state->num_draws < 1 || state->num_sampled < 0 || state->threads < 0)
      fail(ErrorCode::InvalidArgument,
           "[data] --num-draws is {}, --num-sampled {} and --threads {}, expected 1, 0 and 0 or "
           "more",
           state->num_draws, state->num_sampled, state->threads);
    const data::Mixture mixture = state->settings.open();
    const data::Shares shares =
        data::measure_shares(mixture, static_cast<uint64_t>(state->num_draws));
    Json json = {{"data", state->settings.data},
                 {"num_draws", state->num_draws},
                 {"largest_difference", shares.largest_difference},
                 {"collections", shares_json(shares.collections)},
                 {"clusters", shares_json(shares.clusters)},
                 {"tasks", shares_json(shares.tasks)},
                 {"forms", shares_json(shares.forms)},
                 {"num_skipped", mixture.num_skipped},
                 {"held_out", mixture.held_out}};
    std::string report =
        shares_table("task", shares.tasks) + shares_table("cluster", shares.clusters) +
        shares_table("collection", shares.collections) + shares_table("form", shares.forms) +
        fmt::format("{} draws; realised shares are within {:.3f} % of those asked\n\n",
                    state->num_draws, 100 * shares.largest_difference);
    if (!state->model.empty()) {
      const text::Tokenizer tokenizer = text::Tokenizer::load(state->model);
      int64_t num_examples = 0;
      for (const data::MixtureTask& task : mixture.tasks())
        num_examples += task.num_examples < 0 ? state->num_draws : task.num_examples;
      const int64_t num_sampled =
          state->num_sampled > 0 ? state->num_sampled : std::min(num_examples, state->num_draws);
      const int64_t num_threads = state->threads > 0 ? state->threads : num_physical_cores();
      const Lengths lengths =
          measure_lengths(mixture, tokenizer, static_cast<uint64_t>(num_sampled), num_threads);
      json["num_sampled"] = num_sampled;
      json["num_dropped_exemplars"] = lengths.num_dropped_exemplars;
      json["lengths"] = {
          {"inputs", describe_lengths(lengths.inputs, state->batch.input_length)},
          {"targets", describe_lengths(lengths.targets, state->batch.target_length)}};
      const data::PackingStatistics packing =
          measure_packing(lengths, state->batch, static_cast<uint64_t>(state->settings.seed));
      json["packing"] = data::to_json(packing);
      report += lengths_table(json["lengths"]) + packing_text(packing, state->batch);
    }
    if (state->settings.is_json)
      print_json(json);
    else
      print(report);
  };
}

}  // namespace flanmoe::apps
