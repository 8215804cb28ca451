#include "base/memory.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <string>

// jemalloc's, where it is linked in.
extern "C" int mallctl(const char* name, void* old, size_t* old_size, void* given, size_t size)
    __attribute__((weak));

namespace flanmoe {

int64_t peak_memory_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

void release_free_memory() {
  if (!mallctl) return;
  mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
  mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: every arena
}

int64_t resident_memory_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t machine_memory_bytes() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

int num_physical_cores() {
  const int num_cpus = static_cast<int>(std::max<long>(1, sysconf(_SC_NPROCESSORS_CONF)));
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool has_mask = sched_getaffinity(0, sizeof(allowed), &allowed) == 0;
  std::set<std::string> cores;  // by the list of the hardware threads of each
  for (int cpu = 0; cpu < std::min(num_cpus, CPU_SETSIZE); ++cpu) {
    if (has_mask && !CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = "cpu" + std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max<int>(1, static_cast<int>(cores.size()));
}

}  // namespace flanmoe
