// Adapters on whole models: what every registered kind must do, on dense and on sparse ones.
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <map>

#include "model/folder.h"
#include "model/model.h"
#include "nn/kv_cache.h"
#include "nn/random_fill.h"
#include "peft/adapter.h"
#include "peft/registry.h"
#include "support/expect_error.h"
#include "support/golden.h"
#include "support/tensors.h"
#include "support/tiny_model.h"

namespace flanmoe::model {
namespace {

using peft::Adapter;
using peft::ComponentConfig;
using peft::RouterInput;
using testing::compare;
using testing::compare_bits;
using testing::index_tensor;

ComponentConfig component(const std::string& kind, int64_t num_experts = 3) {
  ComponentConfig config;
  config.kind = kind;
  const peft::Uses uses = peft::kind_registry().get(kind).uses;
  if (uses.router) config.num_experts = num_experts;
  if (uses.rank) config.rank = 2;
  if (uses.virtual_tokens) config.num_virtual_tokens = 3;
  return config;
}

// One of every kind, and of kinds with a router every form of it.
std::vector<ComponentConfig> all_components(bool has_top_k = true) {
  std::vector<ComponentConfig> components;
  for (const std::string& kind : peft::kind_registry().names()) {
    components.push_back(component(kind));
    if (!peft::kind_registry().get(kind).uses.router) continue;
    for (const RouterInput input : {RouterInput::Site, RouterInput::Block, RouterInput::Sentence})
      for (const int64_t top_k : {0, 2}) {
        if ((input == RouterInput::Site && top_k == 0) || (top_k > 0 && !has_top_k)) continue;
        components.push_back(component(kind));
        components.back().router_input = input;
        components.back().top_k = top_k;
      }
  }
  return components;
}

std::string describe(const ComponentConfig& config) {
  return config.kind + ", router input " + std::to_string(static_cast<int>(config.router_input)) +
         ", top_k " + std::to_string(config.top_k);
}

std::shared_ptr<const Adapter> make_adapter(const Model& model, const ComponentConfig& config,
                                            const std::string& name = "tuned") {
  return std::make_shared<const Adapter>(name, peft::Config{{config}}, model.sites(), 7);
}

// Away from the start, where much is 0 or equal.
void disturb(const Adapter& adapter, uint64_t seed = 3) {
  const c10::AutoGradMode off(false);
  for (const nn::Parameter& parameter : adapter.parameters()) {
    at::Tensor tensor = parameter.tensor;
    tensor.add_(testing::random_tensor(tensor.sizes(),
                                       mix64(seed) ^ std::hash<std::string>()(parameter.name),
                                       tensor.scalar_type(), 0.3));
  }
}

void clear_gradients(const nn::Parameters& parameters) {
  for (const nn::Parameter& parameter : parameters) parameter.tensor.mutable_grad() = at::Tensor();
}

void freeze(const Model& model) {
  for (const nn::Parameter& parameter : model.parameters()) {
    at::Tensor tensor = parameter.tensor;
    tensor.requires_grad_(false);
  }
}

struct Example {
  std::vector<int32_t> inputs, targets;
  uint64_t key;
};

std::vector<Example> make_examples(const ModelConfig& config, int64_t num_virtual_tokens = 0) {
  const size_t lengths[][2] = {{9, 3}, {5, 4}, {2, 2}, {7, 5}};
  std::vector<Example> examples;
  for (uint64_t i = 0; i < 4; ++i) {
    examples.push_back({testing::random_row(config, lengths[i][0], 10 + i),
                        testing::random_row(config, lengths[i][1], 20 + i), mix64(i)});
    prepend_virtual_tokens(examples.back().inputs, config, num_virtual_tokens);
  }
  return examples;
}

// Rows of examples one behind the other, the end padded.
ModelInput make_rows(const ModelConfig& config, const std::vector<std::vector<Example>>& rows) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  size_t num_segments = 0;
  for (const auto& row : rows) num_segments = std::max(num_segments, row.size());
  std::vector<uint64_t> keys;
  for (const auto& row : rows)
    for (size_t s = 0; s < num_segments; ++s) keys.push_back(s < row.size() ? row[s].key : 0);
  const auto fill = [&](std::vector<int32_t> Example::*side) {
    size_t length = 0;
    for (const auto& row : rows) {
      size_t sum = 0;
      for (const Example& example : row) sum += (example.*side).size();
      length = std::max(length, sum);
    }
    std::vector<int64_t> ids, segments;
    for (const auto& row : rows) {
      const size_t end = ids.size() + length;
      for (size_t s = 0; s < row.size(); ++s)
        for (const int32_t id : row[s].*side) {
          ids.push_back(id);
          segments.push_back(static_cast<int64_t>(s) + 1);
        }
      ids.resize(end);
      segments.resize(end);
    }
    const std::vector<int64_t> shape{num_rows, static_cast<int64_t>(length)};
    return std::make_pair(index_tensor(ids, shape), index_tensor(segments, shape));
  };
  const auto [ids, segments] = fill(&Example::inputs);
  const auto [target_ids, target_segments] = fill(&Example::targets);
  return make_input(ids, segments, target_ids, target_segments, config, keys);
}

ModelInput one_a_row(const ModelConfig& config, const std::vector<Example>& examples) {
  std::vector<std::vector<Example>> rows;
  for (const Example& example : examples) rows.push_back({example});
  return make_rows(config, rows);
}

nn::Context make_context(at::ScalarType dtype, bool is_training = false) {
  nn::Context context;
  context.compute_dtype = dtype;
  context.is_training = is_training;
  context.seed = 5;
  context.step = 2;
  return context;
}

ModelConfig noisy(ModelConfig config) {
  config.dropout_rate = 0.2;
  config.moe.expert_dropout_rate = 0.3;
  config.set_moe(config.moe);
  return config;
}

std::vector<ModelConfig> both_configs() {
  return {testing::tiny_config(), testing::tiny_sparse_config()};
}

// ---- at the start

TEST(NewAdapter, ChangesNoBit) {
  for (const ModelConfig& config : both_configs())
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      Model model(config, 1, at::kFloat);
      const ModelInput input = one_a_row(config, make_examples(config));
      nn::Context context = make_context(dtype);
      const at::Tensor base = model.forward(input, context).detach();
      for (const ComponentConfig& part : all_components(false)) {
        if (part.kind == "prompt") continue;  // not one of those
        model.activate(model.attach(make_adapter(model, part)));
        EXPECT_EQ(compare_bits(model.forward(input, context), base), "") << describe(part);
        model.detach("tuned");
      }
    }
}

