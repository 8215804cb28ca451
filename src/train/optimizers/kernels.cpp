#include "train/optimizers/kernels.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
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
    4 * kChunkSize;  // fewer elements are not worth waking threads for
constexpr int64_t kTileRows = 32;
constexpr int64_t kTileColumns = 1024;
constexpr int64_t kColumnStrip = 64;
constexpr double kSquareFloor = 1e-30;  // added to squared gradients

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

double add_up(const std::vector<double>& parts) {
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

// chunk(begin, end, index) over [0, size).
template <class Chunk>
void for_each_chunk(int64_t size, const Chunk& chunk) {
  const int64_t num_chunks = divide_up(size, kChunkSize);
#pragma omp parallel for schedule(static) if (size >= kParallelSize)
  for (int64_t i = 0; i < num_chunks; ++i)
    chunk(i * kChunkSize, std::min(size, (i + 1) * kChunkSize), i);
}

FLANMOE_VECTOR_CLONES double sum_of_squares_chunk(const float* values, int64_t size) {
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

FLANMOE_VECTOR_CLONES void update_adamw_chunk(float* __restrict parameter,
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

// What a group's parameters are multiplied with, and the factor of its update.
struct Scales {
  float kept;
  float update;
};

Scales compute_scales(double parameter_squares, double update_squares, int64_t size,
                      const AdafactorStep& step) {
  const double count = static_cast<double>(size);
  double rate = step.learning_rate;
  if (step.scales_by_parameter)
    rate *= std::max(step.min_parameter_scale, std::sqrt(parameter_squares / count));
  const double clip = std::max(1.0, std::sqrt(update_squares / count) / step.clipping_threshold);
  return {static_cast<float>(1.0 - step.weight_decay * rate),
          static_cast<float>(rate / clip * step.gradient_scale)};
}

struct Squares {
  double parameter = 0;
  double update = 0;
};

// New second moment; sums of squares of the parameter and of the update before clipping.
FLANMOE_VECTOR_CLONES Squares update_moment_chunk(const float* __restrict parameter,
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

FLANMOE_VECTOR_CLONES void apply_full_chunk(float* __restrict parameter,
                                            const float* __restrict gradient,
                                            const float* __restrict second, int64_t size,
                                            const Scales& given) {
  const Scales scales = given;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i)
    parameter[i] =
        parameter[i] * scales.kept - scales.update * gradient[i] / __builtin_sqrtf(second[i]);
}

void update_full_group(float* parameter, const float* gradient, float* second, int64_t size,
                       const AdafactorStep& step) {
  std::vector<double> parameter_parts(static_cast<size_t>(divide_up(size, kChunkSize))),
      update_parts(parameter_parts.size());
  for_each_chunk(size, [&](int64_t begin, int64_t end, int64_t index) {
    const Squares squares =
        update_moment_chunk(parameter + begin, gradient + begin, second + begin, end - begin, step);
    parameter_parts[static_cast<size_t>(index)] = squares.parameter;
    update_parts[static_cast<size_t>(index)] = squares.update;
  });
  const Scales scales = compute_scales(add_up(parameter_parts), add_up(update_parts), size, step);
  for_each_chunk(size, [&](int64_t begin, int64_t end, int64_t) {
    apply_full_chunk(parameter + begin, gradient + begin, second + begin, end - begin, scales);
  });
}

// A part of a matrix: rows `stride` apart.
struct Tile {
  int64_t num_rows;
  int64_t num_columns;
  int64_t stride;
};

// Squared gradients added up over columns (row_sum [rows]) and over rows (column_sum [columns]);
// returns the parameter's sum of squares.
FLANMOE_VECTOR_CLONES double sum_tile(const float* parameter, const float* gradient,
                                      const Tile& tile, float gradient_scale, double* row_sum,
                                      float* __restrict column_sum) {
  double parameter_sum = 0;
  std::fill_n(column_sum, tile.num_columns, 0.0f);
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

FLANMOE_VECTOR_CLONES void apply_tile(float* parameter, const float* gradient, const Tile& tile,
                                      const float* row_factor,
                                      const float* __restrict column_factor, const Scales& scales) {
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    float* __restrict p = parameter + i * tile.stride;
    const float* __restrict g = gradient + i * tile.stride;
    const float factor = scales.update * row_factor[i], kept = scales.kept;
#pragma omp simd
    for (int64_t j = 0; j < tile.num_columns; ++j)
      p[j] = p[j] * kept - factor * g[j] * column_factor[j];
  }
}

// One group of matrices. Its tiles are numbered matrix by matrix, then by rows, then by columns.
class FactoredGroup {
 public:
  FactoredGroup(const FactoredBuffers& buffers, const AdafactorShape& shape,
                const AdafactorStep& step)
      : buffers_(buffers),
        shape_(shape),
        step_(step),
        row_blocks_(divide_up(shape.num_rows, kTileRows)),
        column_blocks_(divide_up(shape.num_columns, kTileColumns)),
        num_tiles_(shape.num_matrices * row_blocks_ * column_blocks_),
        row_sums_(static_cast<size_t>(shape.num_matrices * column_blocks_ * shape.num_rows)),
        column_sums_(std::make_unique_for_overwrite<float[]>(
            static_cast<size_t>(shape.num_matrices * row_blocks_ * shape.num_columns))),
        tile_sums_(static_cast<size_t>(num_tiles_)),
        row_factors_(static_cast<size_t>(shape.num_matrices * shape.num_rows)),
        column_factors_(static_cast<size_t>(shape.num_matrices * shape.num_columns)) {}

  void update() {
    for_each_tile([&](const Place& at) {
      double* row_sum = row_sums_.data() +
                        (at.matrix * column_blocks_ + at.column / kTileColumns) * shape_.num_rows +
                        at.row;
      float* column_sum = column_sums_.get() +
                          (at.matrix * row_blocks_ + at.row / kTileRows) * shape_.num_columns +
                          at.column;
      return sum_tile(buffers_.parameter + at.offset, buffers_.gradient + at.offset, at.tile,
                      static_cast<float>(step_.gradient_scale), row_sum, column_sum);
    });
    const double parameter_squares = add_up(tile_sums_);
    for (int64_t matrix = 0; matrix < shape_.num_matrices; ++matrix) {
      update_rows(matrix);
      update_columns(matrix);
    }
    for_each_tile([&](const Place& at) {
      return sum_update_squares(buffers_.gradient + at.offset, at.tile, row_factor(at),
                                column_factor(at));
    });
    const double update_squares = add_up(tile_sums_) * step_.gradient_scale * step_.gradient_scale;
    const Scales scales =
        compute_scales(parameter_squares, update_squares, shape_.group_size(), step_);
    for_each_tile([&](const Place& at) {
      apply_tile(buffers_.parameter + at.offset, buffers_.gradient + at.offset, at.tile,
                 row_factor(at), column_factor(at), scales);
      return 0.0;
    });
  }

 private:
  struct Place {
    int64_t matrix, row, column, offset;
    Tile tile;
  };

  const float* row_factor(const Place& at) const {
    return row_factors_.data() + at.matrix * shape_.num_rows + at.row;
  }
  const float* column_factor(const Place& at) const {
    return column_factors_.data() + at.matrix * shape_.num_columns + at.column;
  }

  template <class Visit>
  void for_each_tile(const Visit& visit) {
#pragma omp parallel for schedule(static) if (shape_.group_size() >= kParallelSize)
    for (int64_t i = 0; i < num_tiles_; ++i) {
      Place at;
      at.matrix = i / (row_blocks_ * column_blocks_);
      at.row = i / column_blocks_ % row_blocks_ * kTileRows;
      at.column = i % column_blocks_ * kTileColumns;
      at.offset = (at.matrix * shape_.num_rows + at.row) * shape_.num_columns + at.column;
      at.tile = {std::min(kTileRows, shape_.num_rows - at.row),
                 std::min(kTileColumns, shape_.num_columns - at.column), shape_.num_columns};
      tile_sums_[static_cast<size_t>(i)] = visit(at);
    }
  }

  float average(float old, double sum, int64_t count) const {
    const double mean = sum / static_cast<double>(count) + kSquareFloor;
    return static_cast<float>(step_.beta2 * static_cast<double>(old) + (1.0 - step_.beta2) * mean);
  }

  void update_rows(int64_t matrix) {
    float* row = buffers_.row + matrix * shape_.num_rows;
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
    float* column = buffers_.column + matrix * shape_.num_columns;
    float* factor = column_factors_.data() + matrix * shape_.num_columns;
    const float* sums = column_sums_.get() + matrix * row_blocks_ * shape_.num_columns;
    const int64_t num_strips = divide_up(shape_.num_columns, kColumnStrip);
#pragma omp parallel for schedule(static) if (row_blocks_ * shape_.num_columns >= kParallelSize)
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

  FactoredBuffers buffers_;
  AdafactorShape shape_;
  AdafactorStep step_;
  int64_t row_blocks_, column_blocks_, num_tiles_;
  std::vector<double> row_sums_;          // [matrices, column blocks, rows]
  std::unique_ptr<float[]> column_sums_;  // [matrices, row blocks, columns]
  std::vector<double> tile_sums_;
  std::vector<float> row_factors_, column_factors_;
};

// Groups side by side where one is too small to be shared by threads; loops inside are then run by
// one thread, in the same order.
template <class Update>
void for_each_group(const AdafactorShape& shape, const Update& update) {
  const bool runs_side_by_side = shape.num_groups > 1 && shape.group_size() < 4 * kParallelSize &&
                                 shape.num_groups * shape.group_size() >= kParallelSize;
#pragma omp parallel for schedule(static) if (runs_side_by_side)
  for (int64_t group = 0; group < shape.num_groups; ++group) update(group);
}

}  // namespace

double sum_of_squares(const float* values, int64_t size) {
  std::vector<double> parts(static_cast<size_t>(divide_up(size, kChunkSize)));
  for_each_chunk(size, [&](int64_t begin, int64_t end, int64_t index) {
    parts[static_cast<size_t>(index)] = sum_of_squares_chunk(values + begin, end - begin);
  });
  return add_up(parts);
}

void update_adamw(const AdamWBuffers& buffers, int64_t size, const AdamWStep& step) {
  const double correction1 = 1.0 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1.0 - std::pow(step.beta2, static_cast<double>(step.step));
  AdamWFactors factors;
  factors.gradient_scale = static_cast<float>(step.gradient_scale);
  factors.kept = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  factors.beta1 = static_cast<float>(step.beta1);
  factors.one_minus_beta1 = static_cast<float>(1.0 - step.beta1);
  factors.beta2 = static_cast<float>(step.beta2);
  factors.one_minus_beta2 = static_cast<float>(1.0 - step.beta2);
  factors.step_size = static_cast<float>(step.learning_rate / correction1);
  factors.inverse_root_correction = static_cast<float>(1.0 / std::sqrt(correction2));
  factors.epsilon = static_cast<float>(step.epsilon);
  for_each_chunk(size, [&](int64_t begin, int64_t end, int64_t) {
    update_adamw_chunk(buffers.parameter + begin, buffers.gradient + begin,
                       buffers.first_moment + begin, buffers.second_moment + begin, end - begin,
                       factors);
  });
}

void update_adafactor_factored(const FactoredBuffers& buffers, const AdafactorShape& shape,
                               const AdafactorStep& step) {
  for_each_group(shape, [&](int64_t group) {
    const FactoredBuffers part{buffers.parameter + group * shape.group_size(),
                               buffers.gradient + group * shape.group_size(),
                               buffers.row + group * shape.num_matrices * shape.num_rows,
                               buffers.column + group * shape.num_matrices * shape.num_columns};
    FactoredGroup(part, shape, step).update();
  });
}

void update_adafactor_full(const FullBuffers& buffers, const AdafactorShape& shape,
                           const AdafactorStep& step) {
  for_each_group(shape, [&](int64_t group) {
    const int64_t offset = group * shape.group_size();
    update_full_group(buffers.parameter + offset, buffers.gradient + offset,
                      buffers.second_moment + offset, shape.group_size(), step);
  });
}

int num_threads() {
  return omp_get_max_threads();
}

}  // namespace flanmoe::train::kernels
