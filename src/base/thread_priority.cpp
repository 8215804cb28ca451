#include "base/thread_priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace flanmoe {

void lower_thread_priority(int nice) {
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice);
}

}  // namespace flanmoe
