// TensorBoard's event files, for scalars alone.
//
// A file is a row of records: length (8 bytes), masked CRC32C of the length (4), the bytes, masked
// CRC32C of the bytes (4), all little-endian (tensorflow/core/lib/io/record_writer.cc). The bytes
// are an Event (tensorflow/core/util/event.proto), of which wall_time, step, file_version, summary
// (tag, simple_value) and session_log (status START) are used. The four messages are encoded here:
// libtorch and SentencePiece bring a protobuf each, of different versions and with exported
// symbols, and a third one in the same process would meet them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flanmoe::train {

// CRC-32C (Castagnoli), as in iSCSI; and as TensorFlow stores it: rotated by 15 bits, plus
// 0xa282ead8.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

struct Scalar {
  std::string tag;
  double value = 0;  // stored as a float
};

// Appends to a new file, whole records in one write each: what a killed process leaves can be read
// to its last record but for one that was being written, which readers leave out.
class EventFile {
 public:
  // `path` must not exist. Begins with the version and the start of a session, at which TensorBoard
  // forgets what it has read of older files. Throws Io.
  EventFile(const std::string& path, double wall_time_s);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  // `wall_time_s` is Unix time.
  void write(double wall_time_s, int64_t step, const std::vector<Scalar>& scalars);

  // The name that TensorBoard looks for: events.out.tfevents.<seconds>.<host>.
  static std::string make_name(double wall_time_s);

 private:
  void append(std::string_view event);
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace flanmoe::train
