// One function a kind, for registry.cpp.
#pragma once

#include "peft/registry.h"

namespace flanmoe::peft {

Kind ia3_kind();
Kind lora_kind();
Kind mov_kind();
Kind molora_kind();
Kind norm_kind();
Kind prompt_kind();

}  // namespace flanmoe::peft
