#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/memory.h"
#include "bench/bench.h"
#include "moe/feed_forward.h"
#include "ops/transformer.h"

namespace flanmoe::apps {
namespace {

nn::Parameters collect(const nn::FeedForward& block) {
  nn::Parameters parameters;
  block.collect(parameters);
  return parameters;
}

void fill(const nn::FeedForward& block, double std) {
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : collect(block))
    parameter.tensor.detach().copy_(
        at::randn(parameter.tensor.sizes(), parameter.tensor.options().requires_grad(false))
            .mul(std));
}

struct Recorder final : nn::RoutingSink {
  void record(const std::string&, const ops::Routing& recorded) override { routing = recorded; }
  ops::Routing routing;
};

// A router whose first choices are spread as asked: inputs have a constant 1 in front, by which the
// logarithms of the shares are added to noise of about the size of a Gumbel variable's.
void spread(const moe::FeedForward& block, const BenchSettings& settings) {
  const at::NoGradGuard no_grad;
  for (const nn::Parameter& parameter : collect(block)) {
    if (!parameter.tags.is_router) continue;
    const at::Tensor classifier_ED = parameter.tensor.detach();
    classifier_ED.normal_(0, 1.28 / std::sqrt(static_cast<double>(settings.d_model)));
    for (int64_t e = 0; e < settings.num_experts; ++e)
      classifier_ED[e][0] = settings.routing == "zipf" ? -std::log(static_cast<double>(e + 1)) : 0;
  }
}

at::Tensor make_rows(int64_t rows, const BenchSettings& settings) {
  at::Tensor x = at::randn({1, rows, settings.d_model},
                           at::TensorOptions().device(settings.common.torch_device()));
  x.select(2, 0).fill_(1);
  return x.to(settings.common.scalar_type()).requires_grad_(true);
}

}  // namespace

Json bench_moe(const BenchSettings& settings) {
  const at::ScalarType dtype = settings.common.scalar_type();
  const auto options = at::TensorOptions().dtype(dtype).device(settings.common.torch_device());
  moe::Config config;
  config.top_k = settings.top_k;
  config.num_experts = settings.num_experts;
  config.is_dropless = true;
  const nn::FeedForwardConfig shape{settings.d_model, settings.d_ff, settings.is_gated, 0};
  const moe::FeedForward sparse(shape, config, "encoder.block.1.layer.1", false, options);
  const nn::DenseFeedForward dense(shape, "encoder.block.1.layer.1", options);
  const double std = 1 / std::sqrt(static_cast<double>(settings.d_model));
  fill(sparse, std);
  fill(dense, std);
  spread(sparse, settings);

  const int64_t num_assigned = settings.num_tokens * settings.top_k;
  const at::Tensor x = make_rows(settings.num_tokens, settings),
                   x_assigned = make_rows(num_assigned, settings), grad = at::randn_like(x),
                   grad_assigned = at::randn_like(x_assigned);
  const nn::TokenLayout layout = nn::make_layout(1, settings.num_tokens),
                        layout_assigned = nn::make_layout(1, num_assigned);
  Recorder recorder;
  const auto run = [&](const nn::FeedForward& block, const at::Tensor& input,
                       const at::Tensor& output_grad, const nn::TokenLayout& tokens) {
    nn::Context context;
    context.compute_dtype = dtype;
    context.is_training = true;
    context.tokens = &tokens;
    context.routing_sink = &recorder;
    block.forward(input, context).output.backward(output_grad);
    input.mutable_grad() = at::Tensor();
    for (const nn::Parameter& parameter : collect(block))
      parameter.tensor.mutable_grad() = at::Tensor();
  };
  // Routing, dispatch and combine with everything but the experts' products.
  const auto run_without_experts = [&] {
    nn::Context context;
    context.compute_dtype = dtype;
    context.tokens = &layout;
    const at::Tensor rows = x.detach().view({settings.num_tokens, -1}).requires_grad_(true);
    const ops::Routing routing = sparse.route(rows, context);
    const at::Tensor dispatched = ops::dispatch(rows, routing);
    ops::combine(dispatched, routing).backward(grad.view({settings.num_tokens, -1}));
    for (const nn::Parameter& parameter : collect(sparse))
      parameter.tensor.mutable_grad() = at::Tensor();
  };

  MatmulRate rate(settings.common);
  std::vector<double> seconds, dense_seconds, other_seconds;
  for (int64_t i = 0; i <= settings.repeats; ++i) {
    rate.measure();
    const double a = seconds_of([&] { run(sparse, x, grad, layout); }),
                 b = seconds_of([&] { run(dense, x_assigned, grad_assigned, layout_assigned); }),
                 c = seconds_of(run_without_experts);
    if (i == 0) continue;  // the warm-up
    seconds.push_back(a);
    dense_seconds.push_back(b);
    other_seconds.push_back(c);
  }
  const ops::RoutingStatistics statistics = ops::compute_statistics(recorder.routing);
  const double median_s = median(seconds), dense_s = median(dense_seconds);
  const double flops = 3.0 * 2.0 * static_cast<double>(num_assigned * settings.d_model) *
                       static_cast<double>(settings.d_ff * (settings.is_gated ? 3 : 2));
  return {{"shape", fmt::format("{} experts, top-{}, d_model {}, d_ff {}{}", settings.num_experts,
                                settings.top_k, settings.d_model, settings.d_ff,
                                settings.is_gated ? ", gated" : "")},
          {"routing", settings.routing},
          {"num_tokens", settings.num_tokens},
          {"median_s", median_s},
          {"min_s", *std::min_element(seconds.begin(), seconds.end())},
          {"max_s", *std::max_element(seconds.begin(), seconds.end())},
          {"dense_median_s", dense_s},
          {"dense_min_s", *std::min_element(dense_seconds.begin(), dense_seconds.end())},
          {"ratio_to_dense", median_s / dense_s},
          {"routing_fraction", median(other_seconds) / median_s},
          {"load_variation", ops::load_variation(statistics.load)},
          {"largest_load", *std::max_element(statistics.load.begin(), statistics.load.end())},
          {"tokens_per_s", static_cast<double>(settings.num_tokens) / median_s},
          {"flops_per_s", flops / median_s},
          {"matmul_flops_per_s", rate.flops_per_s()},
          {"fraction_of_matmul", flops / median_s / rate.flops_per_s()},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

}  // namespace flanmoe::apps
