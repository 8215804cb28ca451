#include "train/parameter_sets.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoint/named_tensors.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "train/gradients.h"
#include "train/model_input.h"
#include "train/run_files.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

bool is_moe(const nn::Parameter& parameter) {
  return parameter.tags.is_router || parameter.tags.is_expert();
}

std::set<std::string> names_of(const nn::Parameters& parameters) {
  std::set<std::string> names;
  for (const nn::Parameter& parameter : parameters) names.insert(parameter.name);
  return names;
}

template <class Claim>
std::set<std::string> names_where(const model::Model& model, const Claim& claim) {
  std::set<std::string> names;
  for (const nn::Parameter& parameter : model.parameters())
    if (claim(parameter)) names.insert(parameter.name);
  return names;
}

Config select(std::vector<std::string> trainable, std::vector<std::string> frozen = {}) {
  Config config = tiny_config();
  config.trainable = std::move(trainable);
  config.frozen = std::move(frozen);
  return config;
}

std::set<std::string> trained_names(const model::Model& model, const Config& config) {
  return names_of(Selection(model.parameters(), config).trained());
}

int64_t num_bytes(const nn::Parameters& parameters) {
  return 4 * nn::num_elements(parameters);
}

int64_t gradient_bytes(const nn::Parameters& parameters) {
  int64_t bytes = 0;
  for (const nn::Parameter& parameter : parameters)
    if (parameter.tensor.grad().defined())
      bytes += static_cast<int64_t>(parameter.tensor.grad().nbytes());
  return bytes;
}

int64_t state_bytes(const checkpoint::NamedTensors& state) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : state) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

// One forward and backward pass.
void compute_gradients(const model::Model& model) {
  const Config config = tiny_config();
  const data::Batch batch = data::BatchStream(draw_first_token, config.batch, 0).next();
  nn::Context context;
  context.is_training = true;
  context.step = 1;
  model.loss(to_model_input(batch, model.config(), model.device()), context).loss.backward();
}

class ParameterSetsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    disable_progress();
    log::set_sink([this](log::Level level, const std::string& line) {
      (level == log::Level::Warning ? warnings_ : lines_).push_back(line);
    });
  }
  void TearDown() override {
    set_interrupted(false);
    log::set_sink(nullptr);
  }
  int64_t count_warnings(const std::string& part) const {
    return std::count_if(warnings_.begin(), warnings_.end(), [&](const std::string& warning) {
      return warning.find(part) != warning.npos;
    });
  }

  std::vector<std::string> lines_, warnings_;
  TemporaryFolder folder_;
};

TEST_F(ParameterSetsTest, SetsTakeWhatTheirTagsSay) {
  const model::LoadedModel loaded = make_tiny_model();
  const model::Model& model = *loaded.model;
  const auto is_gate = [](const nn::Parameter& p) { return p.tags.is_router; };
  const auto is_expert = [](const nn::Parameter& p) { return p.tags.is_expert(); };
  const auto is_embedding = [](const nn::Parameter& p) { return p.tags.is_embedding; };
  const auto is_non_moe = [](const nn::Parameter& p) { return !is_moe(p); };
  EXPECT_EQ(trained_names(model, select({"gate"})), names_where(model, is_gate));
  EXPECT_EQ(trained_names(model, select({"expert"})), names_where(model, is_expert));
  EXPECT_EQ(trained_names(model, select({"moe"})), names_where(model, is_moe));
  EXPECT_EQ(trained_names(model, select({"non-moe"})), names_where(model, is_non_moe));
  EXPECT_EQ(trained_names(model, select({"embedding"})), names_where(model, is_embedding));
  EXPECT_EQ(trained_names(model, select({"all"})), names_of(model.parameters()));
  // two sparse layers: a router, and wi_0, wi_1, wo each
  EXPECT_EQ(trained_names(model, select({"gate"})).size(), 2u);
  EXPECT_EQ(trained_names(model, select({"expert"})).size(), 6u);
  EXPECT_EQ(trained_names(model, select({"embedding"})),
            (std::set<std::string>{"shared.weight", "lm_head.weight"}));
}