TEST(NewAdapter, ChangesMuchOnceItsParametersDo) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1, at::kFloat);
    const ModelInput input = one_a_row(config, make_examples(config));
    nn::Context context = make_context(at::kFloat);
    const at::Tensor base = model.forward(input, context).detach();
    for (const ComponentConfig& part : all_components()) {
      if (part.kind == "prompt") continue;
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      model.activate(model.attach(adapter));
      EXPECT_GT(model.forward(input, context).sub(base).abs().max().item<double>(), 1e-2)
          << describe(part);
      model.detach("tuned");
      EXPECT_EQ(compare_bits(model.forward(input, context), base), "") << describe(part);
    }
  }
}

// Base times the mass that is kept: with one site, its output.
TEST(NewAdapter, OfTopKStartsAtTheMassItKeeps) {
  const ModelConfig config = testing::tiny_config();
  Model model(config, 1, at::kDouble);
  class Masses final : public nn::RoutingSink {
   public:
    void record(const std::string&, const ops::Routing&) override {}
    void record_merging(const std::string&, const at::Tensor& weights,
                        const nn::TokenLayout&) override {
      mass = weights.sum(-1);
      num_kept = weights.gt(0).sum(-1);
    }
    at::Tensor mass, num_kept;
  } sink;
  ComponentConfig part = component("mov", 5);
  part.sites = {"encoder.block.1.layer.1.DenseReluDense.act"};
  part.top_k = 2;
  part.router_init_std = 1;
  model.activate(model.attach(make_adapter(model, part)));
  // what the sublayer adds is linear in its activated value
  class Stream final : public nn::ActivationSink {
   public:
    void record(const std::string& place, const at::Tensor& x) override { at[place] = x; }
    std::map<std::string, at::Tensor> at;
  } base, adapted;
  const ModelInput input = one_a_row(config, make_examples(config));
  nn::Context context = make_context(at::kDouble);
  context.activation_sink = &adapted;
  context.routing_sink = &sink;
  model.encode(input.input_ids_BL, input.encoder, context);
  model.activate(std::nullopt);
  context.activation_sink = &base;
  context.routing_sink = nullptr;
  model.encode(input.input_ids_BL, input.encoder, context);
  const auto added = [](const Stream& stream) {
    return stream.at.at("encoder.block.1.layer.1").sub(stream.at.at("encoder.block.1.layer.0"));
  };
  EXPECT_EQ(compare(added(adapted), added(base).mul(sink.mass.unsqueeze(-1)), 1e-12), "");
  EXPECT_EQ(sink.num_kept.min().item<int64_t>(), 2);
  EXPECT_EQ(sink.num_kept.max().item<int64_t>(), 2);
  EXPECT_LT(sink.mass.max().item<double>(), 1);
}

TEST(Adapter, AMixtureOfOneVectorIsIa3) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1, at::kDouble);
    const auto ia3 = make_adapter(model, component("ia3"), "one"),
               mov = make_adapter(model, component("mov", 1), "mixture");
    disturb(*ia3);
    std::map<std::string, at::Tensor> vectors;
    for (const nn::Parameter& parameter : ia3->parameters())
      vectors[parameter.name.substr(0, parameter.name.rfind('.'))] = parameter.tensor;
    const c10::AutoGradMode off(false);
    for (const nn::Parameter& parameter : mov->parameters()) {
      if (!parameter.name.ends_with(".mov_l")) continue;
      at::Tensor vector = parameter.tensor;
      const at::Tensor& source = vectors.at(parameter.name.substr(0, parameter.name.rfind('.')));
      // experts have vectors of their own in the one, share them in the other
      vector.copy_(source.dim() == 2 ? source.narrow(0, 0, 1) : source.unsqueeze(0));
      if (source.dim() == 2) at::Tensor(source).copy_(source.narrow(0, 0, 1).expand_as(source));
    }
    const ModelInput input = one_a_row(config, make_examples(config));
    nn::Context context = make_context(at::kDouble);
    model.activate(model.attach(ia3));
    const at::Tensor one = model.forward(input, context);
    model.activate(model.attach(mov));
    EXPECT_EQ(compare(model.forward(input, context), one, 1e-11), "");
  }
}

