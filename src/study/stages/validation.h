// Validation of a model while a stage trains it.
#pragma once

#include <vector>

#include "eval/validation.h"
#include "study/stages/training.h"
#include "train/trainer.h"

namespace flanmoe::study {

// Examples of suites as eval.data names them: builtin:seen, builtin:TASK, JSONL files and folders.
std::vector<eval::ValidationExample> load_validation_examples(const std::string& specs,
                                                              const text::Tokenizer& tokenizer,
                                                              const train::Config& config,
                                                              int64_t num_examples);
// The first examples of a draw.
std::vector<eval::ValidationExample> take_validation_examples(const Draw& draw,
                                                              const train::Config& config,
                                                              int64_t num_examples);

// The callback of a train::Job: "loss" and, where examples have choices, "accuracy". `model` must
// outlive it.
std::function<train::EvaluationValues(int64_t step)> make_evaluation(
    const model::Model& model, std::vector<eval::ValidationExample> examples,
    const train::Config& config);

}  // namespace flanmoe::study
