#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "support/temporary_folder.h"
#include "train/sinks/event_file.h"
#include "train/sinks/metric_log.h"
#include "train/tiny.h"

namespace flanmoe::train {
namespace {

// Bit by bit, from the definition: reflected polynomial 0x82f63b78.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool is_odd = (crc ^ (static_cast<unsigned char>(byte) >> bit)) & 1;
      crc = (crc >> 1) ^ (is_odd ? 0x82f63b78u : 0u);
    }
  return ~crc;
}

// What protobuf's wire format says: field -> values, nested ones as bytes.
struct Wire {
  std::multimap<int, std::string> bytes;
  std::map<int, double> doubles;
  std::map<int, float> floats;
  std::map<int, uint64_t> integers;
};
Wire parse_wire(std::string_view text) {
  Wire wire;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(text.at(at++));
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < text.size()) {
    const uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0:
        wire.integers[field] = varint();
        break;
      case 1:
        std::memcpy(&wire.doubles[field], text.substr(at, 8).data(), 8);
        at += 8;
        break;
      case 2: {
        const uint64_t size = varint();
        wire.bytes.emplace(field, text.substr(at, size));
        at += size;
        break;
      }
      case 5:
        std::memcpy(&wire.floats[field], text.substr(at, 4).data(), 4);
        at += 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return wire;
    }
  }
  return wire;
}

struct Event {
  double wall_time_s = 0;
  int64_t step = 0;
  std::string version;
  bool is_start = false;
  std::map<std::string, float> scalars;
};

// Whole records with checksums that hold; what is cut short at the end is left out.
std::vector<Event> read_events(const std::string& path) {
  const std::string file = read_file(path);
  std::vector<Event> events;
  size_t at = 0;
  while (at + 12 <= file.size()) {
    uint64_t size = 0;
    uint32_t crc = 0;
    std::memcpy(&size, &file[at], 8);
    std::memcpy(&crc, &file[at + 8], 4);
    EXPECT_EQ(crc, masked_crc32c({&file[at], 8}));
    if (at + 16 + size > file.size()) break;
    const std::string_view data(&file[at + 12], size);
    std::memcpy(&crc, &file[at + 12 + size], 4);
    EXPECT_EQ(crc, masked_crc32c(data));
    at += 16 + size;
    Wire wire = parse_wire(data);
    Event event{.wall_time_s = wire.doubles[1],
                .step = static_cast<int64_t>(wire.integers[2]),
                .version = {},
                .is_start = false,
                .scalars = {}};
    if (wire.bytes.count(3)) event.version = wire.bytes.find(3)->second;
    if (wire.bytes.count(7))
      event.is_start = parse_wire(wire.bytes.find(7)->second).integers[1] == 1;
    if (wire.bytes.count(5)) {
      const Wire summary = parse_wire(wire.bytes.find(5)->second);
      for (const auto& [field, bytes] : summary.bytes) {
        Wire value = parse_wire(bytes);
        EXPECT_EQ(field, 1);
        event.scalars[value.bytes.find(1)->second] = value.floats.at(2);
      }
    }
    events.push_back(event);
  }
  return events;
}

std::vector<Event> read_folder(const std::string& out) {
  const std::vector<std::string> files = list_files(out + "/tensorboard");
  EXPECT_EQ(files.size(), 1u);
  return read_events(files.at(0));
}

std::vector<int64_t> steps_of(const std::vector<Event>& events) {
  std::vector<int64_t> steps;
  for (const Event& event : events)
    if (!event.scalars.empty()) steps.push_back(event.step);
  return steps;
}

Json make_line(int64_t step) {
  return {{"step", step}, {"loss", 1.0 / static_cast<double>(step)}};
}

TEST(Crc32c, KnowsItsTestVectors) {
  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(crc32c(bytes), slow_crc32c(bytes));
    bytes += static_cast<char>(i * 37);
  }
}

TEST(EventFile, HoldsWhatWasWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "events";
  {
    EventFile file(path, 100.5);
    file.write(101.25, 7, {{"train/loss", 2.5}, {"train/gradient_norm", -3e10}});
    file.write(102, int64_t{1} << 40, {{std::string(300, 'x'), std::nan("")}});
  }
  const std::vector<Event> events = read_events(path);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[0].wall_time_s, 100.5);
  EXPECT_TRUE(events[1].is_start);
  EXPECT_EQ(events[2].wall_time_s, 101.25);
  EXPECT_EQ(events[2].step, 7);
  EXPECT_EQ(events[2].scalars.at("train/loss"), 2.5f);
  EXPECT_EQ(events[2].scalars.at("train/gradient_norm"), -3e10f);
  EXPECT_EQ(events[3].step, int64_t{1} << 40);
  EXPECT_TRUE(std::isnan(events[3].scalars.at(std::string(300, 'x'))));
}

