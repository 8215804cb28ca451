#include "ops/autograd.h"

#include <c10/core/GradMode.h>
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

}  // namespace flanmoe::ops
