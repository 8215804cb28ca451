#include "model/placement.h"

#include <algorithm>

namespace flanmoe::model {
namespace {

std::vector<int64_t> place(const Placement& shared, const StackPlacement& stack, int64_t num_layers,
                           const std::string& where, const char* name) {
  const PlacementKind kind = stack.kind == PlacementKind::Every && !stack.layers.empty()
                                 ? PlacementKind::List
                                 : stack.kind;
  if (kind != PlacementKind::List && !stack.layers.empty())
    fail(ErrorCode::InvalidConfig,
         "[{}.{}] kind is '{}', which takes no layers; leave kind out, or layers", where, name,
         to_string(kind));
  std::vector<int64_t> layers;
  if (kind == PlacementKind::LastHalf) {
    for (int64_t i = num_layers - num_layers / 2; i < num_layers; ++i) layers.push_back(i);
  } else if (kind == PlacementKind::List) {
    if (stack.layers.empty())
      fail(ErrorCode::InvalidConfig, "[{}.{}.layers] expected indices of layers, found none", where,
           name);
    layers = stack.layers;
    std::sort(layers.begin(), layers.end());
    for (size_t i = 0; i < layers.size(); ++i) {
      if (layers[i] < 0 || layers[i] >= num_layers)
        fail(ErrorCode::InvalidConfig, "[{}.{}.layers] there is no layer {}, expected 0 to {}",
             where, name, layers[i], num_layers - 1);
      if (i > 0 && layers[i] == layers[i - 1])
        fail(ErrorCode::InvalidConfig, "[{}.{}.layers] has layer {} twice", where, name, layers[i]);
    }
  } else if (kind == PlacementKind::Every) {
    const auto key = [&](bool is_own, const char* last) {
      return is_own ? fmt::format("{}.{}.{}", where, name, last)
                    : fmt::format("{}.{}", where, last);
    };
    const int64_t every = stack.every.value_or(shared.every);
    if (every < 1)
      fail(ErrorCode::InvalidConfig, "[{}] expected at least 1, found {}",
           key(stack.every.has_value(), "every"), every);
    // with a stride of one there is nothing to choose
    const int64_t offset = every == 1 ? 0 : stack.offset.value_or(shared.offset);
    if (offset < -1 || offset >= every)
      fail(ErrorCode::InvalidConfig, "[{}] expected -1 to {} (every is {}), found {}",
           key(stack.offset.has_value(), "offset"), every - 1, every, offset);
    for (int64_t i = offset < 0 ? every - 1 : offset; i < num_layers; i += every)
      layers.push_back(i);
  }
  return layers;
}

}  // namespace

std::vector<int64_t> Placement::encoder_layers(int64_t num_layers, const std::string& where) const {
  return place(*this, encoder, num_layers, where, "encoder");
}
std::vector<int64_t> Placement::decoder_layers(int64_t num_layers, const std::string& where) const {
  return place(*this, decoder, num_layers, where, "decoder");
}

ModelConfig SparseLayers::apply_to(const ModelConfig& dense, const std::string& where) const {
  if (dense.is_sparse())
    fail(ErrorCode::InvalidArgument, "[{}] the model is sparse already ({} experts a layer)", where,
         dense.moe.num_experts);
  ModelConfig sparse = dense;
  sparse.moe = moe;
  sparse.decoder_moe = decoder_moe;
  sparse.encoder_sparse_layers = placement.encoder_layers(dense.num_layers, where);
  sparse.decoder_sparse_layers = placement.decoder_layers(dense.num_decoder_layers, where);
  if (!sparse.is_sparse())
    fail(ErrorCode::InvalidArgument,
         "[{}.every] every {} of {} encoder and {} decoder layers: no layer would become sparse",
         where, placement.every, dense.num_layers, dense.num_decoder_layers);
  validate(sparse, where);
  return sparse;
}

}  // namespace flanmoe::model
