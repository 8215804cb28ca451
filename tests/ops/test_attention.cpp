#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "check.h"
#include "ops/ref/ref.h"
#include "ops/transformer.h"

namespace flanmoe::ops {
namespace {

using Ids = std::vector<int64_t>;

struct Case {
  int64_t rows, queries, keys, heads, width;
  bool has_bias = false, is_causal = false;
  int64_t query_offset = 0;
  Ids query_ids, key_ids;  // one row's worth, rotated from row to row
  double dropout = 0;
};

struct Tensors {
  at::Tensor q, k, v, bias;
  AttentionMask mask;
  std::optional<AttentionDropout> dropout;
};

Ids repeat(const Ids& ids, int64_t rows) {
  Ids all;
  for (int64_t b = 0; b < rows; ++b) all.insert(all.end(), ids.begin(), ids.end());
  return all;
}

Tensors make_tensors(const Case& c, at::ScalarType dtype) {
  Tensors t;
  t.q = random_tensor({c.rows, c.queries, c.heads, c.width}, 1, dtype);
  t.k = random_tensor({c.rows, c.keys, c.heads, c.width}, 2, dtype);
  t.v = random_tensor({c.rows, c.keys, c.heads, c.width}, 3, dtype);
  if (c.has_bias)
    t.bias =
        random_tensor({c.heads, c.queries, c.keys}, 4, dtype == at::kDouble ? dtype : at::kFloat);
  t.mask.is_causal = c.is_causal;
  t.mask.query_offset = c.query_offset;
  if (!c.query_ids.empty()) {
    t.mask.query_segment_ids_BQ = index_tensor(repeat(c.query_ids, c.rows), {c.rows, c.queries});
    t.mask.key_segment_ids_BK = index_tensor(repeat(c.key_ids, c.rows), {c.rows, c.keys});
  }
  if (c.dropout > 0) {
    Ids keys;
    for (int64_t i = 0; i < c.rows * c.queries; ++i)
      keys.push_back(static_cast<int64_t>(mix64(static_cast<uint64_t>(i))));
    t.dropout = AttentionDropout{
        .rate = c.dropout,
        .noise = {.key = 99, .token_keys = index_tensor(keys, {c.rows, c.queries})}};
  }
  return t;
}

std::vector<double> expected(const Case& c, const Tensors& t) {
  ref::Attention p{.rows = c.rows,
                   .queries = c.queries,
                   .keys = c.keys,
                   .heads = c.heads,
                   .width = c.width,
                   .q_BQHd = values(t.q),
                   .k_BKHd = values(t.k),
                   .v_BKHd = values(t.v)};
  if (t.bias.defined()) p.bias_HQK = values(t.bias);
  p.query_segment_ids_BQ = repeat(c.query_ids, c.rows);
  p.key_segment_ids_BK = repeat(c.key_ids, c.rows);
  p.is_causal = c.is_causal;
  p.query_offset = c.query_offset;
  if (t.dropout) {
    p.dropout_rate = t.dropout->rate;
    p.dropout_key = t.dropout->noise.key;
    p.token_keys_BQ = indices(t.dropout->noise.token_keys);
  }
  return ref::attention(p);
}

at::Tensor run(const Tensors& t) {
  return attention(t.q, t.k, t.v, t.bias, t.mask, t.dropout);
}

const Ids kPadded{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
const Ids kPacked{1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0};
const Ids kPackedKeys{1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 0, 0};
const Ids kScattered{1, 2, 1, 1, 0, 2, 1, 2, 2, 1, 3};
const Ids kMissing{4, 4, 1, 1, 1, 5, 5, 2, 2, 0, 0};

const std::vector<Case> kCases{
    {1, 1, 1, 1, 1},
    {2, 7, 13, 3, 5, true},
    {2, 11, 11, 3, 16, true, true},
    {1, 131, 131, 2, 33, true, true},
    {2, 200, 131, 1, 64, true},
    {3, 2, 37, 2, 19, true},
    {2, 1, 29, 2, 64, true, true, 28},
    {2, 5, 29, 2, 20, true, true, 24},
    {2, 5, 29, 2, 20, false, true, 3},
    {2, 11, 11, 2, 8, true, false, 0, kPadded, kPadded},
    {2, 11, 11, 2, 8, true, false, 0, kPacked, kPacked},
    {2, 11, 11, 2, 8, true, true, 0, kPacked, kPacked},
    {2, 11, 13, 2, 8, false, false, 0, kPacked, kPackedKeys},
    {2, 11, 11, 2, 8, true, false, 0, kScattered, kScattered},
    {2, 11, 11, 2, 8, true, true, 0, kScattered, kScattered},
    {2, 11, 11, 2, 8, true, false, 0, kMissing, kPacked},
    {2, 11, 13, 2, 8, true, true, 0, kMissing, kPackedKeys},
    {2, 11, 11, 3, 8, true, false, 0, {}, {}, 0.3},
    {2, 150, 131, 2, 8, true, true, 0, {}, {}, 0.1},
    {2, 11, 13, 2, 8, true, false, 0, kPacked, kPackedKeys, 0.5},
    {2, 11, 11, 2, 8, true, true, 0, kScattered, kScattered, 0.25},
};

TEST(Attention, EqualsTheLoopVersion) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16})
    for (size_t i = 0; i < kCases.size(); ++i) {
      const Tensors t = make_tensors(kCases[i], dtype);
      EXPECT_EQ(compare(run(t), expected(kCases[i], t)), "") << dtype << " case " << i;
    }
}

