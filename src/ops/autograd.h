// How an op becomes differentiable without every file paying for libtorch's autograd headers.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <initializer_list>
#include <vector>

namespace flanmoe::ops {

// Whether an op on these inputs (undefined ones allowed) has to be recorded: gradients are on and
// one of them needs one.
bool is_recorded(std::initializer_list<at::Tensor> inputs);

struct BackwardCall {
  std::vector<at::Tensor> saved;  // what `record` was given
  at::Tensor grad;                // of the output
  std::vector<bool> is_needed;    // one an input
};
// One gradient an input; undefined where not needed.
using Backward = std::function<std::vector<at::Tensor>(const BackwardCall& call)>;

// `output`, made from `inputs` while nothing was recorded, as a differentiable tensor. `saved` may
// hold inputs and the output itself. The result is not twice differentiable.
at::Tensor record(const at::Tensor& output, std::vector<at::Tensor> inputs,
                  std::vector<at::Tensor> saved, Backward backward);

// function(inputs), of whose computation nothing is kept but the inputs: the backward pass calls it
// again with recording on and differentiates that. The gradients of other tensors that `function`
// uses (parameters) are accumulated into their leaves meanwhile. It must give the same values at
// every call and what it refers to must live until the backward pass. Where nothing is to be
// recorded, a plain call.
using Function = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;
std::vector<at::Tensor> recompute(const std::vector<at::Tensor>& inputs, Function function);

}  // namespace flanmoe::ops
