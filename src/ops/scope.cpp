#include "ops/scope.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <string>

namespace flanmoe::ops {

Scope::Scope(const char* name, double flops) {
  auto callbacks = at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION);
  if (!callbacks) return;
  record_ = std::make_unique<at::RecordFunction>(std::move(*callbacks));
  const c10::IValue inputs[] = {flops};
  record_->before(std::string("flanmoe::") + name,
                  c10::ArrayRef<const c10::IValue>(inputs, flops > 0 ? 1 : 0));
}

Scope::~Scope() = default;

}  // namespace flanmoe::ops
