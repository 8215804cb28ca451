// A stretch of work under a name, as profilers see ATen's own operators (at::RecordFunction): the
// kernels of this project are listed beside them. Costs nothing to speak of while nobody looks.
#pragma once

#include <memory>

namespace at {
struct RecordFunction;
}

namespace flanmoe::ops {

class Scope {
 public:
  // "rms_norm" is seen as "flanmoe::rms_norm".
  // `flops`, where given, is what a matrix product does: the scope's only input for an observer.
  explicit Scope(const char* name, double flops = 0);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  std::unique_ptr<at::RecordFunction> record_;  // empty while nobody looks
};

}  // namespace flanmoe::ops
