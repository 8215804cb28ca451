#include "convert/upcycle.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <functional>
#include <list>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "checkpoint/tensor_writer.h"
#include "convert/write_folder.h"
#include "model/blocks.h"
#include "moe/feed_forward.h"
#include "moe/router.h"
#include "nn/random_fill.h"

namespace flanmoe::convert {
namespace {

// "...layer.1.mlp.experts.wi_0.weight" -> "...layer.1.DenseReluDense.wi_0.weight".
std::string dense_name(std::string name) {
  const std::string from = ".mlp.experts.";
  return name.replace(name.find(from), from.size(), ".DenseReluDense.");
}

// "...layer.1.mlp.experts": of the expert's matrices together.
std::string block_name(const std::string& name) {
  return name.substr(0, name.find(".experts.") + std::string(".experts").size());
}

RandomKey random_key(const UpcycleConfig& config, RandomPurpose purpose, std::string_view name,
                     int64_t expert) {
  return RandomKey(static_cast<uint64_t>(config.seed), purpose)
      .fold(name)
      .fold(static_cast<uint64_t>(expert));
}

// The hidden units of an expert that are drawn anew: the same in all its matrices.
at::Tensor choose_units(const UpcycleConfig& config, const std::string& name, int64_t expert,
                        int64_t num_units) {
  const Permutation order(
      static_cast<uint64_t>(num_units),
      random_key(config, RandomPurpose::ExpertReinitialisation, block_name(name), expert));
  const auto num_chosen = std::llround(config.reinitialised_fraction * num_units);
  at::Tensor units = at::empty({num_chosen}, at::kLong);
  for (int64_t i = 0; i < num_chosen; ++i)
    units.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(order(static_cast<uint64_t>(i)));
  return units;
}

// One expert's matrix from the dense one: wi [F, D] or wo [D, F].
at::Tensor make_expert(const UpcycleConfig& config, const std::string& name, int64_t expert,
                       const at::Tensor& dense) {
  const bool is_output = name.ends_with(".wo.weight");
  const int64_t unit_axis = is_output ? 1 : 0;
  // A reference to the dense matrix until something changes it.
  at::Tensor weight = dense;
  if (config.slices > 1) {
    const int64_t width = dense.size(unit_axis) / config.slices;
    weight = dense.narrow(unit_axis, expert % config.slices * width, width);
    if (is_output) weight = weight.mul(static_cast<double>(config.slices));
  }
  if (config.reinitialised_fraction > 0) {
    const at::Tensor units = choose_units(config, name, expert, weight.size(unit_axis));
    if (units.numel() > 0) {
      const at::Tensor old = at::index_select(weight, unit_axis, units);
      const RandomKey key = random_key(config, RandomPurpose::ExpertReinitialisation, name, expert);
      const at::Tensor drawn = nn::draw_normal(old.sizes(), old.std(false).item<double>(), key)
                                   .add(old.mean().item<double>());
      weight = at::index_copy(weight, unit_axis, units, drawn.to(weight.scalar_type()));
    }
  }
  if (config.expert_noise > 0) {
    const double root_mean_square = std::sqrt(weight.square().mean().item<double>());
    weight =
        weight.add(nn::draw_normal(weight.sizes(), config.expert_noise * root_mean_square,
                                   random_key(config, RandomPurpose::ExpertNoise, name, expert)));
  }
  return weight;
}

at::Tensor make_router(const UpcycleConfig& config, const nn::Parameter& parameter) {
  const int64_t num_groups = parameter.tensor.size(0) / config.slices;
  const RandomKey key(static_cast<uint64_t>(config.seed), RandomPurpose::Initialisation);
  const at::Tensor rows =
      nn::draw_normal({num_groups, parameter.tensor.size(1)}, config.router_init_std,
                      key.fold(std::string_view(parameter.name)));
  return config.slices == 1 ? rows : at::repeat_interleave(rows, config.slices, 0);
}

// The block behind a sparse one (has_extra_feed_forward) adds nothing at first: its output matrix
// is 0.
at::Tensor make_extra(const UpcycleConfig& config, const nn::Parameter& parameter) {
  const at::IntArrayRef shape = parameter.tensor.sizes();
  if (parameter.tags.is_norm) return at::ones(shape, at::kFloat);
  if (parameter.name.ends_with(".wo.weight")) return at::zeros(shape, at::kFloat);
  const RandomKey key(static_cast<uint64_t>(config.seed), RandomPurpose::Initialisation);
  return nn::draw_normal(shape, 1 / std::sqrt(static_cast<double>(shape[1])),
                         key.fold(std::string_view(parameter.name)));
}

// A tensor of the dense model by its name, undefined where it has none. `is_shared`: others will
// ask for it next.
using DenseTensor = std::function<at::Tensor(const std::string& name, bool is_shared)>;

at::Tensor make_tensor(const UpcycleConfig& config, const nn::Parameter& parameter,
                       const model::DiskTensor& tensor, const DenseTensor& dense) {
  if (parameter.tags.is_router) return make_router(config, parameter);
  if (parameter.tags.is_expert())
    return make_expert(config, parameter.name, tensor.expert,
                       dense(dense_name(parameter.name), true));
  const at::Tensor copy = dense(parameter.name, false);
  return copy.defined() ? copy : make_extra(config, parameter);
}

// The last few tensors that were shared, in the dtype that arithmetic wants: all matrices of one
// block.
class SharedTensors {
 public:
  explicit SharedTensors(const model::ModelReader& reader) : reader_(reader) {}
  at::Tensor operator()(const std::string& name) {
    for (const auto& [known, tensor] : tensors_)
      if (known == name) return tensor;
    constexpr size_t kMatricesOfABlock = 3;
    if (tensors_.size() == kMatricesOfABlock) tensors_.pop_front();
    const at::Tensor tensor = reader_.read(name);
    return tensors_.emplace_back(name, tensor.to(widen(tensor.scalar_type()))).second;
  }
  static at::ScalarType widen(at::ScalarType dtype) {
    return dtype == at::kDouble ? at::kDouble : at::kFloat;
  }

