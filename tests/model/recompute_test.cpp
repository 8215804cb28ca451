// Blocks that are computed anew in the backward pass: the same loss and gradients, and each routing
// is recorded once.
#include <gtest/gtest.h>

#include "model/model.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

using testing::compare;
using testing::index_tensor;

ModelInput make_packed_input(const ModelConfig& config) {
  std::vector<int64_t> inputs, targets;
  for (uint64_t row = 0; row < 2; ++row) {
    for (const int32_t id : testing::random_row(config, 9, row)) inputs.push_back(id);
    for (const int32_t id : testing::random_row(config, 5, 10 + row)) targets.push_back(id);
  }
  return make_input(index_tensor(inputs, {2, 9}),
                    index_tensor({1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0}, {2, 9}),
                    index_tensor(targets, {2, 5}),
                    index_tensor({1, 1, 2, 2, 2, 1, 1, 1, 0, 0}, {2, 5}), config, {11, 12, 13, 14});
}

class Counter final : public nn::RoutingSink {
 public:
  void record(const std::string&, const ops::Routing&) override { ++count; }
  int64_t count = 0;
};

struct Pass {
  double loss = 0;
  std::vector<at::Tensor> gradients;
  int64_t num_routings = 0;
  size_t num_losses = 0;
};

Pass run(const Model& model, bool recomputes) {
  Counter routings;
  Pass pass;
  LossOutput output;
  {
    const ModelInput input = make_packed_input(model.config());  // gone before the backward pass
    nn::Context context;
    context.is_training = true;
    context.compute_dtype = at::kDouble;
    context.seed = 5;
    context.step = 2;
    context.recomputes_blocks = recomputes;
    context.routing_sink = &routings;
    output = model.loss(input, context, {});
  }
  output.loss.backward();
  pass.loss = output.loss.item<double>();
  pass.num_routings = routings.count;
  pass.num_losses = output.auxiliary.losses.size();
  for (const nn::Parameter& parameter : model.parameters()) {
    pass.gradients.push_back(parameter.tensor.grad());
    parameter.tensor.mutable_grad() = at::Tensor();
  }
  return pass;
}

ModelConfig noisy(ModelConfig config) {
  config.dropout_rate = 0.2;
  config.moe.expert_dropout_rate = 0.3;
  config.moe.jitter = 0.05;
  config.moe.z_loss_coefficient = 0.1;
  config.moe.load_balance_coefficient = 0.1;
  config.set_moe(config.moe);
  return config;
}

void expect_same(const Model& model) {
  const Pass kept = run(model, false), anew = run(model, true);
  EXPECT_DOUBLE_EQ(anew.loss, kept.loss);
  EXPECT_EQ(anew.num_routings, kept.num_routings);
  EXPECT_EQ(anew.num_losses, kept.num_losses);
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    const std::string& name = model.parameters()[i].name;
    ASSERT_EQ(anew.gradients[i].defined(), kept.gradients[i].defined()) << name;
    if (kept.gradients[i].defined())
      EXPECT_EQ(compare(anew.gradients[i], kept.gradients[i], 1e-12), "") << name;
  }
}

TEST(Recompute, GivesADenseModelsLossAndGradients) {
  expect_same(Model(noisy(testing::tiny_config()), 1, at::kDouble));
}

TEST(Recompute, GivesASparseModelsLossAndGradients) {
  const Model model(noisy(testing::tiny_sparse_config()), 1, at::kDouble);
  expect_same(model);
  EXPECT_GT(run(model, true).num_routings, 0);
  EXPECT_GT(run(model, true).num_losses, 0u);
}

TEST(Recompute, ReachesParametersBehindAFrozenEmbedding) {
  const Model model(noisy(testing::tiny_sparse_config()), 1, at::kDouble);
  model.parameters()[0].tensor.requires_grad_(false);
  expect_same(model);
}

}  // namespace
}  // namespace flanmoe::model
