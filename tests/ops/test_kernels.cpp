// The kernels of every instruction set that this processor has, against the loop version, with
// guards around what they write.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "ops/cpu/kernels.h"
#include "ops/ref/ref.h"

namespace flanmoe::ops {
namespace {

const char* const kSets[] = {"generic", "avx2", "avx512", "avx512bf16"};

ref::Array random_values(int64_t count, uint64_t seed, double scale = 1) {
  const RandomKey key(seed, RandomPurpose::Initialisation);
  ref::Array result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(scale * key.normal(static_cast<uint64_t>(i)));
  return result;
}
std::vector<float> to_float(const ref::Array& x) {
  return {x.begin(), x.end()};
}

float widen(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// A buffer with a pattern behind its end.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count)
      : memory_((static_cast<size_t>(count) + kGuard) * sizeof(T), 0xA5),
        count_(static_cast<size_t>(count)) {}
  T* data() { return reinterpret_cast<T*>(memory_.data()); }
  T operator[](size_t i) const {
    T value;
    std::memcpy(&value, memory_.data() + i * sizeof(T), sizeof(T));
    return value;
  }
  bool is_intact() const {
    for (size_t i = count_ * sizeof(T); i < memory_.size(); ++i)
      if (memory_[i] != 0xA5) return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  std::vector<unsigned char> memory_;
  size_t count_;
};

TEST(Kernels, NameTheSetTheyUse) {
  EXPECT_NE(cpu::find_kernels<float>(cpu::instruction_set()), nullptr);
}

TEST(Kernels, RoundBfloat16ToNearestEven) {
  // value, its bfloat16
  const std::pair<float, float> cases[] = {{1.0f, 1.0f},
                                           {1.00390625f, 1.0f},
                                           {1.01171875f, 1.015625f},
                                           {1.00391f, 1.0078125f},
                                           {-1.00390625f, -1.0f},
                                           {3.4e38f, std::numeric_limits<float>::infinity()},
                                           {0.0f, 0.0f},
                                           {1e-40f, 9.183549615799121e-41f}};
  for (const char* set : kSets) {
    const auto* table = cpu::find_kernels<Bf16>(set);
    if (!table) continue;
    for (const auto& [value, rounded] : cases)
      for (const int64_t width : {1, 3, 16, 37}) {
        const std::vector<float> x(static_cast<size_t>(width), value);
        Guarded<Bf16> y(width);
        table->attention.store_rows(x.data(), nullptr, y.data(), width, 1, width);
        for (size_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(widen(y[i]), rounded) << set;
        EXPECT_TRUE(y.is_intact()) << set;
      }
    const std::vector<float> nans(20, std::numeric_limits<float>::quiet_NaN());
    Guarded<Bf16> y(20);
    table->attention.store_rows(nans.data(), nullptr, y.data(), 20, 1, 20);
    for (size_t i = 0; i < 20; ++i) EXPECT_TRUE(std::isnan(widen(y[i]))) << set;
  }
}

TEST(Kernels, MultiplyEqualsTheLoopVersion) {
  for (const char* set : kSets) {
    const auto* table = cpu::find_kernels<float>(set);
    if (!table) continue;
    for (const int64_t rows : {1, 2, 3, 5, 6, 7, 13, 30})
      for (const int64_t columns : {1, 5, 8, 16, 20, 30, 33, 50, 64, 70, 131})
        for (const int64_t inner : {0, 1, 9, 33})
          for (const bool is_transposed : {false, true})
            for (const bool adds : {false, true}) {
              const auto a = to_float(random_values(rows * inner, 1)),
                         b = to_float(random_values(inner * columns, 2));
              Guarded<float> c(rows * columns);
              for (int64_t i = 0; i < rows * columns; ++i) c.data()[i] = 3;
              table->attention.multiply({.rows = rows,
                                         .columns = columns,
                                         .inner = inner,
                                         .a = a.data(),
                                         .a_row = is_transposed ? 1 : inner,
                                         .a_column = is_transposed ? rows : 1,
                                         .b = b.data(),
                                         .b_stride = columns,
                                         .c = c.data(),
                                         .c_stride = columns,
                                         .adds = adds});
              double worst = 0;
              for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j) {
                  double sum = adds ? 3 : 0;
                  for (int64_t p = 0; p < inner; ++p)
                    sum +=
                        static_cast<double>(
                            a[static_cast<size_t>(is_transposed ? p * rows + i : i * inner + p)]) *
                        b[static_cast<size_t>(p * columns + j)];
                  worst = std::max(worst, std::abs(sum - c[static_cast<size_t>(i * columns + j)]));
                }
              ASSERT_LT(worst, 2e-5)
                  << set << " " << rows << "x" << inner << "x" << columns << is_transposed << adds;
              ASSERT_TRUE(c.is_intact());
            }
  }
}

// The exponential shows through softmax of two keys: p = e^x / (1 + e^x) for scores x and 0.
TEST(Kernels, ExponentialIsWithinTwoUnits) {
  for (const char* set : kSets) {
    const auto* table = cpu::find_kernels<float>(set);
    if (!table) continue;
    double worst = 0;
    std::vector<float> logits;
    for (double x = -87; x <= 0; x += 0.00137) logits.push_back(static_cast<float>(x));
    // gradient of one row with logsumexp 0 and label 0: element i is e^x[i]
    const int64_t label = 0, count = static_cast<int64_t>(logits.size());
    const float grad = 1, logsumexp = 0;
    std::vector<float> out(logits.size());
    table->rows.cross_entropy_backward(&grad, logits.data(), count, &label, &logsumexp, {},
                                       out.data(), 1, count);
    for (size_t i = 1; i < logits.size(); ++i) {
      const double exact = std::exp(static_cast<double>(logits[i]));
      const double unit =
          std::nextafter(static_cast<float>(exact), INFINITY) - static_cast<float>(exact);
      worst = std::max(worst, std::abs(out[i] - exact) / unit);
    }
    EXPECT_LT(worst, 2) << set;
    RecordProperty(std::string("ulp_") + set, std::to_string(worst));
  }
}

TEST(Kernels, PropagateNansAndInfinities) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  for (const char* set : kSets) {
    const auto* table = cpu::find_kernels<float>(set);
    if (!table) continue;
    for (const int64_t where : {0, 5, 36}) {
      std::vector<float> logits(37, 1.f);
      const int64_t label = 2;
      float loss = 0;
      logits[static_cast<size_t>(where)] = nan;
      table->rows.cross_entropy(logits.data(), 37, &label, {}, &loss, nullptr, 1, 37);
      EXPECT_TRUE(std::isnan(loss)) << set << where;
      logits[static_cast<size_t>(where)] = -infinity;  // a forbidden token
      table->rows.cross_entropy(logits.data(), 37, &label, {}, &loss, nullptr, 1, 37);
      EXPECT_NEAR(loss, std::log(36.0), 1e-5) << set << where;
      std::vector<float> up(37, 1.f), y(37);
      logits[static_cast<size_t>(where)] = nan;
      table->rows.gated_gelu(logits.data(), 37, up.data(), 37, y.data(), 1, 37);
      EXPECT_TRUE(std::isnan(y[static_cast<size_t>(where)])) << set << where;
    }
  }
}

TEST(Kernels, AgreeAcrossSets) {
  const int64_t rows = 9, width = 131;
  const ref::Array x = random_values(rows * width, 1, 3), up = random_values(rows * width, 2),
                   weight = random_values(width, 3);
  ref::Indices keys;
  for (int64_t i = 0; i < rows; ++i)
    keys.push_back(static_cast<int64_t>(mix64(static_cast<uint64_t>(i))));
  const auto norm = ref::rms_norm(x, weight, 1e-6), gated = ref::gated_gelu(x, up),
             dropped = ref::dropout(x, 0.3, 77, keys);
  const auto x_float = to_float(x), up_float = to_float(up), weight_float = to_float(weight);
  auto expect_near = [](const Guarded<float>& found, const ref::Array& expected, const char* set) {
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], 1e-5 * (1 + std::abs(expected[i]))) << set << " " << i;
    EXPECT_TRUE(found.is_intact());
  };
  for (const char* set : kSets) {
    const auto* table = cpu::find_kernels<float>(set);
    if (!table) continue;
    Guarded<float> y(rows * width);
    table->rows.rms_norm(x_float.data(), weight_float.data(), 1e-6, y.data(), nullptr, rows, width);
    expect_near(y, norm, set);
    table->rows.gated_gelu(x_float.data(), width, up_float.data(), width, y.data(), rows, width);
    expect_near(y, gated, set);
    table->rows.dropout(
        x_float.data(), nullptr, y.data(), keys.data(), 77,
        {.threshold = static_cast<uint32_t>(std::lround(0.3 * 65536)), .scale = 1 / 0.7}, rows,
        width);
    expect_near(y, dropped, set);
  }
}

}  // namespace
}  // namespace flanmoe::ops