 private:
  const model::ModelReader& reader_;
  std::list<std::pair<std::string, at::Tensor>> tensors_;
};

}  // namespace

namespace {

// What the experts of a stack must be to be made from dense blocks.
void check_experts(const model::ModelConfig& dense, const moe::Config& moe,
                   const UpcycleConfig& config, bool is_decoder) {
  const char* key = is_decoder ? "upcycle.decoder_moe" : "upcycle.moe";
  const int64_t slices = config.slices, width = dense.d_ff / slices;
  if (moe.num_experts % slices != 0)
    fail(ErrorCode::InvalidConfig,
         "[{}.num_experts] expected a multiple of upcycle.slices = {}, found {}", key, slices,
         moe.num_experts);
  if (moe.expert_d_ff != 0 && moe.expert_d_ff != width)
    fail(ErrorCode::InvalidConfig,
         "[{}.expert_d_ff] experts made of a dense block of width {} in {} slice(s) have width {}, "
         "found {}",
         key, dense.d_ff, slices, width, moe.expert_d_ff);
  const nn::FeedForwardConfig block = model::feed_forward_config(dense);
  if (moe::expert_config(block, moe).is_gated != block.is_gated)
    fail(ErrorCode::InvalidConfig,
         "[{}.expert_feed_forward] experts made of a {} block are of its kind, found {}", key,
         to_string(dense.feed_forward), to_string(moe.expert_feed_forward));
  if (slices == 1) return;
  const auto router = moe::make_router(moe);
  const double k = router->experts_per_token(false, is_decoder);
  // Experts with equal router rows choose the same tokens.
  const bool takes_whole_groups = moe.router == "expert-choice" && !is_decoder;
  if (!takes_whole_groups &&
      (!router->is_learned() || std::fmod(k, static_cast<double>(slices)) != 0))
    log::warn(
        "[upcycle] the {}'s router '{}' gives a token {} experts, not whole groups of {} slices: "
        "the model does not start equal to the dense one",
        is_decoder ? "decoder" : "encoder", moe.router, k, slices);
}

}  // namespace

model::ModelConfig upcycled_config(const model::ModelConfig& dense, const UpcycleConfig& config) {
  const auto expect = [](bool is_right, const char* key, const char* what, double found) {
    if (!is_right)
      fail(ErrorCode::InvalidConfig, "[upcycle.{}] expected {}, found {}", key, what, found);
  };
  expect(config.expert_noise >= 0, "expert_noise", "0 or more", config.expert_noise);
  expect(config.router_init_std >= 0, "router_init_std", "0 or more", config.router_init_std);
  expect(config.reinitialised_fraction >= 0 && config.reinitialised_fraction <= 1,
         "reinitialised_fraction", "a number from 0 to 1", config.reinitialised_fraction);
  if (config.carries_optimizer_state && config.slices > 1)
    fail(ErrorCode::InvalidConfig,
         "[upcycle.carries_optimizer_state] slices have no state in the dense model (slices is {})",
         config.slices);
  if (config.slices < 1 || dense.d_ff % config.slices != 0)
    fail(ErrorCode::InvalidConfig, "[upcycle.slices] expected a divisor of d_ff = {}, found {}",
         dense.d_ff, config.slices);
  model::ModelConfig sparse = config.apply_to(dense, "upcycle");
  for (const bool is_decoder : {false, true}) {
    const auto& layers = is_decoder ? sparse.decoder_sparse_layers : sparse.encoder_sparse_layers;
    moe::Config& moe = is_decoder ? sparse.decoder_moe : sparse.moe;
    if (!layers.empty()) check_experts(dense, moe, config, is_decoder);
    if (config.slices > 1) moe.expert_d_ff = dense.d_ff / config.slices;
  }
  return sparse;
}

model::Model upcycle(const model::Model& dense, const UpcycleConfig& config) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> source;
  for (const nn::Parameter& parameter : dense.parameters())
    source[parameter.name] = parameter.tensor.detach();
  const auto find = [&](const std::string& name, bool is_shared) {
    const at::Tensor tensor = source[name];
    return is_shared ? tensor.cpu().to(SharedTensors::widen(tensor.scalar_type())) : tensor;
  };