TEST_F(ParameterSetsTest, ListsAreUnionsAndFrozenWins) {
  const model::LoadedModel loaded = make_tiny_model();
  const model::Model& model = *loaded.model;
  EXPECT_EQ(trained_names(model, select({"gate", "expert"})),
            trained_names(model, select({"moe"})));
  EXPECT_EQ(trained_names(model, select({"all"}, {"gate", "expert"})),
            trained_names(model, select({"non-moe"})));
  EXPECT_EQ(trained_names(model, select({"moe"}, {"gate"})),
            trained_names(model, select({"expert"})));
  EXPECT_EQ(trained_names(model, select({"/^decoder\\./"}, {"moe", "/layer_norm|Attention/"})),
            (std::set<std::string>{"decoder.block.0.layer.2.DenseReluDense.wi_0.weight",
                                   "decoder.block.0.layer.2.DenseReluDense.wi_1.weight",
                                   "decoder.block.0.layer.2.DenseReluDense.wo.weight"}));
}

TEST_F(ParameterSetsTest, ASelectionEndsWithItsScope) {
  const model::LoadedModel loaded = make_tiny_model();
  const nn::Parameters& parameters = loaded.model->parameters();
  at::Tensor(parameters[1].tensor).requires_grad_(false);  // by the caller: stays so
  {
    const Selection selection(parameters, select({"all"}, {"expert"}));
    for (const nn::Parameter& parameter : parameters)
      EXPECT_EQ(parameter.tensor.requires_grad(),
                !parameter.tags.is_expert() && parameter.name != parameters[1].name)
          << parameter.name;
    EXPECT_EQ(names_of(selection.trained()).count(parameters[1].name), 0u);
  }
  for (const nn::Parameter& parameter : parameters)
    EXPECT_EQ(parameter.tensor.requires_grad(), parameter.name != parameters[1].name);
}

TEST_F(ParameterSetsTest, FrozenParametersKeepTheirBytesAndTheOthersChange) {
  for (const char* set : {"gate", "expert", "moe", "non-moe", "embedding"}) {
    for (const bool is_frozen : {false, true}) {
      model::LoadedModel loaded = make_tiny_model();
      const model::LoadedModel untrained = make_tiny_model();
      const Config config = is_frozen ? select({"all"}, {set}) : select({set});
      const std::set<std::string> trained = trained_names(*loaded.model, config);
      const Result result =
          train(loaded, config, tiny_job(folder_ / fmt::format("{}-{}", set, is_frozen)));
      int64_t num_trained = 0;
      for (size_t i = 0; i < loaded.model->parameters().size(); ++i) {
        const nn::Parameter& parameter = loaded.model->parameters()[i];
        EXPECT_EQ(at::equal(parameter.tensor, untrained.model->parameters()[i].tensor),
                  trained.count(parameter.name) == 0)
            << set << " " << is_frozen << " " << parameter.name;
        EXPECT_TRUE(parameter.tensor.requires_grad());
        if (trained.count(parameter.name)) num_trained += parameter.tensor.numel();
      }
      EXPECT_EQ(result.num_trained_parameters, num_trained);
    }
  }
}

TEST_F(ParameterSetsTest, FrozenParametersGetNoGradientMemoryAndNoOptimizerState) {
  const model::LoadedModel loaded = make_tiny_model();
  const nn::Parameters& parameters = loaded.model->parameters();
  for (const char* set : {"gate", "expert", "non-moe", "embedding", "all"}) {
    const Selection selection(parameters, select({set}));
    compute_gradients(*loaded.model);
    EXPECT_EQ(gradient_bytes(parameters), num_bytes(selection.trained())) << set;
    EXPECT_EQ(gradient_bytes(selection.trained()), num_bytes(selection.trained())) << set;
    clear_gradients(parameters);

    OptimizerConfig optimizer;
    optimizer.name = "adamw";
    for (const nn::Parameters& given : {selection.trained(), parameters})
      EXPECT_EQ(state_bytes(make_optimizer(given, optimizer)->state()),
                2 * num_bytes(selection.trained()))
          << set;
  }
}

TEST_F(ParameterSetsTest, TheNormIsThatOfTrainedGradients) {
  const auto norm = [&](const char* name, Config config) {
    config.steps = config.log_every = 1;
    model::LoadedModel loaded = make_tiny_model();
    train(loaded, config, tiny_job(folder_ / name));
    std::string line;
    EXPECT_TRUE(LineReader(folder_ / name + "/metrics.jsonl").next(line));
    return parse_json(line, "metrics").at("gradient_norm").get<double>();
  };
  const double gate = norm("gate", select({"gate"})),
               others = norm("others", select({"all"}, {"gate"})),
               all = norm("all", select({"all"}));
  EXPECT_GT(gate, 0);
  EXPECT_NEAR(gate * gate + others * others, all * all, 1e-6 * all * all);
}

