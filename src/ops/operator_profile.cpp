#include "ops/operator_profile.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace flanmoe::ops {
namespace {

double count_flops(std::string_view name, c10::ArrayRef<const c10::IValue> inputs) {
  if (name.starts_with("flanmoe::"))
    return inputs.size() == 1 && inputs[0].isDouble() ? inputs[0].toDouble() : 0;  // Scope's
  size_t first = 0;
  if (name == "aten::addmm" || name == "aten::baddbmm")
    first = 1;
  else if (name != "aten::mm" && name != "aten::bmm")
    return 0;
  if (inputs.size() < first + 2 || !inputs[first].isTensor() || !inputs[first + 1].isTensor())
    return 0;
  return 2 * static_cast<double>(inputs[first].toTensor().numel()) *
         static_cast<double>(inputs[first + 1].toTensor().size(-1));
}

}  // namespace

// libtorch's allocator reports to whatever is in the profiler's slot.
struct OperatorProfile::State : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, int64_t, size_t, size_t, c10::Device) override {}
  bool memoryProfilingEnabled() const override { return false; }

  struct Seen : at::ObserverContext {};
  struct Frame {
    OperatorCost* cost;
    Clock::time_point start;
    double inner_s = 0;
  };
  struct Phase {
    std::string name;
    std::map<std::string, OperatorCost> costs;
  };
  std::deque<Phase> phases;
  std::vector<Frame> stack;
  Phase* current = nullptr;

  void push(OperatorCost& cost) {
    ++cost.num_calls;
    stack.push_back({&cost, Clock::now()});
  }
  void pop() {
    const Frame frame = stack.back();
    const double seconds = seconds_between(frame.start, Clock::now());
    stack.pop_back();
    frame.cost->seconds += seconds - frame.inner_s;
    if (!stack.empty()) stack.back().inner_s += seconds;
  }
  OperatorCost& find(const std::string& name) {
    OperatorCost& cost = current->costs[name];
    cost.phase = current->name;
    cost.name = name;
    return cost;
  }
  static State* get() {
    return static_cast<State*>(c10::ThreadLocalDebugInfo::get(c10::DebugInfoKind::PROFILER_STATE));
  }
  static std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& function) {
    State* const state = get();
    if (!state || !state->current) return nullptr;
    OperatorCost& cost = state->find(function.name());
    cost.flops += count_flops(function.name(), function.inputs());
    state->push(cost);
    return std::make_unique<Seen>();
  }
  static void on_end(const at::RecordFunction&, at::ObserverContext* context) {
    State* const state = get();
    if (context && state && state->current) state->pop();
  }
};

OperatorProfile::OperatorProfile() : state_(std::make_shared<State>()) {
  FLANMOE_ASSERT(!State::get());
  c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, state_);
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&State::on_start, &State::on_end)
          .needsInputs(true)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

OperatorProfile::~OperatorProfile() {
  at::removeCallback(handle_);
  c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE);
}

void OperatorProfile::begin_phase(const std::string& phase) {
  FLANMOE_ASSERT(!state_->current);
  auto& phases = state_->phases;
  auto found = std::find_if(phases.begin(), phases.end(),
                            [&](const State::Phase& other) { return other.name == phase; });
  if (found == phases.end()) found = phases.insert(phases.end(), {phase, {}});
  state_->current = &*found;
  state_->push(state_->find(""));
}

void OperatorProfile::end_phase() {
  FLANMOE_ASSERT(state_->current && state_->stack.size() == 1);
  state_->pop();
  state_->current = nullptr;
}

std::vector<OperatorCost> OperatorProfile::costs() const {
  std::vector<OperatorCost> costs;
  for (const State::Phase& phase : state_->phases) {
    const size_t begin = costs.size();
    for (const auto& [name, cost] : phase.costs) costs.push_back(cost);
    std::stable_sort(
        costs.begin() + static_cast<int64_t>(begin), costs.end(),
        [](const OperatorCost& a, const OperatorCost& b) { return a.seconds > b.seconds; });
  }
  return costs;
}

}  // namespace flanmoe::ops
