// Google Benchmark of the parts of a sparse layer: every router, dispatch, combine, grouped
// products. build/flanmoe_bench --benchmark_filter=Route     (configure with
// -DFLANMOE_BENCHMARKS=ON)
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>

#include "moe/router.h"
#include "ops/routing.h"

namespace flanmoe {
namespace {

constexpr int64_t kTokens = 4096, kExperts = 64, kModel = 512, kHidden = 2048;

moe::Config make_config(const std::string& router) {
  moe::Config config;
  config.router = router;
  config.set_defaults();
  config.num_experts = kExperts;
  return config;
}

void route(benchmark::State& state, const std::string& router) {
  const at::NoGradGuard no_grad;
  const auto made = moe::make_router(make_config(router));
  moe::RouterInput input;
  input.logits_TE = at::randn({kTokens, kExperts});
  for (auto _ : state) benchmark::DoNotOptimize(made->route(input));
  state.SetItemsProcessed(state.iterations() * kTokens);
}

ops::Routing top_2_routing() {
  moe::Config config = make_config("top-2");
  config.is_dropless = true;
  moe::RouterInput input;
  input.logits_TE = at::randn({kTokens, kExperts});
  return moe::make_router(config)->route(input);
}

void set_bytes(benchmark::State& state, int64_t values, at::ScalarType dtype) {
  state.SetBytesProcessed(state.iterations() * values *
                          static_cast<int64_t>(c10::elementSize(dtype)));
}

void dispatch(benchmark::State& state, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const ops::Routing routing = top_2_routing();
  const at::Tensor x = at::randn({kTokens, kModel}).to(dtype);
  for (auto _ : state) benchmark::DoNotOptimize(ops::dispatch(x, routing));
  set_bytes(state, 2 * 2 * kTokens * kModel, dtype);
}

void combine(benchmark::State& state, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const ops::Routing routing = top_2_routing();
  const at::Tensor x = at::randn({2 * kTokens, kModel}).to(dtype);
  for (auto _ : state) benchmark::DoNotOptimize(ops::combine(x, routing));
  set_bytes(state, 3 * kTokens * kModel, dtype);
}

void set_flops(benchmark::State& state) {
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * 2 * kTokens * kModel * kHidden,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void grouped_matmul(benchmark::State& state, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const ops::Routing routing = top_2_routing();
  const at::Tensor x = at::randn({2 * kTokens, kModel}).to(dtype),
                   weight = at::randn({kExperts, kHidden, kModel}).to(dtype);
  for (auto _ : state)
    benchmark::DoNotOptimize(ops::grouped_matmul(x, weight, routing.expert_offsets));
  set_flops(state);
}

// What the grouped product is held against: one matrix for all rows, by the BLAS of libtorch.
void dense_linear(benchmark::State& state, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({2 * kTokens, kModel}).to(dtype),
                   weight = at::randn({kHidden, kModel}).to(dtype);
  for (auto _ : state) benchmark::DoNotOptimize(at::linear(x, weight));
  set_flops(state);
}

}  // namespace
}  // namespace flanmoe

int main(int argc, char** argv) {
  using namespace flanmoe;
  for (const std::string& router : moe::router_registry().names())
    benchmark::RegisterBenchmark(("Route/" + router).c_str(), route, router)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  using Run = void (*)(benchmark::State&, at::ScalarType);
  const std::pair<const char*, Run> parts[] = {{"Dispatch/", dispatch},
                                               {"Combine/", combine},
                                               {"GroupedMatmul/", grouped_matmul},
                                               {"DenseLinear/", dense_linear}};
  for (const auto& [name, dtype] : {std::pair{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}})
    for (const auto& [part, run] : parts)
      benchmark::RegisterBenchmark((std::string(part) + name).c_str(), run, dtype)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
