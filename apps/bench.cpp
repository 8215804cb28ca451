#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "base/memory.h"
#include "base/progress.h"
#include "base/random.h"
#include "common.h"
#include "model/accounting.h"
#include "model/folder.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/optimizers/optimizer.h"
#include "verbs.h"

namespace flanmoe::apps {
namespace {

struct Settings {
  Common common;
  std::string what, shape = "flan-t5-small", optimizer = "adafactor";
  int64_t batch = 8, input_length = 256, target_length = 64, repeats = 5;
};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The better median of at::mm at 2048^3 and 4096^3 in the dtype and threads of the run (DESIGN.md,
// "Plain matmul rate").
class MatmulRate {
 public:
  explicit MatmulRate(const Common& common) {
    const auto options =
        at::TensorOptions().dtype(common.scalar_type()).device(common.torch_device());
    for (int64_t size : {2048, 4096})
      operands_.push_back({at::randn({size, size}, options), at::randn({size, size}, options), {}});
  }
  void measure() {
    const at::NoGradGuard no_grad;
    for (Operands& o : operands_) o.seconds.push_back(seconds_of([&] { (void)at::mm(o.a, o.b); }));
  }
  // The first measurement of each size is the warm-up.
  double flops_per_s() const {
    double best = 0;
    for (const Operands& o : operands_) {
      const double n = static_cast<double>(o.a.size(0));
      best = std::max(best, 2 * n * n * n / median({o.seconds.begin() + 1, o.seconds.end()}));
    }
    return best;
  }

 private:
  struct Operands {
    at::Tensor a, b;
    std::vector<double> seconds;
  };
  std::vector<Operands> operands_;
};

data::Batch random_batch(const Settings& settings, int64_t vocab_size) {
  RandomStream stream(
      RandomKey(static_cast<uint64_t>(settings.common.seed), RandomPurpose::Generator));
  const auto draw = [&](int64_t length) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i + 1 < length; ++i)
      ids.push_back(static_cast<int32_t>(stream.between(3, vocab_size - 1)));
    ids.push_back(1);
    return ids;
  };
  std::vector<data::TokenizedExample> examples;
  for (int64_t i = 0; i < settings.batch; ++i)
    examples.push_back(
        {static_cast<uint64_t>(i), draw(settings.input_length), draw(settings.target_length)});
  return data::make_batch(examples);
}

Json bench_matmul(const Settings& settings) {
  MatmulRate rate(settings.common);
  for (int64_t i = 0; i <= settings.repeats; ++i) rate.measure();
  return {{"flops_per_s", rate.flops_per_s()},
          {"matmul_flops_per_s", rate.flops_per_s()},
          {"fraction_of_matmul", 1.0}};
}

// Whole optimizer steps, alternating with the matmul that they are held against.
Json bench_train(const Settings& settings) {
  const std::vector<std::string> sizes = model::size_names();
  const bool is_size = std::find(sizes.begin(), sizes.end(), settings.shape) != sizes.end();
  const model::ModelConfig config =
      is_size ? model::named_size(settings.shape) : model::load_model_config(settings.shape);
  const model::Model model(config, 0, at::kFloat, settings.common.torch_device());
  train::OptimizerConfig optimizer_config;
  optimizer_config.name = settings.optimizer;
  const auto optimizer = train::make_optimizer(model.parameters(), optimizer_config);
  const data::Batch batch = random_batch(settings, std::min<int64_t>(config.vocab_size, 32000));
  const model::ModelInput input =
      train::to_model_input(batch, config, settings.common.torch_device());

  double loss = 0;
  int64_t step = 0;
  const auto run_step = [&] {
    nn::Context context;
    context.is_training = true;
    context.compute_dtype = settings.common.scalar_type();
    context.step = ++step;
    const model::LossOutput output = model.loss(input, context);
    output.loss.backward();
    optimizer->step(
        step, 1e-4,
        train::compute_clip_scale(train::compute_gradient_norm(model.parameters()), 1.0));
    train::clear_gradients(model.parameters());
    loss = output.cross_entropy.item<double>();
  };
  MatmulRate rate(settings.common);
  std::vector<double> seconds;
  for (int64_t i = 0; i <= settings.repeats + 1; ++i) {
    rate.measure();
    const double s = seconds_of(run_step);
    if (i >= 2) seconds.push_back(s);
  }
  if (!(loss > 0)) fail(ErrorCode::NonFinite, "[bench] the loss of step {} is {}", step, loss);
  const double median_s = median(seconds);
  const double flops =
      model::count_train_flops(config, batch.num_input_tokens, batch.num_target_tokens,
                               settings.input_length, settings.target_length);
  return {{"median_s", median_s},
          {"min_s", *std::min_element(seconds.begin(), seconds.end())},
          {"max_s", *std::max_element(seconds.begin(), seconds.end())},
          {"tokens_per_s",
           static_cast<double>(batch.num_input_tokens + batch.num_target_tokens) / median_s},
          {"flops_per_s", flops / median_s},
          {"matmul_flops_per_s", rate.flops_per_s()},
          {"fraction_of_matmul", flops / median_s / rate.flops_per_s()},
          {"optimizer", settings.optimizer},
          {"batch", settings.batch},
          {"input_length", settings.input_length},
          {"target_length", settings.target_length},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

}  // namespace

Verb add_bench(Options options) {
  auto settings = std::make_shared<Settings>();
  options.positional("WHAT", settings->what, "train or matmul");
  options.option("shape", settings->shape, "a named size or a model folder");
  options.option("optimizer", settings->optimizer, "adafactor or adamw");
  options.option("batch", settings->batch, "rows");
  options.option("input-length", settings->input_length, "tokens");
  options.option("target-length", settings->target_length, "tokens");
  options.option("repeats", settings->repeats, "measurements; the median counts");
  settings->common.add_to(options);
  options.footer(
      "Example:\n  flanmoe bench train --shape flan-t5-small --dtype bfloat16 --threads 2 --json");
  return [settings] {
    settings->common.apply();
    const std::map<std::string, Json (*)(const Settings&)> benches = {{"train", bench_train},
                                                                      {"matmul", bench_matmul}};
    const auto found = benches.find(settings->what);
    if (found == benches.end())
      fail(ErrorCode::InvalidArgument, "[bench] unknown benchmark '{}'{}", settings->what,
           suggestion(settings->what, {"train", "matmul"}));
    if (settings->repeats < 1)
      fail(ErrorCode::InvalidArgument, "[--repeats] expected at least 1, found {}",
           settings->repeats);
    Json json = {{"what", settings->what},
                 {"shape", settings->shape},
                 {"dtype", settings->common.dtype},
                 {"device", settings->common.device},
                 {"threads", at::get_num_threads()}};
    json.update(found->second(*settings));
    if (settings->common.is_json) {
      print_json(json);
      return;
    }
    std::string text;
    for (const auto& [key, value] : json.items())
      text += fmt::format("{:<22} {}\n", key,
                          value.is_number_float() ? fmt::format("{:.6g}", value.get<double>())
                          : value.is_string()     ? value.get<std::string>()
                                                  : value.dump());
    print(text);
  };
}

}  // namespace flanmoe::apps
