#include "train/optimizers/kernels.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

// One clone a vector width, chosen when the program is loaded (a sanitizer is not up yet at that
// time). Square roots are vectorised only where the file is compiled with -fno-math-errno.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define FLANMOE_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FLANMOE_VECTOR_CLONES
#endif

namespace flanmoe::train::kernels {
namespace {

constexpr int64_t kChunkSize = int64_t{1} << 15;
constexpr int64_t kParallelSize =
    4 * kChunkSize;                               // fewer elements are not worth waking threads for
constexpr int64_t kBlockSize = 2048;              // of bfloat16 that are floats at a time
constexpr int64_t kOwnedSize = int64_t{1} << 20;  // larger groups are shared by threads
constexpr int64_t kTileRows = 64;
constexpr int64_t kRowPiece = 1024;  // floats are added up over no more than that
constexpr int64_t kColumnStrip = 64;

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

double add_up(const std::vector<double>& parts) {
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

FLANMOE_VECTOR_CLONES void widen(const uint16_t* __restrict values, float* __restrict wide,
                                 int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i)
    wide[i] = std::bit_cast<float>(static_cast<uint32_t>(values[i]) << 16);
}

FLANMOE_VECTOR_CLONES void make_noise(uint64_t* __restrict words, int64_t size, RandomKey key,
                                      uint64_t first) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) words[i] = key.bits(first + static_cast<uint64_t>(i));
}

FLANMOE_VECTOR_CLONES void round_block(const float* __restrict values,
                                       const uint16_t* __restrict noise,
                                       uint16_t* __restrict rounded, int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]);
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    rounded[i] = static_cast<uint16_t>(
        (is_nan ? bits | 0x00400000u : bits + static_cast<uint32_t>(noise[i])) >> 16);
  }
}

const float* floats_at(const Values& values, int64_t begin, int64_t size, float* scratch) {
  if (values.type == ValueType::Float32) return static_cast<const float*>(values.data) + begin;
  widen(static_cast<const uint16_t*>(values.data) + begin, scratch, size);
  return scratch;
}

bool is_direct(const Target& target) {
  return target.type == ValueType::Float32 && target.gradient_type == ValueType::Float32;
}

enum class Access { Read, Update };

// body(values, gradient, begin, size) over [begin, begin + size) of a parameter, at once where all
// is float32, otherwise block by block; what the body wrote is rounded.
template <Access kAccess, class Body>
void visit(const Target& target, int64_t begin, int64_t size, const Body& body) {
  float* direct = target.type == ValueType::Float32 ? static_cast<float*>(target.values) : nullptr;
  if (is_direct(target)) {
    body(direct + begin, static_cast<const float*>(target.gradient) + begin, begin, size);
    return;
  }
  float scratch[kBlockSize], gradient_scratch[kBlockSize];
  const Values gradients{target.gradient, target.gradient_type, target.size};
  for (const int64_t end = begin + size; begin < end; begin += kBlockSize) {
    const int64_t count = std::min(kBlockSize, end - begin);
    const float* gradient = floats_at(gradients, begin, count, gradient_scratch);
    if (direct) {
      body(direct + begin, gradient, begin, count);
      continue;
    }
    uint16_t* stored = static_cast<uint16_t*>(target.values) + begin;
    widen(stored, scratch, count);
    body(scratch, gradient, begin, count);
    if (kAccess == Access::Update)
      round_stochastically(scratch, stored, count, target.rounding, static_cast<uint64_t>(begin));
  }
}

// Chunks of several parameters one after the other.
class Chunks {
 public:
  void add(size_t part, int64_t size) {
    for (int64_t begin = 0; begin < size; begin += kChunkSize)
      chunks_.push_back({part, begin, std::min(kChunkSize, size - begin)});
    num_elements_ += size;
  }
  size_t size() const { return chunks_.size(); }
  // visit(part, begin, size, index)
  template <class Visit>
  void for_each(const Visit& visit_chunk) const {
    const auto count = static_cast<int64_t>(chunks_.size());
#pragma omp parallel for schedule(dynamic) if (num_elements_ >= kParallelSize)
    for (int64_t i = 0; i < count; ++i) {
      const Chunk& chunk = chunks_[static_cast<size_t>(i)];
      visit_chunk(chunk.part, chunk.begin, chunk.size, static_cast<size_t>(i));
    }
  }

