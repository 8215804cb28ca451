// Layouts of batches, and the checks of tests/support that all tests of modules rest on.
#include "nn/context.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/tensors.h"

namespace flanmoe::nn {
namespace {

using testing::index_tensor;
using testing::integers;

using Integers = std::vector<int64_t>;

// ---- the checks object

TEST(Compare, ObjectsToEveryKindOfWrongNumber) {
  const at::Tensor want = testing::random_tensor({3, 5}, 1).add(-3);  // all negative
  EXPECT_EQ(testing::compare(want, want, 0), "");
  EXPECT_EQ(testing::compare(want.mul(1 + 1e-7), want, 0, 1e-6), "");
  for (double wrong : {-50.0, 50.0, 0.0, std::numeric_limits<double>::quiet_NaN(),
                       std::numeric_limits<double>::infinity()}) {
    at::Tensor got = want.clone();
    got[1][2] = wrong;
    EXPECT_NE(testing::compare(got, want, 1e-3, 1e-3), "") << wrong;
    EXPECT_NE(testing::compare(want, got, 1e-3, std::isinf(wrong) ? 0 : 1e-3), "") << wrong;
    EXPECT_NE(testing::compare_bits(got, want), "") << wrong;
  }
  EXPECT_NE(testing::compare(want.roll(1, 0), want, 1e-3), "");
  EXPECT_NE(testing::compare(want.narrow(0, 0, 2), want, 1e-3), "");
  EXPECT_NE(testing::compare(at::Tensor(), want, 1e-3), "");
  EXPECT_NE(testing::compare_bits(want.to(at::kFloat), want), "");
}

TEST(CheckGradients, ObjectsToAWrongAndToAMissingGradient) {
  const at::Tensor x = testing::random_tensor({7}, 1).requires_grad_(true);
  const auto square = [&] { return testing::probe(x.mul(x)); };
  EXPECT_EQ(testing::check_gradients(square, {x}), "");
  const auto half_detached = [&] { return testing::probe(x.mul(x.detach())); };
  EXPECT_NE(testing::check_gradients(half_detached, {x}), "");
  const at::Tensor unused = testing::random_tensor({7}, 1).requires_grad_(true);
  EXPECT_NE(testing::check_gradients(square, {unused}), "");
}

// ---- layouts

TEST(MakeLayout, HasOneSegmentARowWithoutSegmentIds) {
  const TokenLayout layout = make_layout(2, 3);
  EXPECT_EQ(integers(layout.segment_ids_BL), (Integers{1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(integers(layout.positions_BL), (Integers{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(integers(layout.real_index_N), (Integers{0, 1, 2, 3, 4, 5}));
  EXPECT_FALSE(layout.has_padding);
  EXPECT_FALSE(layout.is_packed);
}

TEST(MakeLayout, LeavesPaddingOut) {
  const TokenLayout layout = make_layout(2, 3, index_tensor({1, 0, 0, 1, 1, 0}, {2, 3}));
  EXPECT_EQ(integers(layout.real_index_N), (Integers{0, 3, 4}));
  EXPECT_EQ(layout.num_real_tokens(), 3);
  EXPECT_TRUE(layout.has_padding);
  EXPECT_FALSE(layout.is_packed);
  EXPECT_FALSE(make_layout(1, 2, index_tensor({1, 1}, {1, 2})).has_padding);
}

TEST(MakeLayout, CountsPositionsInsideSegments) {
  const TokenLayout layout = make_layout(1, 6, index_tensor({1, 1, 2, 2, 2, 0}, {1, 6}));
  EXPECT_TRUE(layout.is_packed);
  EXPECT_EQ(integers(layout.positions_BL.narrow(1, 0, 5)), (Integers{0, 1, 0, 1, 2}));
  const at::Tensor given = index_tensor({4, 5, 6, 7, 8, 9}, {1, 6});
  EXPECT_EQ(integers(make_layout(1, 6, {}, given).positions_BL), integers(given));
}

TEST(MakeLayout, KeysATokenByItsExampleAndPosition) {
  const TokenLayout both = make_layout(2, 4, {}, {}, {77, 99});
  const TokenLayout alone = make_layout(1, 6, index_tensor({1, 1, 1, 1, 0, 0}, {1, 6}), {}, {99});
  EXPECT_EQ(integers(both.token_keys_BL[1]), integers(alone.token_keys_BL[0].narrow(0, 0, 4)));
  const TokenLayout moved = make_layout(1, 2, {}, index_tensor({2, 3}, {1, 2}), {99});
  EXPECT_EQ(integers(both.token_keys_BL[1].narrow(0, 2, 2)), integers(moved.token_keys_BL[0]));
}

TEST(MakeLayout, GivesEveryTokenOfABatchAKeyOfItsOwn) {
  const at::Tensor segments =
      index_tensor({1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4}, {2, 10});
  for (const std::vector<uint64_t>& keys :
       {std::vector<uint64_t>{}, std::vector<uint64_t>{4, 5, 6, 0, 7, 8, 9, 10}}) {
    Integers all = integers(make_layout(2, 10, segments, {}, keys).token_keys_BL);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << keys.size();
  }
}

TEST(MakeLayout, KeysGoWithTheExampleWhateverRowAndSegment) {
  const auto keys_of = [](const std::vector<int64_t>& segments,
                          const std::vector<uint64_t>& example_keys) {
    return integers(
        make_layout(2, 4, index_tensor(segments, {2, 4}), {}, example_keys).token_keys_BL);
  };
  const Integers apart = keys_of({1, 1, 1, 0, 1, 1, 0, 0}, {61, 62}),
                 packed = keys_of({1, 1, 2, 2, 1, 1, 1, 0}, {63, 62, 61, 0});
  EXPECT_EQ((Integers{packed[4], packed[5], packed[6]}), (Integers{apart[0], apart[1], apart[2]}));
  EXPECT_EQ((Integers{packed[2], packed[3]}), (Integers{apart[4], apart[5]}));
  EXPECT_NE(packed[0], packed[2]);
}

TEST(NoiseSite, DiffersFromNameToName) {
  EXPECT_EQ(noise_site("encoder.block.1"), noise_site("encoder.block.1"));
  EXPECT_NE(noise_site("encoder.block.1"), noise_site("decoder.block.1"));
}

TEST(Context, KeysNoiseBySeedPurposeSiteAndStep) {
  Context context;
  const uint64_t base = context.noise_key(RandomPurpose::Dropout, 5).state();
  EXPECT_EQ(context.noise_key(RandomPurpose::Dropout, 5).state(), base);
  EXPECT_NE(context.noise_key(RandomPurpose::RouterJitter, 5).state(), base);
  EXPECT_NE(context.noise_key(RandomPurpose::Dropout, 6).state(), base);
  context.step = 1;
  EXPECT_NE(context.noise_key(RandomPurpose::Dropout, 5).state(), base);
  context.step = 0;
  context.seed = 1;
  EXPECT_NE(context.noise_key(RandomPurpose::Dropout, 5).state(), base);
}

}  // namespace
}  // namespace flanmoe::nn