// ---- gradients

ModelConfig smallest(ModelConfig config) {
  config.d_model = 8;
  config.d_kv = 4;
  config.d_ff = 6;
  config.vocab_size = 20;
  return config;
}

TEST(Adapter, GradientsAgreeWithDifferences) {
  for (ModelConfig config : both_configs()) {
    config = smallest(config);
    Model model(config, 1, at::kDouble);
    freeze(model);
    for (ComponentConfig part : all_components()) {
      const bool is_mixture = peft::kind_registry().get(part.kind).uses.router;
      // of every form of site one: differences take their time
      if (part.kind == "mov" || part.kind == "ia3")
        part.sites = {"decoder.block.1.layer.0.SelfAttention.v",
                      "decoder.block.1.layer.1.EncDecAttention.k", "/encoder.block.1.*act$/"};
      if (part.kind == "molora" || part.kind == "lora") {
        part.rank = 1;
        part.sites = {"decoder.block.1.layer.1.EncDecAttention.k", "/encoder.block.1.*wi_0$/"};
      }
      if (is_mixture) part.load_balance_coefficient = 0.3;
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      model.activate(number);
      const auto examples = make_examples(config, model.num_virtual_tokens(number));
      const ModelInput input = one_a_row(config, {examples[1], examples[2]});
      std::vector<at::Tensor> leaves;
      for (const nn::Parameter& parameter : adapter->parameters())
        leaves.push_back(parameter.tensor);
      EXPECT_EQ(testing::check_gradients(
                    [&] {
                      // copies in another layout are kept until their version changes
                      for (const at::Tensor& leaf : leaves)
                        leaf.unsafeGetTensorImpl()->bump_version();
                      nn::Context context = make_context(at::kDouble, true);
                      return model.loss(input, context).loss;
                    },
                    leaves),
                "")
          << describe(part);
      model.detach("tuned");
    }
  }
}

struct Trained {
  double loss = 0;
  std::vector<at::Tensor> gradients;
};
Trained train(const Model& model, const Adapter& adapter, const ModelInput& input,
              bool recomputes = false) {
  clear_gradients(adapter.parameters());
  nn::Context context = make_context(at::kDouble, true);
  context.recomputes_blocks = recomputes;
  const LossOutput output = model.loss(input, context);
  output.loss.backward();
  Trained trained;
  trained.loss = output.loss.item<double>();
  for (const nn::Parameter& parameter : adapter.parameters())
    trained.gradients.push_back(parameter.tensor.grad());
  return trained;
}
void expect_same(const Trained& got, const Trained& want, const Adapter& adapter,
                 const std::string& what) {
  EXPECT_NEAR(got.loss, want.loss, 1e-11) << what;
  for (size_t i = 0; i < want.gradients.size(); ++i) {
    ASSERT_EQ(got.gradients[i].defined(), want.gradients[i].defined());
    if (want.gradients[i].defined())
      EXPECT_EQ(compare(got.gradients[i], want.gradients[i],
                        1e-12 * std::max(10.0, want.gradients[i].abs().max().item<double>())),
                "")
          << what << ", " << adapter.parameters()[i].name;
  }
}

// With dropout and a load loss where the kind has them.
std::vector<ComponentConfig> noisy_components() {
  std::vector<ComponentConfig> parts = all_components();
  for (ComponentConfig& part : parts) {
    const peft::Uses& uses = peft::kind_registry().get(part.kind).uses;
    if (uses.rank) part.dropout_rate = 0.3;
    if (uses.router) part.load_balance_coefficient = 0.1;
  }
  return parts;
}

TEST(Adapter, PackingDoesNotMatter) {
  for (const ModelConfig& plain : both_configs()) {
    const ModelConfig config = noisy(plain);
    Model model(config, 1, at::kDouble);
    freeze(model);
    for (const ComponentConfig& part : noisy_components()) {
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      model.activate(number);
      const auto examples = make_examples(config, model.num_virtual_tokens(number));
      const Trained apart = train(model, *adapter, one_a_row(config, examples));
      const Trained packed =
          train(model, *adapter,
                make_rows(config, {{examples[2], examples[0]}, {examples[3], examples[1]}}));
      expect_same(packed, apart, *adapter, describe(part));
      model.detach("tuned");
    }
  }
}