 private:
  struct Chunk {
    size_t part;
    int64_t begin, size;
  };
  std::vector<Chunk> chunks_;
  int64_t num_elements_ = 0;
};

template <class Updates>
Chunks cut(const Updates& updates) {
  Chunks chunks;
  for (size_t i = 0; i < updates.size(); ++i) chunks.add(i, updates[i].target.size);
  return chunks;
}

FLANMOE_VECTOR_CLONES double sum_of_squares_block(const float* values, int64_t size) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i)
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return sum;
}

struct AdamWFactors {
  float gradient_scale, kept, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size,
      inverse_root_correction, epsilon;
};

FLANMOE_VECTOR_CLONES void update_adamw_block(float* __restrict parameter,
                                              const float* __restrict gradient,
                                              float* __restrict first, float* __restrict second,
                                              int64_t size, const AdamWFactors& given) {
  const AdamWFactors f = given;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * f.gradient_scale;
    const float m = f.beta1 * first[i] + f.one_minus_beta1 * g;
    const float v = f.beta2 * second[i] + f.one_minus_beta2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * f.kept -
                   f.step_size * m / (__builtin_sqrtf(v) * f.inverse_root_correction + f.epsilon);
  }
}

struct SgdFactors {
  float gradient_scale, weight_decay, learning_rate, momentum;
  // Weights of gradient and momentum in the step.
  float of_gradient, of_momentum;
};

FLANMOE_VECTOR_CLONES void update_sgd_block(float* __restrict parameter,
                                            const float* __restrict gradient, int64_t size,
                                            const SgdFactors& given) {
  const SgdFactors f = given;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i)
    parameter[i] -=
        f.learning_rate * (gradient[i] * f.gradient_scale + f.weight_decay * parameter[i]);
}

FLANMOE_VECTOR_CLONES void update_sgd_momentum_block(float* __restrict parameter,
                                                     const float* __restrict gradient,
                                                     float* __restrict momentum, int64_t size,
                                                     const SgdFactors& given) {
  const SgdFactors f = given;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * f.gradient_scale + f.weight_decay * parameter[i];
    const float m = f.momentum * momentum[i] + g;
    momentum[i] = m;
    parameter[i] -= f.learning_rate * (f.of_gradient * g + f.of_momentum * m);
  }
}

// What a group's parameters are multiplied with, the factor of its update, and how that enters the
// first moment.
struct Scales {
  float kept;
  float update;
  float beta1, one_minus_beta1;
};

Scales compute_scales(double parameter_squares, double update_squares, int64_t size,
                      const Target& target, const AdafactorStep& step) {
  const double count = static_cast<double>(size);
  double rate = target.learning_rate;
  if (step.scales_by_parameter)
    rate *= std::max(step.min_parameter_scale, std::sqrt(parameter_squares / count));
  const double clip = std::max(1.0, std::sqrt(update_squares / count) / step.clipping_threshold);
  return {static_cast<float>(1.0 - target.weight_decay * rate),
          static_cast<float>(rate / clip * step.gradient_scale), static_cast<float>(step.beta1),
          static_cast<float>(1.0 - step.beta1)};
}

struct Squares {
  double parameter = 0;
  double update = 0;
};

// New second moment; sums of squares of the parameter and of the update before clipping.
FLANMOE_VECTOR_CLONES Squares update_moment_block(const float* __restrict parameter,
                                                  const float* __restrict gradient,
                                                  float* __restrict second, int64_t size,
                                                  const AdafactorStep& step) {
  const float gradient_scale = static_cast<float>(step.gradient_scale);
  const float beta2 = static_cast<float>(step.beta2),
              one_minus_beta2 = static_cast<float>(1.0 - step.beta2);
  double parameter_sum = 0, update_sum = 0;
#pragma omp simd reduction(+ : parameter_sum, update_sum)
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * gradient_scale;
    const float squared = g * g;
    const float v =
        beta2 * second[i] + one_minus_beta2 * (squared + static_cast<float>(kSquareFloor));
    second[i] = v;
    update_sum += static_cast<double>(squared / v);
    parameter_sum += static_cast<double>(parameter[i]) * static_cast<double>(parameter[i]);
  }
  return {parameter_sum, update_sum};
}

