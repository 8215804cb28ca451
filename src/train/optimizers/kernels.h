// The loops of the optimizers over raw memory, no torch. Work is cut into fixed chunks whose
// partial sums are added in order, so results do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace flanmoe::train::kernels {

// In double; not finite if and only if an element is not.
double sum_of_squares(const float* values, int64_t size);

struct AdamWStep {
  double learning_rate = 0;
  double gradient_scale = 1;
  double weight_decay = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  int64_t step = 1;
};
struct AdamWBuffers {
  float* parameter;
  const float* gradient;
  float* first_moment;
  float* second_moment;
};
// torch.optim.AdamW: decay first, then the bias-corrected step.
void update_adamw(const AdamWBuffers& buffers, int64_t size, const AdamWStep& step);

struct AdafactorStep {
  double learning_rate = 0;
  double gradient_scale = 1;
  double weight_decay = 0;
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
struct FactoredBuffers {
  float* parameter;
  const float* gradient;
  float* row;  // [groups, matrices, rows]: moving average of the means of the squared gradient over
               // columns
  float* column;  // [groups, matrices, columns]: over rows
};
struct FullBuffers {
  float* parameter;
  const float* gradient;
  float* second_moment;
};
// facts.md items 130 and 131.
void update_adafactor_factored(const FactoredBuffers& buffers, const AdafactorShape& shape,
                               const AdafactorStep& step);
void update_adafactor_full(const FullBuffers& buffers, const AdafactorShape& shape,
                           const AdafactorStep& step);

// Threads that a parallel loop gets.
int num_threads();

}  // namespace flanmoe::train::kernels