  model::Model sparse(upcycled_config(dense.config(), config), std::nullopt,
                      source.at("shared.weight").scalar_type(), dense.device());
  for (const model::DiskTensor& tensor :
       model::list_disk_tensors(sparse.parameters(), sparse.config())) {
    const nn::Parameter& parameter = sparse.parameters()[tensor.parameter];
    model::part_on_disk(parameter.tensor.detach(), parameter, tensor)
        .copy_(make_tensor(config, parameter, tensor, find));
  }
  return sparse;
}

namespace {

// "<parameter>.<what>" of the dense model's state becomes that of the sparse model: [...] of a
// dense block is [E, ...] of its experts (optimizers put the expert axis first).
void write_optimizer_state(const std::string& dense_folder, const std::string& out,
                           const nn::Parameters& parameters) {
  const std::string path = dense_folder + "/" + model::kOptimizerFile;
  if (!is_file(path))
    fail(ErrorCode::NotFound,
         "[upcycle.carries_optimizer_state] there is no '{}' (a stage with "
         "train.keeps_optimizer_state writes it)",
         path);
  std::map<std::string, std::string> metadata;
  const auto file = checkpoint::open_safetensors(path, &metadata);
  std::map<std::string, const nn::Parameter*> by_source;
  for (const nn::Parameter& parameter : parameters)
    by_source[parameter.tags.is_expert() ? dense_name(parameter.name) : parameter.name] =
        &parameter;

  checkpoint::TensorInfos infos;
  std::map<std::string, std::string> source_of;
  for (const auto& [name, info] : file->tensors()) {
    const size_t dot = name.rfind('.');
    const auto found = by_source.find(name.substr(0, dot));
    if (dot == name.npos || found == by_source.end())
      fail(ErrorCode::CorruptFile, "{}: '{}' is of no parameter of the model", path, name);
    const nn::Parameter& parameter = *found->second;
    const std::string target = parameter.name + name.substr(dot);
    infos[target] = info;
    if (parameter.tags.is_expert())
      infos[target].shape.insert(infos[target].shape.begin(),
                                 parameter.tensor.size(parameter.tags.expert_axis));
    source_of[target] = name;
  }
  checkpoint::SafetensorsWriter writer(out + "/" + model::kOptimizerFile, infos, metadata);
  for (const std::string& name : writer.order())
    writer.write(name, file->read(source_of.at(name)).expand(infos.at(name).shape));
  writer.finish();
}

}  // namespace

model::ModelConfig upcycle_folder(const std::string& dense_folder, const std::string& out,
                                  const UpcycleConfig& config, const FolderOptions& options) {
  const at::NoGradGuard no_grad;
  const model::ModelReader reader(dense_folder);
  const model::ModelConfig sparse = upcycled_config(reader.config(), config);
  SharedTensors shared(reader);
  const auto find = [&](const std::string& name, bool is_shared) {
    if (!reader.has(name)) return at::Tensor();
    return is_shared ? shared(name) : reader.read(name);
  };
  write_model_folder(
      out, sparse, options.dtype, options.max_shard_bytes, reader.load_tokenizer().get(), "upcycle",
      [&](const nn::Parameter& parameter, const model::DiskTensor& tensor) {
        return make_tensor(config, parameter, tensor, find);
      },
      [&](const std::string& folder) {
        if (config.carries_optimizer_state)
          write_optimizer_state(dense_folder, folder, model::describe_parameters(sparse));
      });
  return sparse;
}

}  // namespace flanmoe::convert