FLANMOE_VECTOR_CLONES void apply_full_block(float* __restrict parameter,
                                            const float* __restrict gradient,
                                            const float* __restrict second, float* __restrict first,
                                            int64_t size, const Scales& given) {
  const Scales scales = given;
  if (first == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < size; ++i)
      parameter[i] =
          parameter[i] * scales.kept - scales.update * gradient[i] / __builtin_sqrtf(second[i]);
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    first[i] = scales.beta1 * first[i] +
               scales.one_minus_beta1 * (scales.update * gradient[i] / __builtin_sqrtf(second[i]));
    parameter[i] = parameter[i] * scales.kept - first[i];
  }
}

// Rows of a matrix, one after the other.
struct Tile {
  int64_t num_rows;
  int64_t num_columns;
};

struct RowAverage {
  double beta2;
  float gradient_scale;
};

// Updates `row` [rows], the moving averages of the rows' mean squared gradients; adds to column_sum
// [columns] the squared gradients, and to weighted_sum [columns] the same divided by the new
// average of their row.
FLANMOE_VECTOR_CLONES void sum_tile(const float* gradient, const Tile& tile,
                                    const RowAverage& average, float* row,
                                    float* __restrict column_sum, float* __restrict weighted_sum) {
  const float scale = average.gradient_scale;
  const int64_t num_columns = tile.num_columns;
  float weight = 0;
  // A row's own sum is made while the row before it, which has waited for its average, is added to
  // the columns: the memory is never idle.
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    const float* __restrict g = gradient + i * num_columns;
    const float* __restrict before = i == 0 ? g : g - num_columns;
    const float share = i == 0 ? 0.0f : 1.0f;
    double row_sum = 0;
    for (int64_t begin = 0; begin < num_columns; begin += kRowPiece) {
      const int64_t end = begin + kRowPiece < num_columns ? begin + kRowPiece : num_columns;
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t j = begin; j < end; ++j) {
        squares += (g[j] * scale) * (g[j] * scale);
        const float squared = (before[j] * scale) * (before[j] * scale);
        column_sum[j] += squared * share;
        weighted_sum[j] += squared * weight;
      }
      row_sum += static_cast<double>(squares);
    }
    const double mean = row_sum / static_cast<double>(num_columns) + kSquareFloor;
    row[i] = static_cast<float>(average.beta2 * static_cast<double>(row[i]) +
                                (1.0 - average.beta2) * mean);
    weight = 1.0f / row[i];
  }
  const float* __restrict last = gradient + (tile.num_rows - 1) * num_columns;
#pragma omp simd
  for (int64_t j = 0; j < num_columns; ++j) {
    const float squared = (last[j] * scale) * (last[j] * scale);
    column_sum[j] += squared;
    weighted_sum[j] += squared * weight;
  }
}

FLANMOE_VECTOR_CLONES void apply_row(float* __restrict p, const float* __restrict g,
                                     float* __restrict m, int64_t num_columns, float row_factor,
                                     const float* __restrict column_factor, const Scales& scales) {
  const float factor = scales.update * row_factor, kept = scales.kept;
  if (m == nullptr) {
#pragma omp simd
    for (int64_t j = 0; j < num_columns; ++j) p[j] = p[j] * kept - factor * g[j] * column_factor[j];
    return;
  }
  const float beta1 = scales.beta1, one_minus_beta1 = scales.one_minus_beta1;
#pragma omp simd
  for (int64_t j = 0; j < num_columns; ++j) {
    m[j] = beta1 * m[j] + one_minus_beta1 * (factor * g[j] * column_factor[j]);
    p[j] = p[j] * kept - m[j];
  }
}

