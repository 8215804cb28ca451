// Training an adapter: what is trained, what is kept of it on disk, and how a run goes on.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/log.h"
#include "base/progress.h"
#include "model/adapter_folder.h"
#include "model/folder.h"
#include "peft/adapter.h"
#include "peft/registry.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "train/divergence.h"
#include "train/run_files.h"
#include "train/stochastic_rounding.h"
#include "train/tiny.h"
#include "train/trained_weights.h"

namespace flanmoe::train {
namespace {

peft::Config config_of(const std::string& kind) {
  peft::ComponentConfig component;
  component.kind = kind;
  // a key that a kind has no use for is an error
  const auto is_one_of = [&](std::initializer_list<const char*> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (is_one_of({"mov", "molora"})) component.num_experts = 3;
  if (is_one_of({"lora", "molora"})) component.rank = 2;
  if (is_one_of({"prompt"})) component.num_virtual_tokens = 2;
  return {{component}};
}

std::string adapter_bytes(const std::string& out) {
  return get_file(out + "/adapter/adapter_model.safetensors");
}

using Values = std::map<std::string, at::Tensor>;
Values values_of(const nn::Parameters& parameters) {
  Values values;
  for (const nn::Parameter& parameter : parameters)
    values[parameter.name] = parameter.tensor.detach().clone();
  return values;
}

class TrainAdapter : public ::testing::Test {
 protected:
  void SetUp() override {
    disable_progress();
    log::set_sink([](log::Level, const std::string&) {});
    save_base(base_, 5);
  }
  void TearDown() override { log::set_sink(nullptr); }

  static void save_base(const std::string& folder, uint64_t seed) {
    model::save_model(folder, model::Model(tiny_model_config(false), seed), nullptr);
  }
  static model::LoadedModel load(const std::string& base, const peft::Config& adapter,
                                 at::ScalarType dtype = at::kFloat, uint64_t seed = 3) {
    model::LoadedModel loaded = model::load_model(base, dtype);
    loaded.model->activate(loaded.model->attach(
        std::make_shared<peft::Adapter>("adapter", adapter, loaded.model->sites(), seed)));
    return loaded;
  }
  static const nn::Parameters& parameters_of(const model::LoadedModel& loaded) {
    return loaded.model->adapter(*loaded.model->active_adapter()).parameters();
  }
  static Config make_config() {
    Config config = tiny_config();
    config.batch.bucket_batches = 1;
    config.checkpoint_every = 2;
    config.log_every = 1;
    return config;
  }
  void run_until(const std::string& out, const Config& config, int64_t step,
                 const peft::Config& adapter) const {
    Job job = tiny_job(out);
    job.after_step = [=](int64_t made) {
      if (made == step) throw std::runtime_error("planted");
    };
    EXPECT_THROW(train(load(base_, adapter), config, job), std::runtime_error);
  }

  TemporaryFolder folder_;
  const std::string base_ = folder_ / "base";
};

TEST_F(TrainAdapter, OfEveryKindTheAdapterAloneIsTrainedAndWritten) {
  for (const std::string& kind : peft::kind_registry().names()) {
    SCOPED_TRACE(kind);
    const std::string out = folder_ / kind;
    Config config = make_config();
    config.keep_every = 4;
    const model::LoadedModel loaded = load(base_, config_of(kind));
    const Values base = values_of(loaded.model->parameters()),
                 adapter = values_of(parameters_of(loaded));
    Job job = tiny_job(out);
    job.after_step = [&](int64_t) {
      for (const nn::Parameter& parameter : loaded.model->parameters()) {
        EXPECT_FALSE(parameter.tensor.requires_grad()) << parameter.name;
        EXPECT_FALSE(parameter.tensor.grad().defined()) << parameter.name;
      }
    };
    const Result result = train(loaded, config, job);
    EXPECT_EQ(result.num_trained_parameters, nn::num_elements(parameters_of(loaded)));
    EXPECT_TRUE(std::isfinite(result.final_loss));
    for (const nn::Parameter& parameter : loaded.model->parameters()) {
      EXPECT_TRUE(at::equal(parameter.tensor.detach(), base.at(parameter.name)));
      EXPECT_TRUE(parameter.tensor.requires_grad());
    }
    bool is_changed = false;
    for (const nn::Parameter& parameter : parameters_of(loaded))
      is_changed |= !at::equal(parameter.tensor.detach(), adapter.at(parameter.name));
    EXPECT_TRUE(is_changed);

    EXPECT_FALSE(is_folder(out + "/model"));
    const std::string checkpoint = CheckpointStore(out + "/checkpoints").path(4);
    std::set<std::string> files;
    for (const std::string& path : list_files(checkpoint))
      files.insert(path.substr(checkpoint.size() + 1));
    EXPECT_EQ(files, (std::set<std::string>{"adapter/adapter_config.json",
                                            "adapter/adapter_model.safetensors", "checksums.xxh128",
                                            "optimizer.safetensors", "trainer.json"}));
    const checkpoint::NamedTensors state =
        checkpoint::load_safetensors(checkpoint + "/optimizer.safetensors");
    EXPECT_FALSE(state.empty());
    for (const auto& [name, tensor] : state)
      EXPECT_TRUE(adapter.contains(name.substr(0, name.rfind('.')))) << name;

    const model::LoadedModel again = model::load_model(out + "/adapter");
    const Values saved = values_of(parameters_of(again));
    for (const nn::Parameter& parameter : parameters_of(loaded))
      EXPECT_TRUE(at::equal(parameter.tensor.detach(), saved.at(parameter.name))) << parameter.name;
    EXPECT_EQ(model::load_model_config(checkpoint + "/adapter").d_model, 24);
  }
}

TEST_F(TrainAdapter, AStoppedRunEndsInTheSameBytes) {
  for (const std::string& kind : peft::kind_registry().names()) {
    SCOPED_TRACE(kind);
    const Config config = make_config();
    const std::string whole = folder_ / (kind + "-whole"), out = folder_ / kind;
    train(load(base_, config_of(kind)), config, tiny_job(whole));
    run_until(out, config, 9, config_of(kind));
    // what it begins with says nothing: the checkpoint does
    const model::LoadedModel resumed = load(base_, config_of(kind), at::kFloat, 99);
    train(resumed, config, tiny_job(out, true));
    EXPECT_EQ(adapter_bytes(out), adapter_bytes(whole));
    EXPECT_EQ(metrics_text(out), metrics_text(whole));

    const model::LoadedModel finished = load(base_, config_of(kind), at::kFloat, 99);
    train(finished, config, tiny_job(out, true));
    const Values values = values_of(parameters_of(resumed));
    for (const nn::Parameter& parameter : parameters_of(finished))
      EXPECT_TRUE(at::equal(parameter.tensor.detach(), values.at(parameter.name)));
  }
}

TEST_F(TrainAdapter, AnotherAdapterOrBaseIsNotResumedInto) {
  const Config config = make_config();
  const std::string out = folder_ / "out", other = folder_ / "other";
  run_until(out, config, 5, config_of("lora"));
  peft::Config changed = config_of("lora");
  changed.components[0].rank = 3;
  const auto resume = [&](const model::LoadedModel& loaded) {
    return error_of(ErrorCode::InvalidConfig, [&] { train(loaded, config, tiny_job(out, true)); });
  };
  const std::string rank = resume(load(base_, changed));
  EXPECT_CONTAINS(rank, "cannot resume: adapter config ");
  EXPECT_CONTAINS(rank, "rank");
  EXPECT_CONTAINS(resume(load(base_, config_of("ia3"))), "cannot resume: adapter config ");
  save_base(other, 6);
  EXPECT_CONTAINS(resume(load(other, config_of("lora"))),
                  "the adapter's base model has other weights than the run began with");
  EXPECT_CONTAINS(resume(model::load_model(base_)),
                  "the whole model is to be trained, the run began with an adapter");

  train(load(base_, config_of("lora")), config, tiny_job(out, true));
  const std::string finished = error_of(ErrorCode::InvalidArgument, [&] {
    train(model::load_model(base_), config, tiny_job(out, true));
  });
  EXPECT_CONTAINS(finished, out + "/adapter is there already");
  EXPECT_CONTAINS(finished, "of a run that trained an adapter, not the whole model");
}

TEST_F(TrainAdapter, TheBestOneIsKept) {
  Config config = make_config();
  config.evaluate_every = 3;
  config.keeps_best = true;
  const std::string out = folder_ / "out";
  const model::LoadedModel loaded = load(base_, config_of("lora"));
  Job job = tiny_job(out);
  Values best;
  job.evaluate = [&](int64_t step) {
    if (step == 6) best = values_of(parameters_of(loaded));
    return EvaluationValues{{"loss", step == 6 ? 1.0 : 2.0}};
  };
  const Result result = train(loaded, config, job);
  EXPECT_EQ(result.model_step, 6);
  const model::LoadedModel saved = model::load_model(out + "/adapter");
  for (const nn::Parameter& parameter : parameters_of(saved))
    EXPECT_TRUE(at::equal(parameter.tensor.detach(), best.at(parameter.name))) << parameter.name;
  EXPECT_FALSE(is_folder(out + "/best"));
}

TEST_F(TrainAdapter, AStepThatIsNotFiniteIsKeptWithTheAdapter) {
  const std::string out = folder_ / "out";
  Config config = make_config();
  config.checkpoint_every = 0;
  const model::LoadedModel loaded = load(base_, config_of("lora"));
  const nn::Parameter& planted = parameters_of(loaded)[3];
  Job job = tiny_job(out);
  job.after_step = [&](int64_t step) {
    if (step == 4)
      planted.tensor.detach().view(-1)[1].fill_(std::numeric_limits<double>::quiet_NaN());
  };
  const std::string message = error_of(ErrorCode::NonFinite, [&] { train(loaded, config, job); });
  EXPECT_CONTAINS(message, "at step 5: parameter '" + planted.name + "'");
  const std::string kept = out + "/divergence/step-5";
  EXPECT_EQ(find_trained_folder(kept), kept + "/adapter");
  const ReplayResult result = run_replay(model::load_model(kept + "/adapter"), load_replay(kept));
  EXPECT_EQ(result.divergence.bad_weight, planted.name);
  EXPECT_FALSE(std::isfinite(result.losses.front().second));
}

TEST_F(TrainAdapter, AnAdapterFolderIsTrainedOn) {
  Config config = make_config();
  config.keeps_optimizer_state = true;
  const std::string first = folder_ / "first", still = folder_ / "still", on = folder_ / "on";
  train(load(base_, config_of("lora")), config, tiny_job(first));
  config.starts_from_optimizer_state = true;
  train(model::load_model(first + "/adapter"), config, tiny_job(on));
  EXPECT_NE(adapter_bytes(on), adapter_bytes(first));
  config.learning_rate = 0;
  train(model::load_model(first + "/adapter"), config, tiny_job(still));
  EXPECT_EQ(adapter_bytes(still), adapter_bytes(first));
  EXPECT_EQ(model::find_adapter_base(on + "/adapter").path, base_);
}

TEST_F(TrainAdapter, AFrozenBaseInBfloat16ComputesWhatItsFloat32MasterDoes) {
  Config config = make_config();
  config.precision = Precision::BFloat16;
  EXPECT_EQ(find_parameter_dtype(config, true), at::kBFloat16);
  EXPECT_EQ(find_parameter_dtype(config), at::kFloat);
  const std::string narrow = folder_ / "narrow", wide = folder_ / "wide";
  train(load(base_, config_of("lora"), at::kBFloat16), config, tiny_job(narrow));
  train(load(base_, config_of("lora"), at::kFloat), config, tiny_job(wide));
  EXPECT_EQ(adapter_bytes(narrow), adapter_bytes(wide));
  EXPECT_EQ(metrics_text(narrow), metrics_text(wide));

  config.has_stochastic_rounding = true;
  EXPECT_CONTAINS(error_of(ErrorCode::InvalidConfig,
                           [&] {
                             train(load(base_, config_of("lora"), at::kBFloat16), config,
                                   tiny_job(folder_ / "rounded"));
                           }),
                  "has_stochastic_rounding] is true, expected false");
}

TEST_F(TrainAdapter, SetsChooseAmongItsParameters) {
  Config config = make_config();
  config.trainable = {"/lora_B/"};
  const model::LoadedModel loaded = load(base_, config_of("lora"));
  const Values before = values_of(parameters_of(loaded));
  train(loaded, config, tiny_job(folder_ / "b"));
  for (const nn::Parameter& parameter : parameters_of(loaded))
    EXPECT_EQ(at::equal(parameter.tensor.detach(), before.at(parameter.name)),
              parameter.name.find("lora_A") != std::string::npos)
        << parameter.name;
  config.trainable = {"all"};
  config.frozen = {"adapter"};
  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidConfig,
               [&] { train(load(base_, config_of("lora")), config, tiny_job(folder_ / "none")); }),
      "every parameter is frozen");
}

}  // namespace
}  // namespace flanmoe::train