TEST(Attention, GivesTheSameWhetherOrNotItIsRecorded) {
  for (const Case& c : kCases) {
    Tensors t = make_tensors(c, at::kFloat);
    const at::Tensor plain = run(t);
    EXPECT_FALSE(plain.requires_grad());
    t.q.set_requires_grad(true);
    EXPECT_EQ(compare_bytes(run(t), plain), "");
  }
}

Inputs inputs_of(const Tensors& t) {
  return t.bias.defined() ? Inputs{t.q, t.k, t.v, t.bias} : Inputs{t.q, t.k, t.v};
}
std::function<at::Tensor(const Inputs&)> op_of(const Tensors& t) {
  return [t](const Inputs& in) {
    return attention(in[0], in[1], in[2], in.size() > 3 ? in[3] : at::Tensor(), t.mask, t.dropout);
  };
}

TEST(Attention, HasTheGradientsOfFiniteDifferences) {
  for (size_t i = 0; i < kCases.size(); ++i) {
    if (kCases[i].queries * kCases[i].keys > 400) continue;
    Case c = kCases[i];
    c.width = std::min<int64_t>(c.width, 5);
    const Tensors t = make_tensors(c, at::kDouble);
    EXPECT_EQ(check_gradients(op_of(t), inputs_of(t)), "") << "case " << i;
  }
}

TEST(Attention, HasTheGradientsOfFloat64InOtherTypes) {
  for (size_t i = 0; i < kCases.size(); ++i) {
    const Tensors wide = make_tensors(kCases[i], at::kDouble);
    const Inputs exact = compute_gradients(op_of(wide), inputs_of(wide));
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      Inputs rounded;
      for (const at::Tensor& input : inputs_of(wide)) rounded.push_back(input.to(dtype));
      const Inputs gradients = compute_gradients(op_of(wide), rounded);
      for (size_t n = 0; n < gradients.size(); ++n) {
        EXPECT_EQ(gradients[n].scalar_type(), dtype);
        double largest = 0;
        for (const double g : values(exact[n])) largest = std::max(largest, std::abs(g));
        const double unit = dtype == at::kFloat ? 3e-5 : 3e-2;
        EXPECT_EQ(compare(values(gradients[n]), values(exact[n]), {unit * largest + 1e-9, unit}),
                  "")
            << dtype << " case " << i << " input " << n;
      }
    }
  }
}

TEST(Attention, GivesTheSameBytesWithOneAndTwoThreads) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (Case c : kCases) {
      c.rows = 13;  // more rows than parts of the bias gradient
      const Tensors t = make_tensors(c, dtype);
      EXPECT_EQ(compare_threads([&] {
                  Inputs all = compute_gradients(op_of(t), inputs_of(t));
                  all.push_back(run(t));
                  return all;
                }),
                "");
    }
}

TEST(Attention, GivesZeroToAQueryThatSeesNothing) {
  const Case c{1, 11, 11, 2, 8, true, false, 0, kMissing, kPacked};
  const Tensors t = make_tensors(c, at::kFloat);
  const at::Tensor y = run(t);
  for (const int64_t l : {0, 1, 5, 6, 9, 10})
    for (const double value : values(y.select(1, l))) EXPECT_EQ(value, 0) << l;
  const Inputs gradients = compute_gradients(op_of(t), inputs_of(t));
  for (const double g : values(gradients[0].select(1, 0))) EXPECT_EQ(g, 0);
  for (const double g : values(gradients[1].select(1, 9)))
    EXPECT_EQ(g, 0) << "nobody sees segment 3";
}

