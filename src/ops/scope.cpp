#include "ops/scope.h"

#include <ATen/record_function.h>

#include <string>

namespace flanmoe::ops {

Scope::Scope(const char* name) {
  auto callbacks = at::getStepCallbacksUnlessEmpty(at::RecordScope::FUNCTION);
  if (!callbacks) return;
  record_ = std::make_unique<at::RecordFunction>(std::move(*callbacks));
  record_->before(std::string("flanmoe::") + name);
}

Scope::~Scope() = default;

}  // namespace flanmoe::ops