TEST_F(ParameterSetsTest, ResumesWithFrozenSetsToTheSameBytes) {
  for (const char* optimizer : {"adafactor", "adamw"}) {
    Config config = select({"all"}, {"gate", "embedding", "/block\\.0/"});
    config.optimizer.name = optimizer;
    config.batch.bucket_batches = 1;
    const std::string whole = folder_ / (std::string("whole-") + optimizer),
                      out = folder_ / (std::string("out-") + optimizer);
    model::LoadedModel loaded = make_tiny_model();
    train(loaded, config, tiny_job(whole));

    loaded = make_tiny_model();
    Job job = tiny_job(out);
    job.draw = [](uint64_t position) {
      if (position == 6 * 6) set_interrupted(true);
      return draw_first_token(position);
    };
    error_of(ErrorCode::Interrupted, [&] { train(loaded, config, job); });
    set_interrupted(false);
    const std::set<std::string> trained = trained_names(*loaded.model, config);
    for (const auto& [name, tensor] :
         checkpoint::load_safetensors(newest_checkpoint(out) + "/optimizer.safetensors"))
      EXPECT_EQ(trained.count(name.substr(0, name.rfind('.'))), 1u) << name;

    loaded = make_tiny_model();
    Config other = config;
    other.frozen.pop_back();
    expect_error(ErrorCode::InvalidConfig, "train config frozen",
                 [&] { train(loaded, other, tiny_job(out, true)); });
    const Result result = train(loaded, config, tiny_job(out, true));
    EXPECT_EQ(read_file(out + "/model/model.safetensors"),
              read_file(whole + "/model/model.safetensors"));
    loaded = make_tiny_model();
    EXPECT_EQ(train(loaded, config, tiny_job(out, true)).num_trained_parameters,
              result.num_trained_parameters);
  }
}

TEST_F(ParameterSetsTest, SaysWhatIsTrainedAndWhatIsFrozen) {
  model::LoadedModel loaded = make_tiny_model();
  train(loaded, select({"all"}, {"gate", "/shared/"}), tiny_job(folder_ / "out"));
  const auto found = std::find_if(lines_.begin(), lines_.end(), [](const std::string& line) {
    return line.starts_with("[train] gate");
  });
  ASSERT_NE(found, lines_.end());
  // 2 layers x 4 experts x 24; 2 x 4 x 3 x 24 x 40; 48 x 24 each
  EXPECT_CONTAINS(*found,
                  "gate 192 frozen; expert 23.0 k trained; embedding 1.15 k trained, 1.15 k "
                  "frozen; rest ");
  EXPECT_EQ(found->find("frozen", found->find("rest")), std::string::npos) << *found;

  const model::LoadedModel dense = make_tiny_model(false);
  const Selection selection(dense.model->parameters(), select({"embedding"}));
  EXPECT_EQ(selection.summary().rfind("embedding 2.30 k trained; rest ", 0), 0u)
      << selection.summary();
}

TEST_F(ParameterSetsTest, WarnsOnceOfATrainedGroupWithoutGradient) {
  model::LoadedModel loaded = make_tiny_model();
  train(loaded, tiny_config(), tiny_job(folder_ / "sound"));
  EXPECT_EQ(count_warnings("received no gradient"), 0);

  // an output matrix of zeros lets no gradient through; what has one still, by the balance loss, is
  // the router of the decoder's last layer and all before it
  model::ModelConfig config = tiny_model_config(true);
  config.encoder_sparse_layers = {};
  loaded.model = std::make_unique<model::Model>(config, 5);
  for (const nn::Parameter& parameter : loaded.model->parameters())
    if (parameter.name == "lm_head.weight") parameter.tensor.detach().zero_();
  train(loaded, select({"all"}, {"embedding"}), tiny_job(folder_ / "cut"));
  EXPECT_EQ(count_warnings("received no gradient"), 1);
  EXPECT_EQ(count_warnings("group 'expert' received no gradient in step 1"), 1);
  warnings_.clear();

  // frozen ones are not missed
  train(loaded, select({"all"}, {"embedding", "expert"}), tiny_job(folder_ / "frozen"));
  EXPECT_EQ(count_warnings("received no gradient"), 0);
}