TEST(Adapter, RecomputedBlocksGiveTheSameGradients) {
  for (const ModelConfig& plain : both_configs()) {
    const ModelConfig config = noisy(plain);
    Model model(config, 1, at::kDouble);
    freeze(model);
    for (const ComponentConfig& part : noisy_components()) {
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      model.activate(number);
      const ModelInput input =
          one_a_row(config, make_examples(config, model.num_virtual_tokens(number)));
      expect_same(train(model, *adapter, input, true), train(model, *adapter, input, false),
                  *adapter, describe(part));
      model.detach("tuned");
    }
  }
}

TEST(Adapter, LeavesAFrozenBaseWithoutGradients) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1);
    freeze(model);
    for (const ComponentConfig& part : all_components()) {
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      model.activate(number);
      const ModelInput input =
          one_a_row(config, make_examples(config, model.num_virtual_tokens(number)));
      nn::Context context = make_context(at::kBFloat16, true);
      model.loss(input, context).loss.backward();
      for (const nn::Parameter& parameter : model.parameters())
        EXPECT_FALSE(parameter.tensor.grad().defined()) << parameter.name;
      for (const nn::Parameter& parameter : adapter->parameters()) {
        ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
        EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat);
        EXPECT_TRUE(parameter.tensor.grad().isfinite().all().item<bool>()) << parameter.name;
      }
      model.detach("tuned");
    }
  }
}

// ---- several adapters side by side

TEST(AdapterByRow, EqualsEachAdapterAlone) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1, at::kDouble);
    const std::vector<Example> examples = make_examples(config);
    const ModelInput input = one_a_row(config, examples);
    nn::Context context = make_context(at::kDouble);
    const at::Tensor base = model.forward(input, context).detach();
    for (const ComponentConfig& part : all_components()) {
      if (part.kind == "prompt") continue;
      const auto first = make_adapter(model, part, "first"),
                 second = make_adapter(model, component("lora"), "second");
      disturb(*first);
      disturb(*second, 4);
      const int64_t a = model.attach(first), b = model.attach(second);
      const auto alone = [&](int64_t number) {
        model.activate(number);
        nn::Context own = make_context(at::kDouble);
        return model.forward(input, own).detach();
      };
      const at::Tensor of_a = alone(a), of_b = alone(b);
      context.adapter_of_row = std::vector<int64_t>{a, b, -1, a};
      const at::Tensor mixed = model.forward(input, context);
      context.adapter_of_row.reset();
      for (int64_t row = 0; row < 4; ++row) {
        const at::Tensor& expected = row == 1 ? of_b : row == 2 ? base : of_a;
        const auto length = static_cast<int64_t>(examples[static_cast<size_t>(row)].targets.size());
        EXPECT_EQ(
            compare(mixed[row].narrow(0, 0, length), expected[row].narrow(0, 0, length), 1e-10), "")
            << describe(part) << ", row " << row;
      }
      model.detach("first");
      model.detach("second");
    }
  }
}

TEST(AdapterByRow, GradientsAreThoseOfTheRowsThatUseIt) {
  for (ModelConfig config : both_configs()) {
    // losses of the base's routers are means over all rows
    config.moe.load_balance_coefficient = config.moe.z_loss_coefficient = 0;
    config.set_moe(config.moe);
    Model model(config, 1, at::kDouble);
    freeze(model);
    const std::vector<Example> examples = make_examples(config);
    for (const ComponentConfig& part : all_components()) {
      if (part.kind == "prompt") continue;
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      const auto gradients = [&](const std::vector<Example>& rows,
                                 const std::vector<int64_t>& adapters) {
        clear_gradients(adapter->parameters());
        nn::Context context = make_context(at::kDouble, true);
        context.adapter_of_row = adapters;
        // sums over tokens, so that rows add up
        const ModelInput input = one_a_row(config, rows);
        model.loss(input, context).loss.mul(input.decoder.num_real_tokens()).backward();
        std::vector<at::Tensor> result;
        for (const nn::Parameter& parameter : adapter->parameters())
          result.push_back(parameter.tensor.grad());
        return result;
      };
      const auto mixed = gradients(examples, {-1, number, number, -1});
      const auto alone = gradients({examples[1], examples[2]}, {number, number});
      for (size_t i = 0; i < mixed.size(); ++i)
        EXPECT_EQ(compare(mixed[i], alone[i], 1e-9, 1e-9), "")
            << describe(part) << ", " << adapter->parameters()[i].name;
      model.detach("tuned");
    }
  }
}

TEST(Adapter, IsFoundByItsName) {
  Model model(testing::tiny_config(), 1);
  const int64_t first = model.attach(make_adapter(model, component("ia3"), "question"));
  const int64_t second = model.attach(make_adapter(model, component("mov"), "summary"));
  EXPECT_EQ(model.adapter_number("summary"), second);
  EXPECT_NE(first, second);
  EXPECT_EQ(model.adapter(first).name(), "question");
  expect_error(ErrorCode::NotFound, "question", [&] { model.adapter_number("qestion"); });
  expect_error(ErrorCode::InvalidArgument, "attached already",
               [&] { model.attach(make_adapter(model, component("ia3"), "question")); });
  expect_error(ErrorCode::InvalidConfig, "two components of one kind", [&] {
    Adapter("twice", {{component("ia3"), component("ia3")}}, model.sites(), 1);
  });
  ComponentConfig nowhere = component("mov");
  nowhere.sites = {"SelfAttention.kk"};
  expect_error(ErrorCode::InvalidConfig, "SelfAttention.k", [&] { make_adapter(model, nowhere); });
  nowhere.sites = {"layer_norm"};
  expect_error(ErrorCode::InvalidConfig, "'mov' cannot act on",
               [&] { make_adapter(model, nowhere); });
}