TEST(EventFile, DoesNotOverwriteAndNamesWhatItCannotWrite) {
  const TemporaryFolder folder;
  const std::string path = folder / "events";
  EventFile file(path, 1);
  EXPECT_THROW(EventFile(path, 1), Error);
  try {
    EventFile full("/dev/full", 1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/dev/full"), std::string::npos) << error.what();
  }
}

TEST(ToScalars, NamesNumbersByTheirPath) {
  Json line{{"step", 3},
            {"loss", 1.5},
            {"z_loss", nullptr},
            {"ended_by", "steps"},
            {"experts", {{"encoder.block.1", {{"load", {1, 2}}, {"entropy", 0.5}}}}},
            {"machine", {{"tokens_per_s", 10}}}};
  std::map<std::string, double> values;
  for (const Scalar& scalar : to_scalars(line)) values[scalar.tag] = scalar.value;
  EXPECT_EQ(values.size(), 4u);
  EXPECT_EQ(values.at("train/loss"), 1.5);
  EXPECT_TRUE(std::isnan(values.at("train/z_loss")));
  EXPECT_EQ(values.at("experts/encoder.block.1/entropy"), 0.5);
  EXPECT_EQ(values.at("machine/tokens_per_s"), 10);
}

TEST(MetricLog, ShowsNoStepTwiceAfterAResume) {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  make_folders(out);
  int64_t bytes = 0;
  double time_s = 0;
  {
    MetricLog log(out, 0, true);
    log.write(make_line(1));
    log.write(make_line(2));
    bytes = log.size_bytes();
    for (int64_t step : {3, 4, 5}) log.write(make_line(step));
    time_s = read_folder(out)[2].wall_time_s;
    EXPECT_GT(time_s, 1.6e9);
  }
  // cut short in the middle of a record
  const std::string path = list_files(out + "/tensorboard").at(0);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 9);
  EXPECT_EQ(steps_of(read_folder(out)), (std::vector<int64_t>{1, 2, 3, 4}));

  MetricLog log(out, bytes, true);
  EXPECT_EQ(steps_of(read_folder(out)), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(read_folder(out)[2].wall_time_s, time_s);
  log.write(make_line(3));
  const std::vector<Event> events = read_folder(out);
  EXPECT_EQ(steps_of(events), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE(events[1].is_start);
}

TEST(MetricLog, WritesEventsOnlyWhereAskedAndLaterFromTheBeginning) {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  make_folders(out);
  int64_t bytes = 0;
  {
    MetricLog log(out, 0, false);
    log.write(make_line(1));
    bytes = log.size_bytes();
  }
  EXPECT_FALSE(is_folder(out + "/tensorboard"));
  MetricLog log(out, bytes, true);
  log.write(make_line(2));
  EXPECT_EQ(steps_of(read_folder(out)), (std::vector<int64_t>{1, 2}));
}

TEST(MetricLog, EventsOfATrainingAreTheNumbersOfItsLines) {
  disable_progress();
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  model::LoadedModel loaded = make_tiny_model();
  const Result result = train(loaded, tiny_config(), tiny_job(out));
  EXPECT_GT(result.peak_memory_bytes, 1 << 20);
  const std::vector<Event> events = read_folder(out);
  EXPECT_EQ(steps_of(events), (std::vector<int64_t>{5, 10, 12}));
  LineReader reader(out + "/metrics.jsonl");
  std::string text;
  for (size_t i = 2; reader.next(text); ++i) {
    const Json line = parse_json(text, reader.where());
    EXPECT_EQ(events.at(i).scalars.at("train/loss"), line.at("loss").get<float>());
    EXPECT_EQ(events.at(i).scalars.at("machine/peak_memory_bytes"),
              line.at("machine").at("peak_memory_bytes").get<float>());
    EXPECT_FALSE(line.at("machine").contains("matmul_flops_per_s"));  // a toy is not measured
    size_t num_of_experts = 0;
    for (const auto& [tag, value] : events[i].scalars)
      num_of_experts += tag.starts_with("experts/") && tag.ends_with("/load_variation");
    EXPECT_EQ(num_of_experts, 2u);
  }
}

}  // namespace
}  // namespace flanmoe::train
