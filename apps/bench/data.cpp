#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/random.h"
#include "bench/bench.h"
#include "data/batch.h"
#include "data/mixture/mixture.h"
#include "model/accounting.h"
#include "model/folder.h"
#include "text/tokenizer.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/optimizers/optimizer.h"

namespace flanmoe::apps {
namespace {

struct Examples {
  std::vector<data::TokenizedExample> tokenized;  // in shuffled order
  double render_s = 0, tokenize_s = 0;

  int64_t num_tokens() const {
    size_t count = 0;
    for (const auto& example : tokenized) count += example.inputs.size() + example.targets.size();
    return static_cast<int64_t>(count);
  }
  data::TokenizedExample draw(uint64_t position) const {
    return tokenized[position % tokenized.size()];
  }
};

constexpr int64_t kMaxExamples = 1 << 20;
constexpr int64_t kOfEndlessSource = 2000;

void write_tokens(const Examples& examples, const std::string& path) {
  std::string lines;
  for (const data::TokenizedExample& example : examples.tokenized)
    lines += Json{{"inputs", example.inputs}, {"targets", example.targets}}.dump() + "\n";
  write_file_atomically(path, lines);
}

// As many draws of the mixture as it has examples (kOfEndlessSource for a task without an end),
// rendered and tokenised once.
Examples load_examples(const BenchSettings& settings) {
  if (settings.tokenizer.empty())
    fail(ErrorCode::InvalidArgument, "[--tokenizer] expected a folder with a tokenizer");
  const auto tokenizer = text::Tokenizer::load(settings.tokenizer);
  const data::Mixture mixture =
      data::open_mixture(settings.data, {}, static_cast<uint64_t>(settings.common.seed));
  int64_t num_examples = 0;
  for (const data::MixtureTask& task : mixture.tasks())
    num_examples += task.num_examples < 0 ? kOfEndlessSource : task.num_examples;
  num_examples = std::min(num_examples, kMaxExamples);
  if (settings.num_examples > 0) num_examples = settings.num_examples;

  Examples examples;
  std::vector<data::PromptText> texts;
  examples.render_s = seconds_of([&] {
    for (int64_t i = 0; i < num_examples; ++i)
      texts.push_back(mixture.text(mixture.locate(static_cast<uint64_t>(i)), tokenizer));
  });
  examples.tokenize_s = seconds_of([&] {
    for (size_t i = 0; i < texts.size(); ++i)
      examples.tokenized.push_back({mix64(i), tokenizer.encode_with_eos(texts[i].inputs),
                                    tokenizer.encode_with_eos(texts[i].targets)});
  });
  if (!settings.tokens_out.empty()) write_tokens(examples, settings.tokens_out);
  return examples;
}

data::BatchConfig batch_config(const BenchSettings& settings, data::Packing packing) {
  data::BatchConfig config;
  config.batch_size = settings.batch;
  config.input_length = settings.input_length;
  config.target_length = settings.target_length;
  config.packing = packing;
  return config;
}

// Over as many examples as there are.
data::PackingStatistics run_through(const Examples& examples, const data::BatchConfig& config,
                                    int64_t& num_positions) {
  data::BatchStream stream([&](uint64_t position) { return examples.draw(position); }, config, 0);
  data::PackingStatistics statistics;
  while (statistics.num_segments < static_cast<int64_t>(examples.tokenized.size())) {
    const data::Batch batch = stream.next();
    statistics.add(batch.statistics);
    num_positions += batch.num_rows * (batch.input_length + batch.target_length);
  }
  return statistics;
}

}  // namespace

Json bench_data(const BenchSettings& settings) {
  const Examples examples = load_examples(settings);
  const auto num_tokens = static_cast<double>(examples.num_tokens());
  Json json{{"examples", examples.tokenized.size()},
            {"tokens", examples.num_tokens()},
            {"input_length", settings.input_length},
            {"target_length", settings.target_length},
            {"render_tokens_per_s", num_tokens / examples.render_s},
            {"tokenize_tokens_per_s", num_tokens / examples.tokenize_s}};
  for (const auto packing : {data::Packing::None, data::Packing::BestFit}) {
    const data::BatchConfig config = batch_config(settings, packing);
    std::vector<double> seconds;
    data::PackingStatistics statistics;
    int64_t num_positions = 0;
    for (int64_t i = 0; i < settings.repeats; ++i) {
      num_positions = 0;
      seconds.push_back(
          seconds_of([&] { statistics = run_through(examples, config, num_positions); }));
    }
    const auto tokens = static_cast<double>(statistics.tokens.inputs + statistics.tokens.targets);
    Json entry = to_json(statistics);
    entry["tokens_per_s"] = tokens / median(seconds);
    entry["share_of_positions"] = tokens / static_cast<double>(num_positions);
    json[packing == data::Packing::None ? "padded" : "packed"] = entry;
    if (packing == data::Packing::BestFit)
      json["tokens_per_s"] =
          tokens /
          (tokens / num_tokens * (examples.render_s + examples.tokenize_s) + median(seconds));
  }
  return json;
}

Json bench_packing(const BenchSettings& settings) {
  const Examples examples = load_examples(settings);
  const model::ModelConfig config = bench_model_config(settings);
  const model::Model model(config, 0, at::kFloat, settings.common.torch_device());
  train::OptimizerConfig optimizer_config;
  optimizer_config.name = settings.optimizer;
  const auto optimizer = train::make_optimizer(model.parameters(), optimizer_config);
  int64_t step = 0;
  const auto run_step = [&](const data::Batch& batch) {
    nn::Context context;
    context.is_training = true;
    context.compute_dtype = settings.common.scalar_type();
    context.step = ++step;
    model.loss(train::to_model_input(batch, config, settings.common.torch_device()), context)
        .loss.backward();
    optimizer->step(
        step, 1e-4,
        train::compute_clip_scale(train::compute_gradient_norm(model.parameters()), 1.0));
    train::clear_gradients(model.parameters());
  };

  struct Arm {
    const char* name;
    data::BatchStream stream;
    int64_t num_tokens = 0, num_positions = 0;
    double seconds = 0;
  };
  const auto make_arm = [&](const char* name, data::BatchConfig batch) {
    return Arm{name, data::BatchStream([&](uint64_t position) { return examples.draw(position); },
                                       batch, static_cast<uint64_t>(settings.common.seed))};
  };
  data::BatchConfig packed = batch_config(settings, data::Packing::BestFit),
                    bucketed = batch_config(settings, data::Packing::None);
  const data::PackingStatistics statistics =
      data::measure_packing([&](uint64_t position) { return examples.draw(position); }, packed, 0,
                            static_cast<int64_t>(examples.tokenized.size()));
  bucketed.batch_size = std::max<int64_t>(
      1, settings.batch * statistics.num_segments / std::max<int64_t>(1, statistics.num_rows));
  data::BatchConfig unsorted = bucketed;
  unsorted.bucket_batches = 1;
  std::vector<Arm> arms;
  for (const std::string& name : settings.arms) {
    if (name == "padded")
      arms.push_back(make_arm("padded", unsorted));
    else if (name == "bucketed")
      arms.push_back(make_arm("bucketed", bucketed));
    else if (name == "packed")
      arms.push_back(make_arm("packed", packed));
    else
      fail(ErrorCode::InvalidArgument, "[--arms] unknown arm '{}'{}", name,
           suggestion(name, {"padded", "bucketed", "packed"}));
  }
  for (int64_t i = 0; i <= settings.repeats; ++i)
    for (Arm& arm : arms) {
      const data::Batch batch = arm.stream.next();
      const double seconds = seconds_of([&] { run_step(batch); });
      if (i == 0) continue;  // the warm-up
      arm.seconds += seconds;
      arm.num_tokens += batch.num_input_tokens + batch.num_target_tokens;
      arm.num_positions += batch.num_rows * (batch.input_length + batch.target_length);
    }
  Json json{{"shape", settings.shape},
            {"input_length", settings.input_length},
            {"target_length", settings.target_length},
            {"batch", settings.batch},
            {"padded_batch", bucketed.batch_size}};
  for (const Arm& arm : arms) {
    const double tokens_per_s = static_cast<double>(arm.num_tokens) / arm.seconds;
    json[arm.name] = {{"tokens_per_s", tokens_per_s},
                      {"share_of_positions", static_cast<double>(arm.num_tokens) /
                                                 static_cast<double>(arm.num_positions)}};
    if (arms.front().name == std::string("padded"))
      json[arm.name]["against_padded"] =
          tokens_per_s * arms.front().seconds / static_cast<double>(arms.front().num_tokens);
  }
  json["optimizer"] = settings.optimizer;
  json["peak_memory_bytes"] = peak_memory_bytes();
  return json;
}

}  // namespace flanmoe::apps