// ---- decoding

TEST(Adapter, DecodesStepByStepAsAtOnce) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1, at::kDouble);
    const c10::AutoGradMode off(false);
    for (const ComponentConfig& part : all_components()) {
      const auto adapter = make_adapter(model, part);
      disturb(*adapter);
      const int64_t number = model.attach(adapter);
      model.activate(number);
      const ModelInput input =
          one_a_row(config, make_examples(config, model.num_virtual_tokens(number)));
      nn::Context context = make_context(at::kDouble);
      const at::Tensor encoded = model.encode(input.input_ids_BL, input.encoder, context);
      const int64_t length = input.decoder_input_ids_BM.size(1);
      const nn::TokenLayout whole = nn::make_layout(4, length);
      const at::Tensor at_once =
          model.decode(input.decoder_input_ids_BM, whole, encoded, input.encoder, context);
      nn::KvCache cache(config.num_decoder_layers, length);
      context.cache = &cache;
      std::vector<at::Tensor> steps;
      for (int64_t i = 0; i < length; ++i) {
        const nn::TokenLayout one =
            nn::make_layout(4, 1, {}, index_tensor(std::vector<int64_t>(4, i), {4, 1}));
        steps.push_back(model.decode(input.decoder_input_ids_BM.narrow(1, i, 1), one, encoded,
                                     input.encoder, context));
      }
      EXPECT_EQ(compare(at::cat(steps, 1), at_once, 1e-11), "") << describe(part);
      model.detach("tuned");
    }
  }
}

// ---- prompts

TEST(Prompt, OfVocabularyEmbeddingsIsTheseTokens) {
  for (const ModelConfig& config : both_configs()) {
    Model model(config, 1, at::kDouble);
    const auto adapter = make_adapter(model, component("prompt"));
    ASSERT_EQ(adapter->parameters().size(), 1u);
    const at::Tensor table = adapter->parameters()[0].tensor;
    EXPECT_EQ(table.sizes(), at::IntArrayRef({3, config.d_model}));
    // a new prompt is made of embeddings of the vocabulary: find them
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < 3; ++i) {
      const at::Tensor distance =
          model.parameters()[0].tensor.detach().sub(table.detach()[i]).abs().sum(1);
      EXPECT_EQ(distance.min().item<double>(), 0);
      ids.push_back(static_cast<int32_t>(distance.argmin().item<int64_t>()));
    }
    const int64_t number = model.attach(adapter);
    EXPECT_EQ(model.num_virtual_tokens(number), 3);
    std::vector<Example> spelled = make_examples(config);
    for (Example& example : spelled)
      example.inputs.insert(example.inputs.begin(), ids.begin(), ids.end());
    nn::Context context = make_context(at::kDouble);
    const at::Tensor expected = model.forward(one_a_row(config, spelled), context);
    model.activate(number);
    EXPECT_EQ(compare(model.forward(one_a_row(config, make_examples(config, 3)), context), expected,
                      1e-12),
              "");
    expect_error(ErrorCode::InvalidArgument, "the prompt has 3",
                 [&] { model.forward(one_a_row(config, make_examples(config, 4)), context); });
  }
}

// ---- sentence vectors

TEST(SentenceVectors, AreMeansOfTheBasesLastHiddenStates) {
  const ModelConfig config = testing::tiny_config();
  Model model(config, 1, at::kDouble);
  ComponentConfig part = component("mov");
  part.router_input = RouterInput::Sentence;
  const auto adapter = make_adapter(model, part);
  disturb(*adapter);
  const auto examples = make_examples(config);
  const ModelInput packed = make_rows(config, {{examples[0], examples[1]}, {examples[2]}});
  const ModelInput alone = one_a_row(config, {examples[0], examples[1], examples[2]});
  nn::Context context = make_context(at::kDouble);
  const at::Tensor hidden = model.encode(alone.input_ids_BL, alone.encoder, context);
  EXPECT_FALSE(context.computed_sentence_vectors_BSD.defined());  // nobody wants them
  model.activate(model.attach(adapter));
  context.is_training = true;  // the base's pass has no noise all the same
  context.regularisation.dropout_rate = 0.5;
  model.encode(packed.input_ids_BL, packed.encoder, context);
  const at::Tensor& vectors = context.computed_sentence_vectors_BSD;
  EXPECT_FALSE(vectors.requires_grad());
  ASSERT_EQ(vectors.sizes(), at::IntArrayRef({2, 2, config.d_model}));
  for (int64_t i = 0; i < 3; ++i) {
    const auto length = static_cast<int64_t>(examples[static_cast<size_t>(i)].inputs.size());
    EXPECT_EQ(compare(vectors[i / 2][i % 2], hidden[i].narrow(0, 0, length).mean(0), 1e-12), "");
  }
  EXPECT_EQ(vectors[1][1].abs().sum().item<double>(), 0);
}

