// The functions of the C library that change a file system, in front of the library's own: those of
// a program win over those of its libraries.
#include "train/system_faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

namespace flanmoe::train {
namespace {

thread_local bool is_armed = false;
thread_local Fault planted = Fault::Kill;
thread_local int num_left = 0;

// True where this call is the one that fails; `half` is done before.
template <class Half>
bool is_faulty(const Half& half) {
  if (!is_armed || num_left == 0 || --num_left > 0) return false;
  half();
  if (planted == Fault::Kill) _exit(kKilled);
  errno = ENOSPC;
  return true;
}
bool is_faulty() {
  return is_faulty([] {});
}

template <class Function>
Function* next(const char* name, Function*) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

PlantedFault::PlantedFault(Fault fault, int call) {
  planted = fault;
  num_left = call;
  is_armed = true;
}
PlantedFault::~PlantedFault() {
  is_armed = false;
}
bool PlantedFault::is_met() const {
  return num_left == 0;
}

}  // namespace flanmoe::train

using flanmoe::train::is_faulty;
using flanmoe::train::next;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? static_cast<mode_t>(va_arg(rest, int)) : 0;
  va_end(rest);
  static const auto real = next("open", static_cast<int (*)(const char*, int, ...)>(nullptr));
  if ((flags & O_ACCMODE) != O_RDONLY && is_faulty()) return -1;
  return real(path, flags, mode);
}
ssize_t write(int descriptor, const void* bytes, size_t size) {
  static const auto real =
      next("write", static_cast<ssize_t (*)(int, const void*, size_t)>(nullptr));
  if (is_faulty([&] { (void)!real(descriptor, bytes, size / 2); })) return -1;
  return real(descriptor, bytes, size);
}
int fsync(int descriptor) {
  static const auto real = next("fsync", static_cast<int (*)(int)>(nullptr));
  return is_faulty() ? -1 : real(descriptor);
}
int rename(const char* from, const char* to) noexcept {
  static const auto real = next("rename", static_cast<int (*)(const char*, const char*)>(nullptr));
  return is_faulty() ? -1 : real(from, to);
}
int unlink(const char* path) noexcept {
  static const auto real = next("unlink", static_cast<int (*)(const char*)>(nullptr));
  return is_faulty() ? -1 : real(path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto real = next("unlinkat", static_cast<int (*)(int, const char*, int)>(nullptr));
  return is_faulty() ? -1 : real(folder, path, flags);
}
int rmdir(const char* path) noexcept {
  static const auto real = next("rmdir", static_cast<int (*)(const char*)>(nullptr));
  return is_faulty() ? -1 : real(path);
}
int remove(const char* path) noexcept {
  static const auto real = next("remove", static_cast<int (*)(const char*)>(nullptr));
  return is_faulty() ? -1 : real(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = next("mkdir", static_cast<int (*)(const char*, mode_t)>(nullptr));
  return is_faulty() ? -1 : real(path, mode);
}
// renameat2() is called by its number.
long syscall(long number, ...) noexcept {
  long arguments[6];
  va_list rest;
  va_start(rest, number);
  for (long& argument : arguments) argument = va_arg(rest, long);
  va_end(rest);
  static const auto real = next("syscall", static_cast<long (*)(long, ...)>(nullptr));
  if (number == SYS_renameat2 && is_faulty()) return -1;
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
              arguments[5]);
}

}  // extern "C"
