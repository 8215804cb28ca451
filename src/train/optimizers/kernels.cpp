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
constexpr int64_t kTileRows = 32;
constexpr int64_t kTileColumns = 1024;
constexpr int64_t kColumnStrip = 64;
constexpr double kSquareFloor = 1e-30;  // added to squared gradients

static_assert(kTileColumns <= kBlockSize);

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

enum class Access { Gradient, Read, Update };

// body(values, gradient, begin, size) over [begin, begin + size) of a parameter, at once where all
// is float32, otherwise block by block; what the body wrote is rounded. Values are null where only
// the gradient is wanted.
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
    if (direct || kAccess == Access::Gradient) {
      body(direct ? direct + begin : nullptr, gradient, begin, count);
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

// A part of a matrix: rows `stride` apart.
struct Tile {
  int64_t num_rows;
  int64_t num_columns;
  int64_t stride;
};

// Squared gradients added up over columns (row_sum [rows]) and added to column_sum [columns] over
// rows; returns the parameter's sum of squares.
FLANMOE_VECTOR_CLONES double sum_tile(const float* parameter, const float* gradient,
                                      const Tile& tile, float gradient_scale, double* row_sum,
                                      float* __restrict column_sum) {
  double parameter_sum = 0;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    const float* __restrict p = parameter + i * tile.stride;
    const float* __restrict g = gradient + i * tile.stride;
    float squares = 0, parameter_squares = 0;
#pragma omp simd reduction(+ : squares, parameter_squares)
    for (int64_t j = 0; j < tile.num_columns; ++j) {
      const float scaled = g[j] * gradient_scale;
      squares += scaled * scaled;
      column_sum[j] += scaled * scaled;
      parameter_squares += p[j] * p[j];
    }
    row_sum[i] = static_cast<double>(squares);
    parameter_sum += static_cast<double>(parameter_squares);
  }
  return parameter_sum;
}

// Sum of squares of the update before clipping and without the gradient's scale.
FLANMOE_VECTOR_CLONES double sum_update_squares(const float* gradient, const Tile& tile,
                                                const float* row_factor,
                                                const float* __restrict column_factor) {
  double sum = 0;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    const float* __restrict g = gradient + i * tile.stride;
    float row_sum = 0;
#pragma omp simd reduction(+ : row_sum)
    for (int64_t j = 0; j < tile.num_columns; ++j) {
      const float u = g[j] * column_factor[j];
      row_sum += u * u;
    }
    const double r = static_cast<double>(row_factor[i]);
    sum += r * r * static_cast<double>(row_sum);
  }
  return sum;
}

