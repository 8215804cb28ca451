#include "model/placement.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace flanmoe::model {
namespace {

using Layers = std::vector<int64_t>;

Placement parse(const std::string& toml) {
  Placement placement;
  parse_config(parse_toml(toml, "test"), "", placement);
  return placement;
}
Layers encoder(const std::string& toml, int64_t num_layers) {
  return parse(toml).encoder_layers(num_layers, "x");
}
Layers decoder(const std::string& toml, int64_t num_layers) {
  return parse(toml).decoder_layers(num_layers, "x");
}

// facts.md item 107.
TEST(Placement, StridesAsFlaxformerAndTransformersHaveThem) {
  EXPECT_EQ(encoder("", 8), (Layers{1, 3, 5, 7}));
  EXPECT_EQ(encoder("every = 4", 12), (Layers{3, 7, 11}));
  EXPECT_EQ(encoder("every = 4\noffset = 1", 12), (Layers{1, 5, 9}));
  EXPECT_EQ(encoder("every = 4\noffset = 0", 9), (Layers{0, 4, 8}));
  EXPECT_EQ(encoder("every = 1", 3), (Layers{0, 1, 2}));
  EXPECT_EQ(encoder("every = 8", 7), Layers());
}

TEST(Placement, StacksApart) {
  const std::string toml = "every = 3\n[encoder]\nevery = 2\noffset = 0\n[decoder]\nkind = 'none'";
  EXPECT_EQ(encoder(toml, 5), (Layers{0, 2, 4}));
  EXPECT_EQ(decoder(toml, 5), Layers());
  EXPECT_EQ(decoder("every = 3\n[encoder]\nevery = 2", 6), (Layers{2, 5}));
  EXPECT_EQ(decoder("offset = 0\n[decoder]\nevery = 3\noffset = -1", 6), (Layers{2, 5}));
}

TEST(Placement, ListsAndHalves) {
  EXPECT_EQ(encoder("[encoder]\nlayers = [4, 0]", 5), (Layers{0, 4}));
  EXPECT_EQ(encoder("[encoder]\nkind = 'list'\nlayers = [2]", 5), (Layers{2}));
  EXPECT_EQ(encoder("[encoder]\nkind = 'last-half'", 8), (Layers{4, 5, 6, 7}));
  EXPECT_EQ(encoder("[encoder]\nkind = 'last-half'", 7), (Layers{4, 5, 6}));
  EXPECT_EQ(encoder("[encoder]\nkind = 'last-half'", 1), Layers());
}

TEST(Placement, NamesTheKeyThatIsWrong) {
  const auto expect = [](const std::string& part, const std::string& toml) {
    expect_error(ErrorCode::InvalidConfig, part, [&] { decoder(toml, 6); });
  };
  expect("[x.every] expected at least 1, found 0", "every = 0");
  expect("[x.decoder.every] expected at least 1, found -2", "[decoder]\nevery = -2");
  expect("[x.offset] expected -1 to 1 (every is 2), found 2", "offset = 2");
  expect("[x.decoder.offset] expected -1 to 1 (every is 2), found -2", "[decoder]\noffset = -2");
  expect("[x.decoder.layers] there is no layer 6, expected 0 to 5", "[decoder]\nlayers = [1, 6]");
  expect("[x.decoder.layers] there is no layer -1", "[decoder]\nlayers = [-1]");
  expect("[x.decoder.layers] has layer 3 twice", "[decoder]\nlayers = [3, 1, 3]");
  expect("[x.decoder.layers] expected indices", "[decoder]\nkind = 'list'");
  expect("kind is 'none', which takes no layers", "[decoder]\nkind = 'none'\nlayers = [1]");
  expect("did you mean 'last-half'", "[decoder]\nkind = 'last-hlf'");
}

TEST(SparseLayers, TakeTheLayerOfAStrideFromThePreset) {
  const auto layers = [](const std::string& toml) {
    SparseLayers sparse;
    parse_config(parse_toml(toml, "test"), "x", sparse);
    return sparse.placement.encoder_layers(12, "x");
  };
  EXPECT_EQ(layers("every = 4"), (std::vector<int64_t>{3, 7, 11}));
  EXPECT_EQ(layers("every = 4\nmoe.preset = 'flaxformer'"), (std::vector<int64_t>{3, 7, 11}));
  EXPECT_EQ(layers("every = 4\nmoe.preset = 'hf'"), (std::vector<int64_t>{1, 5, 9}));
  EXPECT_EQ(layers("every = 4\noffset = 2\nmoe.preset = 'hf'"), (std::vector<int64_t>{2, 6, 10}));
  EXPECT_EQ(layers("every = 1\nmoe.preset = 'hf'").size(), 12u);
}

}  // namespace
}  // namespace flanmoe::model