// A group whose second moment is kept whole. `is_shared`: all threads work on it.
void update_full_group(const AdafactorUpdate& update, int64_t group, bool is_shared,
                       const AdafactorStep& step) {
  const Target& target = update.target;
  const int64_t size = update.shape.group_size(), first = group * size;
  const int64_t num_chunks = divide_up(size, kChunkSize);
  std::vector<double> parameter_parts(static_cast<size_t>(num_chunks)),
      update_parts(parameter_parts.size());
#pragma omp parallel for schedule(static) if (is_shared)
  for (int64_t i = 0; i < num_chunks; ++i) {
    const int64_t begin = i * kChunkSize;
    Squares sum;
    visit<Access::Read>(target, first + begin, std::min(kChunkSize, size - begin),
                        [&](const float* values, const float* gradient, int64_t at, int64_t count) {
                          const Squares squares = update_moment_block(
                              values, gradient, update.second_moment + at, count, step);
                          sum.parameter += squares.parameter;
                          sum.update += squares.update;
                        });
    parameter_parts[static_cast<size_t>(i)] = sum.parameter;
    update_parts[static_cast<size_t>(i)] = sum.update;
  }
  const Scales scales =
      compute_scales(add_up(parameter_parts), add_up(update_parts), size, target, step);
#pragma omp parallel for schedule(static) if (is_shared)
  for (int64_t i = 0; i < num_chunks; ++i) {
    const int64_t begin = i * kChunkSize;
    visit<Access::Update>(
        target, first + begin, std::min(kChunkSize, size - begin),
        [&](float* values, const float* gradient, int64_t at, int64_t count) {
          apply_full_block(values, gradient, update.second_moment + at,
                           update.first_moment ? update.first_moment + at : nullptr, count, scales);
        });
  }
}

// One group of matrices, in two passes over its tiles: squares are added up, then the update is
// applied. The update's own sum of squares, which clips it, comes out of the first pass: with R
// the new averages of the rows, C of the columns, it is mean(R) sum_j (sum_i g_ij^2 / R_i) / C_j.
class FactoredGroup {
 public:
  FactoredGroup(const AdafactorUpdate& update, int64_t group, bool is_shared,
                const AdafactorStep& step)
      : update_(update),
        target_(update.target),
        shape_(update.shape),
        step_(step),
        is_shared_(is_shared),
        first_(group * shape_.group_size()),
        row_(update.row + group * shape_.num_matrices * shape_.num_rows),
        column_(update.column + group * shape_.num_matrices * shape_.num_columns),
        row_blocks_(divide_up(shape_.num_rows, kTileRows)),
        num_strips_(divide_up(shape_.num_columns, kColumnStrip)),
        column_sums_(make_floats(shape_.num_matrices * row_blocks_ * shape_.num_columns)),
        weighted_sums_(make_floats(shape_.num_matrices * row_blocks_ * shape_.num_columns)),
        row_factors_(make_floats(shape_.num_matrices * shape_.num_rows)),
        column_factors_(make_floats(shape_.num_matrices * shape_.num_columns)),
        tile_sums_(static_cast<size_t>(shape_.num_matrices * row_blocks_)),
        strip_sums_(static_cast<size_t>(num_strips_)),
        value_squares_(update.value_squares[group]) {}

  void update() {
    const RowAverage average{step_.beta2, static_cast<float>(step_.gradient_scale)};
    for_each_tile([&](const Place& at) {
      float* column_sum = column_sums_.get() + at.index * shape_.num_columns;
      float* weighted_sum = weighted_sums_.get() + at.index * shape_.num_columns;
      std::fill_n(column_sum, shape_.num_columns, 0.0f);
      std::fill_n(weighted_sum, shape_.num_columns, 0.0f);
      for_each_gradient(at, [&](const float* gradient, const Tile& part, int64_t row) {
        sum_tile(gradient, part, average, row_ + at.row + row, column_sum, weighted_sum);
      });
    });
    if (step_.scales_by_parameter && !update_.has_value_squares) {
      for_each_tile([&](const Place& at) { sum_values(at); });
      value_squares_ = add_up(tile_sums_);
    }
    double update_squares = 0;
    for (int64_t matrix = 0; matrix < shape_.num_matrices; ++matrix)
      update_squares += find_row_factors(matrix) * update_columns(matrix);
    const Scales scales =
        compute_scales(value_squares_, update_squares, shape_.group_size(), target_, step_);
    for_each_tile([&](const Place& at) { apply(at, scales); });
    value_squares_ = add_up(tile_sums_);
  }

 private:
  // Of a tile: its number, its matrix, its first row counted over all matrices, its first element
  // counted from the parameter's start.
  struct Place {
    int64_t index, matrix, row, offset, num_rows;
  };