TEST(Attention, GivesPackedRowsWhatSeparateRowsGet) {
  const std::vector<int64_t> lengths{4, 9, 3};
  const int64_t total = 16, heads = 2, width = 8;
  for (const bool is_causal : {false, true})
    for (const double rate : {0.0, 0.3}) {
      const at::Tensor table = random_tensor({32, heads}, 9, at::kFloat);
      Tensors packed;
      packed.q = random_tensor({1, total, heads, width}, 1, at::kFloat);
      packed.k = random_tensor({1, total, heads, width}, 2, at::kFloat);
      packed.v = random_tensor({1, total, heads, width}, 3, at::kFloat);
      packed.bias = relative_position_bias(table, total, total, 0, !is_causal, 128);
      Ids ids, keys;
      for (size_t s = 0; s < lengths.size(); ++s)
        for (int64_t i = 0; i < lengths[s]; ++i) {
          ids.push_back(static_cast<int64_t>(s) + 1);
          keys.push_back(static_cast<int64_t>(mix64(s * 1000 + static_cast<uint64_t>(i))));
        }
      packed.mask = {index_tensor(ids, {1, total}), index_tensor(ids, {1, total}), is_causal, 0};
      if (rate > 0)
        packed.dropout =
            AttentionDropout{rate, {.key = 3, .token_keys = index_tensor(keys, {1, total})}};
      const at::Tensor together = run(packed);
      int64_t begin = 0;
      for (const int64_t length : lengths) {
        Tensors alone;
        alone.q = packed.q.narrow(1, begin, length);
        alone.k = packed.k.narrow(1, begin, length);
        alone.v = packed.v.narrow(1, begin, length);
        alone.bias = relative_position_bias(table, length, length, 0, !is_causal, 128);
        alone.mask.is_causal = is_causal;
        if (rate > 0) {
          const Ids part(keys.begin() + begin, keys.begin() + begin + length);
          alone.dropout =
              AttentionDropout{rate, {.key = 3, .token_keys = index_tensor(part, {1, length})}};
        }
        EXPECT_EQ(compare(together.narrow(1, begin, length), values(run(alone))), "") << length;
        begin += length;
      }
    }
}

TEST(Attention, TakesOneQueryAfterAnotherThroughACache) {
  const Case c{2, 9, 9, 2, 16, true, true};
  const Tensors t = make_tensors(c, at::kFloat);
  const at::Tensor together = run(t);
  for (int64_t l = 0; l < 9; ++l) {
    AttentionMask mask{.is_causal = true, .query_offset = l};
    const at::Tensor one =
        attention(t.q.narrow(1, l, 1), t.k.narrow(1, 0, l + 1), t.v.narrow(1, 0, l + 1),
                  t.bias.narrow(1, l, 1).narrow(2, 0, l + 1), mask);
    EXPECT_EQ(compare(one, values(together.narrow(1, l, 1))), "") << l;
  }
}

TEST(Attention, TakesStridedInput) {
  Tensors t = make_tensors({2, 7, 7, 3, 8, true}, at::kBFloat16);
  const at::Tensor dense = run(t);
  const at::Tensor fused = random_tensor({2, 7, 9, 8}, 5, at::kBFloat16);
  fused.narrow(2, 0, 3).copy_(t.q);
  fused.narrow(2, 3, 3).copy_(t.k);
  fused.narrow(2, 6, 3).copy_(t.v);
  t.q = fused.narrow(2, 0, 3);
  t.k = fused.narrow(2, 3, 3);
  t.v = t.v.permute({0, 1, 3, 2}).contiguous().permute({0, 1, 3, 2});
  EXPECT_EQ(compare_bytes(run(t), dense), "");
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  const Tensors good = make_tensors({2, 5, 7, 3, 8, true}, at::kFloat);
  Tensors t = good;
  t.k = good.k.narrow(2, 0, 2);
  EXPECT_THROW(run(t), Error);
  t = good;
  t.bias = good.bias.narrow(1, 0, 4);
  EXPECT_THROW(run(t), Error);
  t = good;
  t.mask.query_segment_ids_BQ = index_tensor(Ids(10, 1), {2, 5});
  EXPECT_THROW(run(t), Error) << "ids of the keys are missing";
  t = good;
  t.dropout = AttentionDropout{.rate = 0.1, .noise = {}};
  EXPECT_THROW(run(t), Error);
}

}  // namespace
}  // namespace flanmoe::ops