TEST(SentenceVectors, MayBeGiven) {
  const ModelConfig config = testing::tiny_config();
  Model model(config, 1, at::kDouble);
  ComponentConfig part = component("molora");
  part.router_input = RouterInput::Sentence;
  const auto own = make_adapter(model, part, "own");
  part.sentence_dim = 5;
  const auto wide = make_adapter(model, part, "wide");
  disturb(*own);
  disturb(*wide);
  const ModelInput input = one_a_row(config, make_examples(config));
  nn::Context context = make_context(at::kDouble);
  model.activate(model.attach(own));
  const at::Tensor computed = model.forward(input, context);
  nn::Context given = make_context(at::kDouble);
  given.sentence_vectors_BSD = context.computed_sentence_vectors_BSD;
  EXPECT_EQ(compare(model.forward(input, given), computed, 0), "");
  given.sentence_vectors_BSD = given.sentence_vectors_BSD.neg();
  EXPECT_NE(compare(model.forward(input, given), computed, 1e-6), "");

  model.activate(model.attach(wide));
  expect_error(ErrorCode::ShapeMismatch, "looks at sentence vectors [rows, segments, 5]",
               [&] { model.forward(input, context); });
  given.sentence_vectors_BSD = testing::random_tensor({4, 1, 5}, 2);
  EXPECT_TRUE(model.forward(input, given).isfinite().all().item<bool>());
}

// ---- losses and statistics

class Recorder final : public nn::RoutingSink {
 public:
  void record(const std::string&, const ops::Routing&) override {}
  void record_merging(const std::string& site, const at::Tensor& weights,
                      const nn::TokenLayout& tokens) override {
    EXPECT_EQ(weights.size(0), tokens.num_rows);
    EXPECT_EQ(weights.size(1), tokens.length);
    EXPECT_FALSE(weights.requires_grad());
    EXPECT_EQ(compare(weights.sum(-1), weights.sum(-1).mul(0).add(1), 1e-12), "");
    ++count[site];
  }
  std::map<std::string, int> count;
};

TEST(MergingRouters, TellTheirWeights) {
  for (const ModelConfig& config : both_configs())
    for (const char* kind : {"mov", "molora"}) {
      Model model(config, 1, at::kDouble);
      const auto adapter = make_adapter(model, component(kind));
      disturb(*adapter);
      model.activate(model.attach(adapter));
      const ModelInput input = one_a_row(config, make_examples(config));
      nn::Context context = make_context(at::kDouble);
      const at::Tensor unseen = model.forward(input, context);
      Recorder recorder;
      context.routing_sink = &recorder;
      EXPECT_EQ(compare(model.forward(input, context), unseen, 1e-12), "");
      size_t num_routers = 0;
      for (const nn::Parameter& parameter : adapter->parameters())
        num_routers += parameter.tags.is_router ? 1u : 0u;
      EXPECT_EQ(recorder.count.size(), num_routers);
      for (const auto& [site, count] : recorder.count) EXPECT_EQ(count, 1) << site;
    }
}

TEST(MergingRouters, LoadBalanceLossLeavesPaddingOut) {
  const ModelConfig config = testing::tiny_config();
  Model model(config, 1, at::kDouble);
  for (const int64_t top_k : {0, 1, 2}) {
    ComponentConfig part = component("molora");
    part.sites = {"encoder.block.0.layer.1.DenseReluDense.wi_0",
                  "decoder.block.0.layer.1.EncDecAttention.k"};
    part.top_k = top_k;
    part.load_balance_coefficient = 0.25;
    const auto adapter = make_adapter(model, part);
    disturb(*adapter);
    model.activate(model.attach(adapter));
    const auto examples = make_examples(config);
    const auto run = [&](const ModelInput& input) {
      nn::Context context = make_context(at::kDouble, true);
      const LossOutput output = model.loss(input, context);
      EXPECT_EQ(output.auxiliary.losses.size(), 2u);
      double expected = output.cross_entropy.item<double>();
      for (const nn::AuxiliaryLoss& loss : output.auxiliary.losses) {
        EXPECT_EQ(loss.name, "load_balance_loss");
        expected += 0.25 * loss.value.item<double>();
        // n sum f P is k where experts are alike
        const double k = static_cast<double>(std::max<int64_t>(1, top_k));
        EXPECT_NEAR(loss.value.item<double>(), k, k);
      }
      EXPECT_NEAR(output.loss.item<double>(), expected, 1e-12);
      EXPECT_FALSE(output.auxiliary.losses[0].is_of_memory);
      EXPECT_TRUE(output.auxiliary.losses[1].is_of_memory);
      return output;
    };
    const LossOutput padded = run(one_a_row(config, examples)),
                     packed = run(make_rows(config, {examples}));
    for (size_t i = 0; i < 2; ++i)
      EXPECT_NEAR(padded.auxiliary.losses[i].value.item<double>(),
                  packed.auxiliary.losses[i].value.item<double>(), 1e-12);
    nn::Context context = make_context(at::kDouble, false);
    EXPECT_TRUE(model.loss(one_a_row(config, examples), context).auxiliary.losses.empty());
    model.detach("tuned");
  }
}