  static std::unique_ptr<float[]> make_floats(int64_t size) {
    return std::make_unique_for_overwrite<float[]>(static_cast<size_t>(size));
  }

  template <class Visit>
  void for_each_tile(const Visit& visit_tile) {
    const int64_t num_tiles = shape_.num_matrices * row_blocks_;
#pragma omp parallel for schedule(dynamic) if (is_shared_)
    for (int64_t i = 0; i < num_tiles; ++i) {
      const int64_t matrix = i / row_blocks_, row = i % row_blocks_ * kTileRows;
      const int64_t row_of_all = matrix * shape_.num_rows + row;
      visit_tile(Place{i, matrix, row_of_all, first_ + row_of_all * shape_.num_columns,
                       std::min(kTileRows, shape_.num_rows - row)});
    }
  }

  // body(gradient, part, first row of the part) over the tile at once, or row by row where it is
  // not float32.
  template <class Body>
  void for_each_gradient(const Place& at, const Body& body) const {
    const int64_t num_columns = shape_.num_columns;
    if (target_.gradient_type == ValueType::Float32) {
      body(static_cast<const float*>(target_.gradient) + at.offset, Tile{at.num_rows, num_columns},
           0);
      return;
    }
    std::vector<float> wide(static_cast<size_t>(num_columns));
    const Values gradients{target_.gradient, target_.gradient_type, target_.size};
    for (int64_t row = 0; row < at.num_rows; ++row)
      body(floats_at(gradients, at.offset + row * num_columns, num_columns, wide.data()),
           Tile{1, num_columns}, row);
  }

  // Into tile_sums_.
  void sum_values(const Place& at) {
    const int64_t num_columns = shape_.num_columns;
    std::vector<float> wide(
        static_cast<size_t>(target_.type == ValueType::Float32 ? 0 : num_columns));
    const Values values{target_.values, target_.type, target_.size};
    double sum = 0;
    for (int64_t row = 0; row < at.num_rows; ++row)
      sum += sum_of_squares_block(
          floats_at(values, at.offset + row * num_columns, num_columns, wide.data()), num_columns);
    tile_sums_[static_cast<size_t>(at.index)] = sum;
  }

  // New values, their sums of squares into tile_sums_: row by row, while a row is in the cache, and
  // as sum_values() has it, so that a resumed run has the same bytes.
  void apply(const Place& at, const Scales& scales) {
    const int64_t num_columns = shape_.num_columns;
    const bool is_float = target_.type == ValueType::Float32;
    std::vector<float> wide_values(static_cast<size_t>(is_float ? 0 : num_columns)),
        wide_gradient(
            static_cast<size_t>(target_.gradient_type == ValueType::Float32 ? 0 : num_columns));
    const Values gradients{target_.gradient, target_.gradient_type, target_.size};
    const float* column_factor = column_factors_.get() + at.matrix * num_columns;
    double sum = 0;
    for (int64_t row = 0; row < at.num_rows; ++row) {
      const int64_t begin = at.offset + row * num_columns;
      uint16_t* stored = is_float ? nullptr : static_cast<uint16_t*>(target_.values) + begin;
      float* values = is_float ? static_cast<float*>(target_.values) + begin : wide_values.data();
      if (stored) widen(stored, values, num_columns);
      apply_row(values, floats_at(gradients, begin, num_columns, wide_gradient.data()),
                update_.first_moment ? update_.first_moment + begin : nullptr, num_columns,
                row_factors_[static_cast<size_t>(at.row + row)], column_factor, scales);
      if (stored) {
        round_stochastically(values, stored, num_columns, target_.rounding,
                             static_cast<uint64_t>(begin));
        widen(stored, values, num_columns);
      }
      if (step_.scales_by_parameter) sum += sum_of_squares_block(values, num_columns);
    }
    tile_sums_[static_cast<size_t>(at.index)] = sum;
  }

  // Returns the mean of the rows' averages.
  double find_row_factors(int64_t matrix) {
    const float* row = row_ + matrix * shape_.num_rows;
    double mean = 0;
    for (int64_t i = 0; i < shape_.num_rows; ++i) mean += static_cast<double>(row[i]);
    mean /= static_cast<double>(shape_.num_rows);
    float* factor = row_factors_.get() + matrix * shape_.num_rows;
    for (int64_t i = 0; i < shape_.num_rows; ++i)
      factor[i] = static_cast<float>(std::sqrt(mean / static_cast<double>(row[i])));
    return mean;
  }

