// Examples of one task, with some of them kept for validation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/source.h"
#include "eval/validation.h"
#include "study/stages/training.h"

namespace flanmoe::study {

struct TaskSplit {
  std::shared_ptr<const data::Source> source;
  std::vector<uint64_t> train, validation;  // indices; both empty: the source has no end
};

// The task named `task` of files, folders or builtin:TASK; "" where there is but one. Of its n
// examples min(num_validation, n / 10) are kept for validation, drawn by `seed`. Throws NotFound
// with the nearest name, InvalidArgument where there are several tasks and none is named.
TaskSplit open_task(const std::string& specs, const std::string& task, int64_t num_validation,
                    uint64_t seed);

// Every training example once before any comes twice, in another order every time.
Draw make_task_draw(const TaskSplit& split, uint64_t seed, const text::Tokenizer& tokenizer);

// What is kept for validation; of a source without end `num_validation` examples of evaluation.
eval::Suite make_validation_suite(const TaskSplit& split, const std::string& specs,
                                  int64_t num_validation, uint64_t seed);

}  // namespace flanmoe::study