// ---- sizes

int64_t count(const std::string& size, const ComponentConfig& part) {
  static std::map<std::string, nn::Sites> sites;
  if (!sites.contains(size)) {
    // the sites' weights are all that is wanted: on the device meta they have no memory
    static std::vector<Model> models;
    models.emplace_back(named_size(size), std::nullopt, at::kFloat, at::kMeta);
    sites[size] = models.back().sites();
  }
  return nn::num_elements(Adapter("x", {{part}}, sites.at(size), 1).parameters());
}

TEST(AdapterSizes, AreThePublishedOnes) {
  const auto mixture = [](const char* kind, int64_t num_experts) {
    ComponentConfig part;
    part.kind = kind;
    part.num_experts = num_experts;
    return part;
  };
  ComponentConfig ia3, lora;
  ia3.kind = "ia3";
  lora.kind = "lora";
  EXPECT_EQ(count("t5-v1_1-base", ia3), 104448);
  EXPECT_EQ(count("t5-v1_1-large", ia3), 282624);
  EXPECT_EQ(count("t5-v1_1-xl", ia3), 540672);
  EXPECT_EQ(count("t5-v1_1-xxl", ia3), 1081344);
  EXPECT_EQ(count("t5-v1_1-large", lora), 3833856);
  EXPECT_EQ(count("t5-v1_1-xl", lora), 7471104);
  EXPECT_EQ(count("t5-v1_1-xxl", lora), 14942208);
  for (const int64_t n : {1, 10}) {
    EXPECT_EQ(count("t5-v1_1-large", mixture("mov", n)), n * 427008);
    EXPECT_EQ(count("t5-v1_1-xl", mixture("mov", n)), n * 795648);
    EXPECT_EQ(count("t5-v1_1-xxl", mixture("mov", n)), n * 1582080);
    EXPECT_EQ(count("t5-v1_1-large", mixture("molora", n)), n * 4313088);
    EXPECT_EQ(count("t5-v1_1-xl", mixture("molora", n)), n * 8404992);
    EXPECT_EQ(count("t5-v1_1-xxl", mixture("molora", n)), n * 16809984);
  }
}

TEST(AdapterSizes, AllSitesOfASparseModelAreFound) {
  const ModelConfig config = testing::tiny_sparse_config();
  Model model(config, 1);
  const auto shape_of = [&](const ComponentConfig& part, const std::string& name) {
    const auto adapter = make_adapter(model, part);
    for (const nn::Parameter& parameter : adapter->parameters())
      if (parameter.name == name) {
        EXPECT_TRUE(parameter.tags.is_adapter);
        EXPECT_EQ(parameter.tags.expert_axis, 0);
        return parameter.tensor.sizes().vec();
      }
    ADD_FAILURE() << name;
    return std::vector<int64_t>{};
  };
  using Shape = std::vector<int64_t>;
  const std::string experts = "encoder.block.1.layer.1.mlp.experts.";
  EXPECT_EQ(shape_of(component("ia3"), experts + "act.ia3_l"), (Shape{4, 24}));
  EXPECT_EQ(shape_of(component("lora"), experts + "wi_0.lora_A.weight"), (Shape{4, 2, 16}));
  EXPECT_EQ(shape_of(component("lora"), experts + "wo.lora_B.weight"), (Shape{4, 16, 2}));
  EXPECT_EQ(shape_of(component("mov"), experts + "act.mov_l"), (Shape{3, 24}));
  EXPECT_EQ(shape_of(component("molora"), experts + "wo.lora_A.weight"), (Shape{3, 2, 24}));
}

