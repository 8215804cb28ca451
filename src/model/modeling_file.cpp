#include "model/modeling_file.h"

extern "C" {
extern const char flanmoe_modeling_py_begin[];
extern const char flanmoe_modeling_py_end[];
}

namespace flanmoe::model {

std::string modeling_file() {
  return {flanmoe_modeling_py_begin, flanmoe_modeling_py_end};
}

}  // namespace flanmoe::model
