// Which layers of a model are sparse, and how a dense one becomes such a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "model/config.h"

namespace flanmoe::model {

enum class PlacementKind {
  Every,     // layer i where i % every == offset
  List,      // `layers`
  LastHalf,  // the last num_layers / 2
  None,
};

}  // namespace flanmoe::model

template <>
struct flanmoe::EnumNames<flanmoe::model::PlacementKind> {
  static constexpr std::pair<model::PlacementKind, std::string_view> values[] = {
      {model::PlacementKind::Every, "every"},
      {model::PlacementKind::List, "list"},
      {model::PlacementKind::LastHalf, "last-half"},
      {model::PlacementKind::None, "none"}};
};

namespace flanmoe::model {

// Of one stack. `every` and `offset` are those of Placement where they are not given.
struct StackPlacement {
  PlacementKind kind = PlacementKind::Every;
  std::optional<int64_t> every, offset;
  std::vector<int64_t> layers;
  template <class Visitor>
  void visit(Visitor& v) {
    v("kind", kind, "every, list, last-half or none");
    v("every", every, "of this stack alone");
    v("offset", offset, "of this stack alone");
    v("layers", layers, "indices of the sparse layers, from 0; given, kind is list");
  }
};

// Of an encoder-decoder. The papers have every second layer; flaxformer puts the sparse layer last
// in its stride (offset -1), `transformers` second (offset 1); they agree for a stride of 2
// (facts.md item 107).
struct Placement {
  int64_t every = 2;
  int64_t offset = -1;
  StackPlacement encoder, decoder;
  template <class Visitor>
  void visit(Visitor& v) {
    v("every", every, "layer i is sparse iff i % every == offset");
    v("offset", offset,
      "which layer of a stride; -1: the last one, 1: as transformers (and preset hf) has it");
    v("encoder", encoder, "which layers of the encoder");
    v("decoder", decoder, "which layers of the decoder");
  }

  // Sorted indices below `num_layers`. Throws InvalidConfig, naming `where`.encoder or .decoder, on
  // a stride below 1, an offset outside of -1..every - 1, a layer that is not there or there twice,
  // a list beside a kind that takes none.
  std::vector<int64_t> encoder_layers(int64_t num_layers, const std::string& where) const;
  std::vector<int64_t> decoder_layers(int64_t num_layers, const std::string& where) const;
};

// The sparse layers of a model: where they are, and what they are made of.
struct SparseLayers {
  moe::Config moe;
  moe::Config decoder_moe = moe::decoder_default(moe);
  Placement placement;
  template <class Visitor>
  void visit(Visitor& v) {
    v("moe", moe, "the encoder's sparse layers, and what the decoder's start from");
    if (was_given(v, "moe")) set_moe(moe);
    v("decoder_moe", decoder_moe, "the decoder's sparse layers");
    placement.visit(v);
  }
  // Of both stacks; the decoder's are moe::decoder_default(), and the preset says which layer of a
  // stride is sparse.
  void set_moe(const moe::Config& config) {
    moe = config;
    decoder_moe = moe::decoder_default(config);
    placement.offset = config.preset == moe::Preset::Hf ? 1 : -1;
  }

  // `dense` with these layers. Throws InvalidArgument, naming `where`, where it is sparse already
  // or no layer would become sparse, InvalidConfig as Placement and validate() do.
  ModelConfig apply_to(const ModelConfig& dense, const std::string& where) const;
};

}  // namespace flanmoe::model