// An expert's own change is that of a dense model whose feed-forward is this expert.
TEST(Adapter, InsideExpertsIsThatOfEachExpert) {
  ModelConfig config = testing::tiny_sparse_config();
  const ModelConfig dense_config = testing::tiny_config();
  for (const char* kind : {"ia3", "lora"})
    for (int64_t chosen = 0; chosen < 4; ++chosen) {
      Model sparse(config, 1, at::kDouble);
      ComponentConfig part = component(kind);
      part.sites = {"/mlp.experts.(wi_0|wo)$/"};
      if (std::string(kind) == "ia3") part.sites = {"/mlp.experts.act$/"};
      const auto adapter = make_adapter(sparse, part);
      disturb(*adapter);
      // every expert but one gives nothing: its change is all that is left
      const c10::AutoGradMode off(false);
      for (const nn::Parameter& parameter : adapter->parameters()) {
        at::Tensor tensor = parameter.tensor;
        const double neutral = std::string(kind) == "ia3" ? 1 : 0;
        for (int64_t e = 0; e < 4; ++e)
          if (e != chosen) tensor[e].fill_(neutral);
      }
      const ModelInput input = one_a_row(config, make_examples(config));
      class Choices final : public nn::RoutingSink {
       public:
        void record(const std::string& layer, const ops::Routing& routing) override {
          if (layer == "encoder.block.1.layer.1") first = routing;
        }
        ops::Routing first;
      } choices;
      class Stream final : public nn::ActivationSink {
       public:
        void record(const std::string& place, const at::Tensor& x) override {
          if (place == "encoder.block.1.layer.1") at_end = x;
        }
        at::Tensor at_end;
      } before, after;
      nn::Context context = make_context(at::kDouble);
      context.activation_sink = &before;
      context.routing_sink = &choices;
      sparse.encode(input.input_ids_BL, input.encoder, context);
      sparse.activate(sparse.attach(adapter));
      context.activation_sink = &after;
      context.routing_sink = nullptr;
      sparse.encode(input.input_ids_BL, input.encoder, context);
      // exactly the tokens of this expert have changed
      const int64_t begin = choices.first.expert_offsets[static_cast<size_t>(chosen)],
                    end = choices.first.expert_offsets[static_cast<size_t>(chosen) + 1];
      const at::Tensor of_expert = input.encoder.real_index_N.index_select(
          0, choices.first.token_index_A.narrow(0, begin, end - begin));
      at::Tensor expected = input.encoder.segment_ids_BL.reshape(-1).mul(0).to(at::kBool);
      expected.index_fill_(0, of_expert, true);
      const at::Tensor changed = after.at_end.sub(before.at_end)
                                     .abs()
                                     .sum(-1)
                                     .gt(1e-9)
                                     .reshape(-1)
                                     .logical_and(input.encoder.segment_ids_BL.reshape(-1).ne(0));
      EXPECT_TRUE(changed.equal(expected)) << kind << ", expert " << chosen;
    }
}

// ---- against `peft`

// Their name of a parameter -> ours.
std::string own_name(const std::string& name, bool scales_wo_input) {
  std::string own = name.substr(std::string("base_model.model.").size());
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (own.ends_with(from)) own = own.substr(0, own.size() - from.size()) + to;
  };
  if (scales_wo_input) replace("wo.ia3_l", "act.ia3_l");
  return own;
}

void expect_golden(const std::string& name, const ComponentConfig& part, bool scales_wo_input) {
  const testing::Golden golden = testing::load_golden(name);
  const auto loaded = load_model(testing::golden_folder("t5-v1_1-tiny"), at::kFloat);
  Model& model = *loaded.model;
  freeze(model);
  const auto adapter = make_adapter(model, part);
  std::map<std::string, at::Tensor> own;
  for (const nn::Parameter& parameter : adapter->parameters())
    own[parameter.name] = parameter.tensor;
  size_t num_given = 0;
  for (const auto& [key, values] :
       checkpoint::load_safetensors(golden.folder + "/adapter_model.safetensors")) {
    const c10::AutoGradMode off(false);
    ASSERT_TRUE(own.contains(own_name(key, scales_wo_input))) << key;
    at::Tensor leaf = own.at(own_name(key, scales_wo_input));
    leaf.copy_(values.view(leaf.sizes()));
    ++num_given;
  }
  EXPECT_EQ(num_given, own.size());
  model.activate(model.attach(adapter));

  const at::Tensor& labels = golden["labels"];
  const at::Tensor is_real = labels.ne(-100);
  const ModelInput input = make_input(golden["input_ids"], golden["attention_mask"],
                                      labels.mul(is_real), is_real.to(at::kLong), model.config());
  nn::Context context = make_context(at::kFloat);
  const at::Tensor index = input.decoder.real_index_N;
  const auto real = [&](const at::Tensor& x) {
    return x.reshape({-1, x.size(2)}).index_select(0, index);
  };
  EXPECT_EQ(compare(real(model.forward(input, context)), real(golden["logits"]), 2e-4, 1e-4), "");
  const LossOutput output = model.loss(input, context);
  EXPECT_NEAR(output.loss.item<double>(), golden.expected["loss"].get<double>(), 1e-4);
  output.loss.backward();
  size_t num_gradients = 0;
  for (const auto& [key, want] : golden.tensors) {
    if (!key.starts_with("grad.")) continue;
    const at::Tensor grad = own.at(own_name(key.substr(5), scales_wo_input)).grad();
    const double largest = want.abs().max().item<double>();
    EXPECT_EQ(compare(grad, want.view(grad.sizes()), 1e-3 * largest + 1e-7), "") << key;
    ++num_gradients;
  }
  EXPECT_EQ(num_gradients, own.size());
}

TEST(GoldenAdapter, Lora) {
  ComponentConfig part;
  part.kind = "lora";
  part.alpha = 8;
  part.sites = {"q", "v"};
  expect_golden("t5-v1_1-tiny-lora", part, false);
}

TEST(GoldenAdapter, Ia3) {
  ComponentConfig part;
  part.kind = "ia3";
  expect_golden("t5-v1_1-tiny-ia3-wo", part, true);
  part.sites = {"k", "v", "wi_1"};
  expect_golden("t5-v1_1-tiny-ia3-wi1", part, false);
}

}  // namespace
}  // namespace flanmoe::model