TEST_F(ParameterSetsTest, AZeroGradientIsNone) {
  // the probability of the only expert is 1 whatever its logit
  model::ModelConfig config = tiny_model_config(true);
  config.moe.num_experts = 1;
  config.moe.load_balance_coefficient = config.moe.z_loss_coefficient = 0;
  config.moe.router = "switch";
  config.set_moe(config.moe);
  model::LoadedModel loaded;
  loaded.model = std::make_unique<model::Model>(config, 5);
  const Result result = train(loaded, select({"gate"}), tiny_job(folder_ / "out"));
  EXPECT_EQ(result.steps, 12);
  EXPECT_EQ(count_warnings("group 'gate' received no gradient"), 1);
}

TEST_F(ParameterSetsTest, RefusesASelectionThatCannotBeMeant) {
  const auto message = [&](const Config& config) {
    model::LoadedModel loaded = make_tiny_model();
    return error_of(ErrorCode::InvalidConfig,
                    [&] { train(loaded, config, tiny_job(folder_ / "out")); });
  };
  const std::string unknown = message(select({"experts"}));
  EXPECT_CONTAINS(unknown, "[train.trainable]");
  EXPECT_CONTAINS(unknown, "'experts' (did you mean 'expert'?)");
  EXPECT_CONTAINS(message(select({"all"}, {"gates"})), "[train.frozen]");
  EXPECT_CONTAINS(message(select({"zebra"})),
                  "one of: gate, expert, moe, non-moe, embedding, adapter, all");
  EXPECT_CONTAINS(message(select({"/(/"})), "/(/ is not a regular expression");
  EXPECT_CONTAINS(message(select({"all"}, {"/wi_7/"})),
                  "/wi_7/ is found in no parameter's name; names are like 'shared.weight'");
  EXPECT_CONTAINS(message(select({})), "nothing to train");
  EXPECT_CONTAINS(message(select({"moe"}, {"gate", "expert"})), "nothing to train");
  EXPECT_FALSE(is_folder(folder_ / "out"));

  model::LoadedModel dense = make_tiny_model(false);
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig,
                           [&] { train(dense, select({"moe"}), tiny_job(folder_ / "out")); }),
                  "nothing to train");
  for (const nn::Parameter& parameter : dense.model->parameters())
    EXPECT_TRUE(parameter.tensor.requires_grad());
  // the dense twin of a sparse arm takes the same table
  train(dense, select({"all"}, {"gate"}), tiny_job(folder_ / "dense"));
  EXPECT_EQ(count_warnings("no parameters in the set 'gate'"), 1);
}

TEST(ParameterSets, OfAnAdapterGoByTagsAndWhatIsFixedStaysSo) {
  const auto make = [](const std::string& name, const nn::ParameterTags& tags) {
    return nn::Parameter{name, at::zeros({2, 2}).requires_grad_(true), tags};
  };
  const nn::Parameters adapter = {make("a.router", {.is_router = true, .is_adapter = true}),
                                  make("a.experts", {.is_adapter = true})},
                       base = {make("b.router", {.is_router = true}), make("b.wo", {})};
  const auto names = [&](const Config& config) {
    return names_of(Selection(adapter, config, base).trained());
  };
  using Names = std::set<std::string>;
  EXPECT_EQ(names(select({"all"})), (Names{"a.router", "a.experts"}));
  EXPECT_EQ(names(select({"adapter"})), (Names{"a.router", "a.experts"}));
  EXPECT_EQ(names(select({"gate"})), Names{"a.router"});
  EXPECT_EQ(names(select({"all"}, {"gate"})), Names{"a.experts"});
  {
    const Selection selection(adapter, select({"all"}), base);
    for (const nn::Parameter& parameter : base) EXPECT_FALSE(parameter.tensor.requires_grad());
    EXPECT_EQ(selection.summary(), "gate 4 trained, 4 frozen; adapter 4 trained; rest 4 frozen");
  }
  for (const nn::Parameter& parameter : base) EXPECT_TRUE(parameter.tensor.requires_grad());
  // a router between equal experts has no gradient, and nobody is warned of it
  EXPECT_EQ(find_groups_without_gradient(adapter), std::vector<std::string>{"adapter"});
  EXPECT_EQ(find_groups_without_gradient(base), (std::vector<std::string>{"gate", "rest"}));
}

}  // namespace
}  // namespace flanmoe::train