  // Returns the sum over columns of the weighted sum divided by the column's new average.
  double update_columns(int64_t matrix) {
    float* column = column_ + matrix * shape_.num_columns;
    float* factor = column_factors_.get() + matrix * shape_.num_columns;
    const float* sums = column_sums_.get() + matrix * row_blocks_ * shape_.num_columns;
    const float* weighted = weighted_sums_.get() + matrix * row_blocks_ * shape_.num_columns;
#pragma omp parallel for schedule(static) if (is_shared_)
    for (int64_t strip = 0; strip < num_strips_; ++strip) {
      const int64_t begin = strip * kColumnStrip,
                    size = std::min(kColumnStrip, shape_.num_columns - begin);
      double totals[kColumnStrip] = {}, weighted_totals[kColumnStrip] = {};
      for (int64_t block = 0; block < row_blocks_; ++block)
        for (int64_t j = 0; j < size; ++j) {
          const int64_t at = block * shape_.num_columns + begin + j;
          totals[j] += static_cast<double>(sums[at]);
          weighted_totals[j] += static_cast<double>(weighted[at]);
        }
      double sum = 0;
      for (int64_t j = 0; j < size; ++j) {
        const double mean = totals[j] / static_cast<double>(shape_.num_rows) + kSquareFloor;
        float& average = column[begin + j];
        average = static_cast<float>(step_.beta2 * static_cast<double>(average) +
                                     (1.0 - step_.beta2) * mean);
        factor[begin + j] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(average)));
        sum += weighted_totals[j] / static_cast<double>(average);
      }
      strip_sums_[static_cast<size_t>(strip)] = sum;
    }
    return add_up(strip_sums_);
  }

  const AdafactorUpdate& update_;
  const Target& target_;
  const AdafactorShape& shape_;
  AdafactorStep step_;
  bool is_shared_;
  int64_t first_;  // the group's first element
  float *row_, *column_;
  int64_t row_blocks_, num_strips_;
  std::unique_ptr<float[]> column_sums_, weighted_sums_;  // [matrices, row blocks, columns]
  std::unique_ptr<float[]> row_factors_, column_factors_;
  std::vector<double> tile_sums_, strip_sums_;
  double& value_squares_;
};

void update_group(const AdafactorUpdate& update, int64_t group, bool is_shared,
                  const AdafactorStep& step) {
  if (update.second_moment)
    update_full_group(update, group, is_shared, step);
  else
    FactoredGroup(update, group, is_shared, step).update();
}

}  // namespace

double sum_of_squares(std::span<const Values> parts) {
  Chunks chunks;
  for (size_t i = 0; i < parts.size(); ++i) chunks.add(i, parts[i].size);
  std::vector<double> sums(chunks.size());
  chunks.for_each([&](size_t part, int64_t begin, int64_t size, size_t index) {
    float scratch[kBlockSize];
    const int64_t end = begin + size,
                  step = parts[part].type == ValueType::Float32 ? size : kBlockSize;
    for (; begin < end; begin += step) {
      const int64_t count = std::min(step, end - begin);
      sums[index] += sum_of_squares_block(floats_at(parts[part], begin, count, scratch), count);
    }
  });
  return add_up(sums);
}

void round_stochastically(const float* values, uint16_t* rounded, int64_t size,
                          const RandomKey& key, uint64_t first_element) {
  constexpr int64_t kPerWord = 4;
  uint64_t words[kBlockSize / kPerWord + 1];
  uint16_t noise[kPerWord * std::size(words)];
  for (int64_t begin = 0; begin < size; begin += kBlockSize) {
    const int64_t count = std::min(kBlockSize, size - begin);
    const uint64_t first = first_element + static_cast<uint64_t>(begin);
    const auto skipped = static_cast<int64_t>(first % kPerWord);
    const int64_t num_words = divide_up(skipped + count, kPerWord);
    make_noise(words, num_words, key, first / kPerWord);
    if constexpr (std::endian::native == std::endian::little)
      std::memcpy(noise, words, static_cast<size_t>(num_words) * sizeof(uint64_t));
    else
      for (int64_t i = 0; i < num_words * kPerWord; ++i)
        noise[i] = static_cast<uint16_t>(words[i / kPerWord] >> (16 * (i % kPerWord)));
    round_block(values + begin, noise + skipped, rounded + begin, count);
  }
}

