// The loops of the optimizers over raw memory, no torch. One parallel loop goes over the chunks of
// all parameters; work is cut at fixed places and partial sums are added in order, so results do
// not depend on the number of threads. Arithmetic is float32 whatever is stored.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"

namespace flanmoe::train::kernels {

enum class ValueType { Float32, BFloat16 };

// Contiguous values that are read.
struct Values {
  const void* data = nullptr;
  ValueType type = ValueType::Float32;
  int64_t size = 0;
};

// Adafactor: added to squared gradients.
constexpr double kSquareFloor = 1e-30;

// Over all of them, in double; not finite if and only if an element is not.
double sum_of_squares(std::span<const Values> parts);

// Values to bfloat16, up or down with the probability that makes the mean exact (to 2^-16 of the
// distance of the neighbours). The noise of element i is bits 16 (i mod 4) and following of
// key.bits(i / 4), i counted from `first_element`. Infinities stay, so do NaNs.
void round_stochastically(const float* values, uint16_t* rounded, int64_t size,
                          const RandomKey& key, uint64_t first_element);

// A parameter to be updated: contiguous values and gradients of `size` elements, and what its group
// says.
struct Target {
  void* values = nullptr;
  ValueType type = ValueType::Float32;
  const void* gradient = nullptr;
  ValueType gradient_type = ValueType::Float32;
  int64_t size = 0;
  double learning_rate = 0;
  double weight_decay = 0;
  RandomKey rounding{0, RandomPurpose::StochasticRounding};  // of this parameter and step
};

struct AdamWStep {
  double gradient_scale = 1;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  int64_t step = 1;
};
struct AdamWUpdate {
  Target target;
  float* first_moment;
  float* second_moment;
};
// torch.optim.AdamW: decay first, then the bias-corrected step.
void update_adamw(std::span<const AdamWUpdate> updates, const AdamWStep& step);

struct SgdStep {
  double gradient_scale = 1;
  double momentum = 0;
  bool has_nesterov = false;
};
struct SgdUpdate {
  Target target;
  float* momentum;  // null without momentum
};
// torch.optim.SGD without dampening: g += weight_decay p; m = momentum m + g;
// p -= learning_rate (m, or with Nesterov's g + momentum m).
void update_sgd(std::span<const SgdUpdate> updates, const SgdStep& step);

struct AdafactorStep {
  double gradient_scale = 1;
  double beta1 = 0;  // of the first moment, where there is one
  double beta2 = 0;
  double clipping_threshold = 1;
  double min_parameter_scale = 1e-3;
  bool scales_by_parameter = true;
};
// [num_groups, num_matrices, num_rows, num_columns], contiguous. A group is clipped and scaled by
// itself, a matrix factored by itself.
struct AdafactorShape {
  int64_t num_groups = 1;
  int64_t num_matrices = 1;
  int64_t num_rows = 1;
  int64_t num_columns = 1;
  int64_t group_size() const { return num_matrices * num_rows * num_columns; }
};
struct AdafactorUpdate {
  Target target;
  AdafactorShape shape;
  // Factored: moving averages of the means of the squared gradient, over columns [groups, matrices,
  // rows] and over rows [groups, matrices, columns]. Null otherwise.
  float* row = nullptr;
  float* column = nullptr;
  float* second_moment = nullptr;  // [size]; null where factored
  float* first_moment = nullptr;   // [size], of steps, learning rate included; null without
  // Factored: the values' sums of squares [groups], which the update before this one left there, or
  // (has_value_squares false) which are computed anew; those of the new values afterwards. Spares
  // reading the values twice.
  double* value_squares = nullptr;
  bool has_value_squares = false;
};
// facts.md items 130 and 131; the first moment as in T5X and Hugging Face's.
void update_adafactor(std::span<const AdafactorUpdate> updates, const AdafactorStep& step);

// Threads that a parallel loop gets.
int num_threads();

}  // namespace flanmoe::train::kernels