FLANMOE_VECTOR_CLONES void apply_tile(float* parameter, const float* gradient, float* first_moment,
                                      const Tile& tile, const float* row_factor,
                                      const float* __restrict column_factor, const Scales& scales) {
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    float* __restrict p = parameter + i * tile.stride;
    const float* __restrict g = gradient + i * tile.stride;
    const float factor = scales.update * row_factor[i], kept = scales.kept;
    if (first_moment == nullptr) {
#pragma omp simd
      for (int64_t j = 0; j < tile.num_columns; ++j)
        p[j] = p[j] * kept - factor * g[j] * column_factor[j];
      continue;
    }
    float* __restrict m = first_moment + i * tile.stride;
    const float beta1 = scales.beta1, one_minus_beta1 = scales.one_minus_beta1;
#pragma omp simd
    for (int64_t j = 0; j < tile.num_columns; ++j) {
      m[j] = beta1 * m[j] + one_minus_beta1 * (factor * g[j] * column_factor[j]);
      p[j] = p[j] * kept - m[j];
    }
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

// One group of matrices. Its tiles are numbered matrix by matrix, then by rows, then by columns.
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
        column_blocks_(divide_up(shape_.num_columns, kTileColumns)),
        num_tiles_(shape_.num_matrices * row_blocks_ * column_blocks_),
        row_sums_(static_cast<size_t>(shape_.num_matrices * column_blocks_ * shape_.num_rows)),
        column_sums_(std::make_unique_for_overwrite<float[]>(
            static_cast<size_t>(shape_.num_matrices * row_blocks_ * shape_.num_columns))),
        tile_sums_(static_cast<size_t>(num_tiles_)),
        row_factors_(static_cast<size_t>(shape_.num_matrices * shape_.num_rows)),
        column_factors_(static_cast<size_t>(shape_.num_matrices * shape_.num_columns)) {}

  void update() {
    for_each_tile([&](const Place& at) {
      float* column_sum = column_sums_.get() +
                          (at.matrix * row_blocks_ + at.row / kTileRows) * shape_.num_columns +
                          at.column;
      std::fill_n(column_sum, at.tile.num_columns, 0.0f);
      double* row_sum = row_sums_.data() +
                        (at.matrix * column_blocks_ + at.column / kTileColumns) * shape_.num_rows +
                        at.row;
      double sum = 0;
      for_each_part<Access::Read>(
          at, [&](const float* values, const float* gradient, const Tile& part, int64_t row) {
            sum += sum_tile(values, gradient, part, static_cast<float>(step_.gradient_scale),
                            row_sum + row, column_sum);
          });
      return sum;
    });
    const double parameter_squares = add_up(tile_sums_);
    for (int64_t matrix = 0; matrix < shape_.num_matrices; ++matrix) {
      update_rows(matrix);
      update_columns(matrix);
    }
    for_each_tile([&](const Place& at) {
      double sum = 0;
      for_each_part<Access::Gradient>(
          at, [&](const float*, const float* gradient, const Tile& part, int64_t row) {
            sum += sum_update_squares(gradient, part, row_factor(at) + row, column_factor(at));
          });
      return sum;
    });
    const double update_squares = add_up(tile_sums_) * step_.gradient_scale * step_.gradient_scale;
    const Scales scales =
        compute_scales(parameter_squares, update_squares, shape_.group_size(), target_, step_);
    for_each_tile([&](const Place& at) {
      for_each_part<Access::Update>(at, [&](float* values, const float* gradient, const Tile& part,
                                            int64_t row) {
        float* first_moment =
            update_.first_moment ? update_.first_moment + at.offset + row * part.stride : nullptr;
        apply_tile(values, gradient, first_moment, part, row_factor(at) + row, column_factor(at),
                   scales);
      });
      return 0.0;
    });
  }

 private:
  struct Place {
    int64_t matrix, row, column, offset;  // the offset counts from the parameter's start
    Tile tile;
  };

  const float* row_factor(const Place& at) const {
    return row_factors_.data() + at.matrix * shape_.num_rows + at.row;
  }
  const float* column_factor(const Place& at) const {
    return column_factors_.data() + at.matrix * shape_.num_columns + at.column;
  }

  // body(values, gradient, part, first row of the part) over the tile at once, or row by row where
  // not all is float32.
  template <Access kAccess, class Body>
  void for_each_part(const Place& at, const Body& body) const {
    if (is_direct(target_)) {
      body(static_cast<float*>(target_.values) + at.offset,
           static_cast<const float*>(target_.gradient) + at.offset, at.tile, 0);
      return;
    }
    const Tile part{1, at.tile.num_columns, at.tile.stride};
    for (int64_t row = 0; row < at.tile.num_rows; ++row)
      visit<kAccess>(target_, at.offset + row * at.tile.stride, at.tile.num_columns,
                     [&](float* values, const float* gradient, int64_t, int64_t) {
                       body(values, gradient, part, row);
                     });
  }

  template <class Visit>
  void for_each_tile(const Visit& visit_tile) {
#pragma omp parallel for schedule(static) if (is_shared_)
    for (int64_t i = 0; i < num_tiles_; ++i) {
      Place at;
      at.matrix = i / (row_blocks_ * column_blocks_);
      at.row = i / column_blocks_ % row_blocks_ * kTileRows;
      at.column = i % column_blocks_ * kTileColumns;
      at.offset = first_ + (at.matrix * shape_.num_rows + at.row) * shape_.num_columns + at.column;
      at.tile = {std::min(kTileRows, shape_.num_rows - at.row),
                 std::min(kTileColumns, shape_.num_columns - at.column), shape_.num_columns};
      tile_sums_[static_cast<size_t>(i)] = visit_tile(at);
    }
  }

  float average(float old, double sum, int64_t count) const {
    const double mean = sum / static_cast<double>(count) + kSquareFloor;
    return static_cast<float>(step_.beta2 * static_cast<double>(old) + (1.0 - step_.beta2) * mean);
  }

  void update_rows(int64_t matrix) {
    float* row = row_ + matrix * shape_.num_rows;
    double total = 0;
    for (int64_t i = 0; i < shape_.num_rows; ++i) {
      double sum = 0;
      for (int64_t block = 0; block < column_blocks_; ++block)
        sum +=
            row_sums_[static_cast<size_t>((matrix * column_blocks_ + block) * shape_.num_rows + i)];
      row[i] = average(row[i], sum, shape_.num_columns);
      total += static_cast<double>(row[i]);
    }
    const double mean = total / static_cast<double>(shape_.num_rows);
    float* factor = row_factors_.data() + matrix * shape_.num_rows;
    for (int64_t i = 0; i < shape_.num_rows; ++i)
      factor[i] = static_cast<float>(std::sqrt(mean / static_cast<double>(row[i])));
  }

  void update_columns(int64_t matrix) {
    float* column = column_ + matrix * shape_.num_columns;
    float* factor = column_factors_.data() + matrix * shape_.num_columns;
    const float* sums = column_sums_.get() + matrix * row_blocks_ * shape_.num_columns;
    const int64_t num_strips = divide_up(shape_.num_columns, kColumnStrip);
#pragma omp parallel for schedule(static) if (is_shared_)
    for (int64_t strip = 0; strip < num_strips; ++strip) {
      const int64_t begin = strip * kColumnStrip,
                    size = std::min(kColumnStrip, shape_.num_columns - begin);
      double totals[kColumnStrip] = {};
      for (int64_t block = 0; block < row_blocks_; ++block)
        for (int64_t j = 0; j < size; ++j)
          totals[j] += static_cast<double>(sums[block * shape_.num_columns + begin + j]);
      for (int64_t j = 0; j < size; ++j) {
        column[begin + j] = average(column[begin + j], totals[j], shape_.num_rows);
        factor[begin + j] =
            static_cast<float>(1.0 / std::sqrt(static_cast<double>(column[begin + j])));
      }
    }
  }

  const AdafactorUpdate& update_;
  const Target& target_;
  const AdafactorShape& shape_;
  AdafactorStep step_;
  bool is_shared_;
  int64_t first_;  // the group's first element
  float *row_, *column_;
  int64_t row_blocks_, column_blocks_, num_tiles_;
  std::vector<double> row_sums_;          // [matrices, column blocks, rows]
  std::unique_ptr<float[]> column_sums_;  // [matrices, row blocks, columns]
  std::vector<double> tile_sums_;
  std::vector<float> row_factors_, column_factors_;
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
  // A thread goes through a group of its own three times while the group is in its cache; how
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
