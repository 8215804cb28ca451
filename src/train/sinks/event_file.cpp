#include "train/sinks/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace flanmoe::train {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}

template <class T>
std::string as_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// A message of protobuf's wire format.
class Message {
 public:
  Message& add_double(int field, double value) { return add(field, 1, as_bytes(value)); }
  Message& add_float(int field, float value) { return add(field, 5, as_bytes(value)); }
  Message& add_integer(int field, int64_t value) {
    return add(field, 0, varint(static_cast<uint64_t>(value)));
  }
  Message& add_bytes(int field, std::string_view value) {
    return add(field, 2, varint(value.size()) + std::string(value));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  static std::string varint(uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
    return bytes + static_cast<char>(value);
  }
  Message& add(int field, int wire_type, const std::string& value) {
    bytes_ += varint(static_cast<uint64_t>(field << 3 | wire_type)) + value;
    return *this;
  }
  std::string bytes_;
};

Message make_event(double wall_time_s, int64_t step) {
  return Message().add_double(1, wall_time_s).add_integer(2, step);
}

[[noreturn]] void fail_io(const std::string& path, int reason) {
  fail(ErrorCode::Io, "cannot write '{}': {}", path, std::strerror(reason));
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_crc_table();
  uint32_t crc = ~0u;
  for (const char byte : bytes)
    crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 255] ^ (crc >> 8);
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

EventFile::EventFile(const std::string& path, double wall_time_s) : path_(path) {
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_io(path_, errno);
  try {
    append(Message().add_double(1, wall_time_s).add_bytes(3, "brain.Event:2").bytes());
    constexpr int64_t kStart = 1;
    append(
        make_event(wall_time_s, 0).add_bytes(7, Message().add_integer(1, kStart).bytes()).bytes());
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

EventFile::~EventFile() {
  close(descriptor_);
}

void EventFile::write(double wall_time_s, int64_t step, const std::vector<Scalar>& scalars) {
  Message summary;
  for (const Scalar& scalar : scalars)
    summary.add_bytes(
        1,
        Message().add_bytes(1, scalar.tag).add_float(2, static_cast<float>(scalar.value)).bytes());
  append(make_event(wall_time_s, step).add_bytes(5, summary.bytes()).bytes());
}

void EventFile::append(std::string_view event) {
  const std::string length = as_bytes(static_cast<uint64_t>(event.size()));
  const std::string record = length + as_bytes(masked_crc32c(length)) + std::string(event) +
                             as_bytes(masked_crc32c(event));
  if (!write_all(descriptor_, record)) fail_io(path_, errno);
}

std::string EventFile::make_name(double wall_time_s) {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "localhost");
  return fmt::format("events.out.tfevents.{:.6f}.{}", wall_time_s, host.data());
}

}  // namespace flanmoe::train
