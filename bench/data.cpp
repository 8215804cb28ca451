// Examples from disk: ten million lines opened for the first and the second time, read in the order
// of a mixture, and tokenised. Peak memory is that of the process: run it alone with
// --benchmark_filter=stream_examples. FLANMOE_BENCH_EXAMPLES changes the number of lines; the file
// and what is made of it (some 5 GB) are written below the temporary folder and removed.
// FLANMOE_BENCH_TOKENIZER=FOLDER also tokenises them into the token cache.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/memory.h"
#include "base/random.h"
#include "data/mixture/mixture.h"
#include "data/source.h"
#include "data/token_cache.h"

namespace flanmoe::data {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Lines of some 200 bytes, of ten tasks.
void write_lines(const std::string& path, uint64_t num_lines) {
  std::ofstream file(path, std::ios::binary);
  for (uint64_t i = 0; i < num_lines; ++i)
    file << R"({"id":"example-)" << i << R"(","task":"task-)" << i % 10
         << R"(","inputs":"Which of these numbers is the largest: )" << mix64(i) % 1000000 << ", "
         << mix64(i + 1) % 1000000 << ", " << mix64(i + 2) % 1000000
         << R"(? Answer with the number.","targets":")" << mix64(i) % 1000000
         << R"(","split":"train","lang":"en"})" << '\n';
}

// The same through the token cache, made and then read at random.
void read_tokens(benchmark::State& state, const std::string& path,
                 const text::Tokenizer& tokenizer) {
  const auto start = std::chrono::steady_clock::now();
  const TokenCache cache(tokenizer);
  std::vector<std::shared_ptr<const TokenizedSource>> sources;
  for (const auto& source : open_sources(path, 1)) sources.push_back(cache.open(source));
  state.counters["tokenise_s"] = seconds_since(start);
  const auto again = std::chrono::steady_clock::now();
  for (const auto& source : open_sources(path, 1)) (void)TokenCache(tokenizer).open(source);
  state.counters["tokens_again_s"] = seconds_since(again);
  constexpr uint64_t kReads = 1'000'000;
  const auto reading = std::chrono::steady_clock::now();
  RandomStream random(RandomKey(1, RandomPurpose::Sampling));
  size_t num_tokens = 0;
  for (uint64_t i = 0; i < kReads; ++i) {
    const auto& source = random.pick(sources);
    const TokenizedExample example =
        source->get(random.below(static_cast<uint64_t>(source->size())));
    num_tokens += example.inputs.size() + example.targets.size();
  }
  state.counters["token_reads_per_s"] = static_cast<double>(kReads) / seconds_since(reading);
  state.counters["tokens_per_s"] = static_cast<double>(num_tokens) / seconds_since(reading);
}

void stream_examples(benchmark::State& state) {
  const char* asked = getenv("FLANMOE_BENCH_EXAMPLES");
  const uint64_t num_examples = asked ? std::stoull(asked) : 10'000'000;
  std::string folder = (std::filesystem::temp_directory_path() / "flanmoe-stream-XXXXXX").string();
  if (!mkdtemp(folder.data())) return state.SkipWithError("no temporary folder");
  setenv("FLANMOE_CACHE", (folder + "/cache").c_str(), 1);
  write_lines(folder + "/examples.jsonl", num_examples);
  const int64_t before = peak_memory_bytes();
  double first_open = 0, second_open = 0;
  constexpr uint64_t kReads = 1'000'000;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    (void)open_sources(folder + "/examples.jsonl", 1);
    first_open = seconds_since(start);
    const auto again = std::chrono::steady_clock::now();
    const Mixture mixture = open_mixture(folder + "/examples.jsonl", {}, 1);
    second_open = seconds_since(again);
    for (uint64_t i = 0; i < kReads; ++i) benchmark::DoNotOptimize(mixture.get(i));
    const double reading = seconds_since(again) - second_open;
    state.counters["reads_per_s"] = static_cast<double>(kReads) / reading;
    if (const char* tokenizer = getenv("FLANMOE_BENCH_TOKENIZER"))
      read_tokens(state, folder + "/examples.jsonl", text::Tokenizer::load(tokenizer));
  }
  state.counters["first_open_s"] = first_open;
  state.counters["second_open_s"] = second_open;
  state.counters["peak_mb"] = static_cast<double>(peak_memory_bytes()) / 1e6;
  state.counters["peak_before_mb"] = static_cast<double>(before) / 1e6;
  std::filesystem::remove_all(folder);
}
BENCHMARK(stream_examples)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace flanmoe::data
