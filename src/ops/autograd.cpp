#include "ops/autograd.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"

namespace flanmoe::ops {

namespace {

struct Holder : torch::CustomClassHolder {
  explicit Holder(Backward function) : backward(std::move(function)) {}
  Backward backward;
};

struct Recording {
  at::Tensor output;
  std::vector<int64_t> positions;  // of the defined inputs among all
  std::vector<at::Tensor> saved;
  int64_t num_inputs = 0;
  c10::intrusive_ptr<Holder> holder;
};

struct RecordedOp : torch::autograd::Function<RecordedOp> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList /*inputs*/,
                            Recording* recording) {
    context->saved_data["positions"] = recording->positions;
    context->saved_data["num_inputs"] = recording->num_inputs;
    context->saved_data["backward"] = c10::IValue::make_capsule(recording->holder);
    context->save_for_backward(std::move(recording->saved));
    return recording->output;
  }

  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          std::vector<at::Tensor> grads) {
    if (c10::GradMode::is_enabled())
      throw Error(ErrorCode::Unsupported,
                  "[ops] a second derivative was asked for; our ops have the first one only");
    const auto num_inputs = static_cast<size_t>(context->saved_data["num_inputs"].toInt());
    const std::vector<int64_t> positions = context->saved_data["positions"].toIntVector();
    std::vector<at::Tensor> result(positions.size() + 1);  // one for `recording`
    if (!grads[0].defined()) return result;
    BackwardCall call{.saved = context->get_saved_variables(),
                      .grad = grads[0],
                      .is_needed = std::vector<bool>(num_inputs)};
    for (size_t i = 0; i < positions.size(); ++i)
      call.is_needed[static_cast<size_t>(positions[i])] = context->needs_input_grad(i);
    const auto holder =
        c10::static_intrusive_pointer_cast<Holder>(context->saved_data["backward"].toCapsule());
    const std::vector<at::Tensor> gradients = holder->backward(call);
    for (size_t i = 0; i < positions.size(); ++i)
      result[i] = gradients[static_cast<size_t>(positions[i])];
    return result;
  }
};

struct FunctionHolder : torch::CustomClassHolder {
  explicit FunctionHolder(Function f) : function(std::move(f)) {}
  Function function;
  std::vector<bool> is_defined;  // of its inputs; the others are not passed on to autograd
};

struct Recomputation {
  std::vector<at::Tensor> outputs;
  c10::intrusive_ptr<FunctionHolder> holder;
};

struct RecomputedOp : torch::autograd::Function<RecomputedOp> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                at::TensorList inputs,
                                                Recomputation* recomputation) {
    std::vector<int64_t> is_differentiable;
    for (const at::Tensor& input : inputs) is_differentiable.push_back(input.requires_grad());
    context->saved_data["is_differentiable"] = is_differentiable;
    context->saved_data["function"] = c10::IValue::make_capsule(recomputation->holder);
    context->save_for_backward(inputs.vec());
    return recomputation->outputs;
  }

  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          std::vector<at::Tensor> grads) {
    const std::vector<at::Tensor> saved = context->get_saved_variables();
    const std::vector<int64_t> is_differentiable =
        context->saved_data["is_differentiable"].toIntVector();
    const auto holder = c10::static_intrusive_pointer_cast<FunctionHolder>(
        context->saved_data["function"].toCapsule());
    std::vector<at::Tensor> inputs;
    size_t next = 0;  // the last one is the anchor
    for (const bool is_defined : holder->is_defined) {
      inputs.emplace_back();
      if (!is_defined) continue;
      inputs.back() = saved[next].detach().requires_grad_(is_differentiable[next] != 0);
      ++next;
    }
    std::vector<at::Tensor> outputs;
    {
      const c10::AutoGradMode on(true);
      outputs = holder->function(inputs);
    }
    std::vector<at::Tensor> roots, root_grads;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (grads[i].defined() && outputs[i].requires_grad()) {
        roots.push_back(outputs[i]);
        root_grads.push_back(grads[i]);
      }
    if (!roots.empty()) torch::autograd::backward(roots, root_grads);
    std::vector<at::Tensor> result;
    for (const at::Tensor& input : inputs)
      if (input.defined()) result.push_back(input.grad());
    result.resize(saved.size() + 1);  // the anchor, and one for `recomputation`
    return result;
  }
};

}  // namespace

bool is_recorded(std::initializer_list<at::Tensor> inputs) {
  if (!c10::GradMode::is_enabled()) return false;
  for (const at::Tensor& input : inputs)
    if (input.defined() && input.requires_grad()) return true;
  return false;
}

at::Tensor record(const at::Tensor& output, std::vector<at::Tensor> inputs,
                  std::vector<at::Tensor> saved, Backward backward) {
  Recording recording{.output = output,
                      .positions = {},
                      .saved = std::move(saved),
                      .num_inputs = static_cast<int64_t>(inputs.size()),
                      .holder = c10::make_intrusive<Holder>(std::move(backward))};
  std::vector<at::Tensor> defined;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    recording.positions.push_back(static_cast<int64_t>(i));
    defined.push_back(std::move(inputs[i]));
  }
  return RecordedOp::apply(at::TensorList(defined), &recording);
}

std::vector<at::Tensor> recompute(const std::vector<at::Tensor>& inputs, Function function) {
  if (!c10::GradMode::is_enabled()) return function(inputs);
  Recomputation recomputation;
  {
    const c10::AutoGradMode off(false);
    recomputation.outputs = function(inputs);
  }
  recomputation.holder = c10::make_intrusive<FunctionHolder>(std::move(function));
  std::vector<at::Tensor> defined;
  for (const at::Tensor& input : inputs) {
    recomputation.holder->is_defined.push_back(input.defined());
    if (input.defined()) defined.push_back(input);
  }
  // Wants a gradient even where only what `function` refers to does.
  const at::Tensor anchor = at::zeros({1}).requires_grad_(true);
  defined.push_back(anchor);
  return RecomputedOp::apply(at::TensorList(defined), &recomputation);
}

}  // namespace flanmoe::ops
