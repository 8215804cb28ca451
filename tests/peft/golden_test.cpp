// Every kind at one site against the formulas as others computed them (tests/golden/README.md, PEFT
// math): outputs, gradients, load-balance losses, in float64.
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>

#include <map>

#include "peft/registry.h"
#include "support/golden.h"
#include "support/tensors.h"

namespace flanmoe::peft {
namespace {

using testing::compare;

constexpr double kAbsolute = 1e-11, kRelative = 1e-10;

const testing::Golden& golden() {
  static const testing::Golden loaded = testing::load_golden("peft-math");
  return loaded;
}

// Where a parameter's values are in the golden file.
using Sources = std::map<std::string, std::string>;  // part -> name

struct Case {
  std::string output, gradients;  // names; no gradients: ""
  ComponentConfig config;
  nn::SiteKind site = nn::SiteKind::Projection;
  int64_t num_heads = 1;
  Sources sources;
};

ComponentConfig mixture(const char* kind, RouterInput input, int64_t top_k) {
  ComponentConfig config;
  config.kind = kind;
  config.num_experts = 5;
  config.router_input = input;
  config.top_k = top_k;
  if (config.kind == "molora") config.alpha = 8;
  return config;
}

std::vector<Case> make_cases() {
  std::vector<Case> cases;
  ComponentConfig config;
  config.kind = "ia3";
  cases.push_back({"ia3.attention",
                   "grad.ia3.attention",
                   config,
                   nn::SiteKind::Projection,
                   1,
                   {{"ia3_l", "ia3.l"}}});
  cases.push_back({"ia3.feed_forward",
                   "grad.ia3.feed_forward",
                   config,
                   nn::SiteKind::Activation,
                   1,
                   {{"ia3_l", "ia3.l_ff"}}});
  config.kind = "lora";
  const Sources low_rank{{"lora_A.weight", "lora.A"}, {"lora_B.weight", "lora.B"}};
  config.alpha = 16;
  cases.push_back({"lora.alpha16", "", config, nn::SiteKind::Projection, 1, low_rank});
  config.alpha = 8;
  cases.push_back(
      {"lora.alpha8", "grad.lora.alpha8", config, nn::SiteKind::Projection, 1, low_rank});
  const std::string merged[] = {"soft", "top1.raw", "top2.raw"};
  for (int64_t top_k = 0; top_k < 3; ++top_k) {
    const auto add = [&](const std::string& name, const char* kind, RouterInput input,
                         nn::SiteKind site, int64_t num_heads, const Sources& sources) {
      cases.push_back({name + "." + merged[top_k], top_k == 0 ? "grad." + name + ".soft" : "",
                       mixture(kind, input, top_k), site, num_heads, sources});
    };
    add("mov.router_on_activation", "mov", RouterInput::Site, nn::SiteKind::Projection, 1,
        {{"mov_l", "mov.l"}, {"router.weight", "mov.router_out"}});
    add("mov.router_on_layer_input", "mov", RouterInput::Block, nn::SiteKind::Projection, 1,
        {{"mov_l", "mov.l"}, {"router.weight", "mov.router_in"}});
    add("mov.feed_forward", "mov", RouterInput::Site, nn::SiteKind::Activation, 1,
        {{"mov_l", "mov.l_ff"}, {"router.weight", "mov.router_ff"}});
    if (top_k == 0)
      add("mov.per_head", "mov", RouterInput::Site, nn::SiteKind::Projection, 3,
          {{"mov_l", "mov.l_heads"}, {"router.weight", "mov.router_heads"}});
    add("molora", "molora", RouterInput::Site, nn::SiteKind::Projection, 1,
        {{"lora_A.weight", "molora.A"},
         {"lora_B.weight", "molora.B"},
         {"router.weight", "molora.router"}});
  }
  return cases;
}

// Golden vectors of heads are [H, n, d], ours [n, H d].
at::Tensor to_own(const at::Tensor& values, const nn::Parameter& parameter) {
  return values.dim() == 3 && parameter.tensor.dim() == 2
             ? values.transpose(0, 1).reshape(parameter.tensor.sizes())
             : values;
}

nn::Site make_site(const Case& c) {
  nn::Site site;
  site.name = "site";
  site.kind = c.site;
  site.in_dim = c.site == nn::SiteKind::Activation ? 32 : 16;
  site.out_dim = c.site == nn::SiteKind::Activation ? 32 : 24;
  site.num_heads = c.num_heads;
  site.block_dim = 16;
  return site;
}

struct Pass {
  at::Tensor x, output;
  nn::Parameters parameters;
  nn::Auxiliary auxiliary;
};

class WeightSink final : public nn::RoutingSink {
 public:
  void record(const std::string&, const ops::Routing&) override {}
  void record_merging(const std::string&, const at::Tensor& values,
                      const nn::TokenLayout&) override {
    weights = values;
  }
  at::Tensor weights;
};

Pass run(const Case& c, nn::RoutingSink* sink = nullptr, double load_balance = 0) {
  ComponentConfig config = c.config;
  config.load_balance_coefficient = load_balance;
  const nn::Site site = make_site(c);
  const MakeContext make{at::TensorOptions().dtype(at::kDouble),
                         RandomKey(1, RandomPurpose::Initialisation)};
  const Made made = kind_registry().get(config.kind).make(config, site, make);
  Pass result;
  result.parameters = made.parameters;
  for (const nn::Parameter& parameter : made.parameters) {
    const c10::AutoGradMode off(false);
    const at::Tensor values = golden()["in." + c.sources.at(parameter.name.substr(5))];
    at::Tensor leaf = parameter.tensor;
    leaf.copy_(to_own(values, parameter));
  }
  const nn::TokenLayout layout = nn::make_layout(2, 7);
  nn::Context context;
  context.is_training = true;
  context.compute_dtype = at::kDouble;
  context.routing_sink = sink;
  context.auxiliary = &result.auxiliary;
  result.x = golden()["in.x"].detach().clone().requires_grad_(true);
  const nn::DeltaCall call{context, layout, result.x, {}, nullptr};
  if (c.site == nn::SiteKind::Activation) {
    const at::Tensor activated = at::matmul(result.x, golden()["in.Wi"].t()).relu();
    result.output =
        at::matmul(made.delta->apply(activated, activated, call), golden()["in.Wo"].t());
  } else {
    result.output = made.delta->apply(result.x, at::matmul(result.x, golden()["in.W"].t()), call);
  }
  return result;
}

TEST(GoldenPeft, OutputsAndGradients) {
  for (const Case& c : make_cases()) {
    WeightSink sink;
    // the weights by themselves, and all in one pass
    for (nn::RoutingSink* given :
         {static_cast<nn::RoutingSink*>(&sink), static_cast<nn::RoutingSink*>(nullptr)}) {
      const Pass result = run(c, given);
      EXPECT_EQ(compare(result.output, golden()[c.output], kAbsolute, kRelative), "") << c.output;
      if (c.gradients.empty()) continue;
      testing::probe(result.output).backward();
      EXPECT_EQ(compare(result.x.grad(), golden()[c.gradients + ".x"], kAbsolute, kRelative), "")
          << c.gradients;
      for (const nn::Parameter& parameter : result.parameters)
        EXPECT_EQ(
            compare(parameter.tensor.grad(),
                    to_own(golden()[c.gradients + "." + c.sources.at(parameter.name.substr(5))],
                           parameter),
                    kAbsolute, kRelative),
            "")
            << c.gradients << " " << parameter.name;
    }
  }
}

TEST(GoldenPeft, RouterProbabilities) {
  for (const Case& c : make_cases()) {
    if (c.config.top_k > 0 || !kind_registry().get(c.config.kind).uses.router) continue;
    WeightSink sink;
    run(c, &sink);
    const std::string name = c.output.substr(0, c.output.rfind('.')) + ".router_probs";
    EXPECT_EQ(compare(sink.weights, golden()[name], kAbsolute, kRelative), "") << name;
  }
}

TEST(GoldenPeft, LoadBalanceLosses) {
  size_t num_checked = 0;
  for (const Case& c : make_cases())
    for (const std::string name : {"mov.router_on_layer_input", "molora"}) {
      if (c.config.top_k == 0 || !c.output.starts_with(name)) continue;
      const Json& expected =
          golden().expected["load_balance"][name]["top" + std::to_string(c.config.top_k)];
      const Pass result = run(c, nullptr, golden().expected["load_balance"][name]["alpha"]);
      ASSERT_EQ(result.auxiliary.losses.size(), 1u);
      const nn::AuxiliaryLoss& loss = result.auxiliary.losses[0];
      EXPECT_EQ(loss.name, "load_balance_loss");
      EXPECT_NEAR(loss.value.item<double>(), expected["n_sum_fP"].get<double>(), 1e-12);
      EXPECT_NEAR(loss.coefficient * loss.value.item<double>(), expected["loss"].get<double>(),
                  1e-14);
      ++num_checked;
    }
  EXPECT_EQ(num_checked, 4u);
}

}  // namespace
}  // namespace flanmoe::peft
