// Ctrl-C and SIGTERM as a flag that long loops ask for.
#pragma once

namespace flanmoe {

// The first signal sets the flag; a second one ends the process at once.
void install_interrupt_handler();
bool is_interrupted();
// Tests set it by hand.
void set_interrupted(bool value);

}  // namespace flanmoe