void update_adamw(std::span<const AdamWUpdate> updates, const AdamWStep& step) {
  const double correction1 = 1.0 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1.0 - std::pow(step.beta2, static_cast<double>(step.step));
  cut(updates).for_each([&](size_t part, int64_t first, int64_t size, size_t) {
    const AdamWUpdate& update = updates[part];
    const double learning_rate = update.target.learning_rate;
    AdamWFactors factors;
    factors.gradient_scale = static_cast<float>(step.gradient_scale);
    factors.kept = static_cast<float>(1.0 - learning_rate * update.target.weight_decay);
    factors.beta1 = static_cast<float>(step.beta1);
    factors.one_minus_beta1 = static_cast<float>(1.0 - step.beta1);
    factors.beta2 = static_cast<float>(step.beta2);
    factors.one_minus_beta2 = static_cast<float>(1.0 - step.beta2);
    factors.step_size = static_cast<float>(learning_rate / correction1);
    factors.inverse_root_correction = static_cast<float>(1.0 / std::sqrt(correction2));
    factors.epsilon = static_cast<float>(step.epsilon);
    visit<Access::Update>(update.target, first, size,
                          [&](float* values, const float* gradient, int64_t at, int64_t count) {
                            update_adamw_block(values, gradient, update.first_moment + at,
                                               update.second_moment + at, count, factors);
                          });
  });
}

void update_sgd(std::span<const SgdUpdate> updates, const SgdStep& step) {
  cut(updates).for_each([&](size_t part, int64_t first, int64_t size, size_t) {
    const SgdUpdate& update = updates[part];
    SgdFactors factors;
    factors.gradient_scale = static_cast<float>(step.gradient_scale);
    factors.weight_decay = static_cast<float>(update.target.weight_decay);
    factors.learning_rate = static_cast<float>(update.target.learning_rate);
    factors.momentum = static_cast<float>(step.momentum);
    factors.of_gradient = step.has_nesterov ? 1.0f : 0.0f;
    factors.of_momentum = step.has_nesterov ? factors.momentum : 1.0f;
    visit<Access::Update>(update.target, first, size,
                          [&](float* values, const float* gradient, int64_t at, int64_t count) {
                            if (update.momentum)
                              update_sgd_momentum_block(values, gradient, update.momentum + at,
                                                        count, factors);
                            else
                              update_sgd_block(values, gradient, count, factors);
                          });
  });
}

void update_adafactor(std::span<const AdafactorUpdate> updates, const AdafactorStep& step) {
  struct Group {
    const AdafactorUpdate* update;
    int64_t index;
    int64_t size() const { return update->shape.group_size(); }
  };
  int64_t num_elements = 0;
  for (const AdafactorUpdate& update : updates) num_elements += update.target.size;
  // A thread goes through a group of its own twice while the group is in its cache; how
  // groups are dealt out changes no result.
  const int64_t owned_size =
      std::clamp(num_elements / (8 * num_threads()), kParallelSize, kOwnedSize);
  std::vector<Group> owned;
  for (const AdafactorUpdate& update : updates) {
    if (update.target.size == 0) continue;
    for (int64_t index = 0; index < update.shape.num_groups; ++index) {
      if (update.shape.group_size() > owned_size)
        update_group(update, index, true, step);
      else
        owned.push_back({&update, index});
    }
  }
  std::stable_sort(owned.begin(), owned.end(),
                   [](const Group& a, const Group& b) { return a.size() > b.size(); });
  const auto num_owned = static_cast<int64_t>(owned.size());
#pragma omp parallel for schedule(dynamic) if (num_elements >= kParallelSize)
  for (int64_t i = 0; i < num_owned; ++i) {
    const Group& group = owned[static_cast<size_t>(i)];
    update_group(*group.update, group.index, false, step);
  }
}

int num_threads() {
  return omp_get_max_threads();
}

}  // namespace flanmoe::train::kernels
