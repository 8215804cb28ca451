// What a run left on disk.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "support/expect_error.h"
#include "train/checkpoints/checkpoint_store.h"

namespace flanmoe::train {

inline std::vector<Json> read_metrics(const std::string& out) {
  std::vector<Json> lines;
  LineReader reader(out + "/metrics.jsonl");
  for (std::string line; reader.next(line);) lines.push_back(parse_json(line, reader.where()));
  return lines;
}

// Without what the machine says.
inline std::string metrics_text(const std::string& out) {
  std::string text;
  for (Json line : read_metrics(out)) {
    line.erase("machine");
    text += line.dump() + "\n";
  }
  return text;
}

inline std::string weights(const std::string& out) {
  return read_file(out + "/model/model.safetensors");
}

inline std::string newest_checkpoint(const std::string& out) {
  const CheckpointStore store(out + "/checkpoints");
  return store.path(store.steps().back());
}

inline Json read_trainer(const std::string& out) {
  return load_json(newest_checkpoint(out) + "/trainer.json");
}

// As if the run had saved it so.
inline void write_trainer(const std::string& out, const std::string& text) {
  const CheckpointStore store(out + "/checkpoints");
  for (const int64_t step : store.steps()) {
    write_file_atomically(store.path(step) + "/trainer.json", text);
    write_checksums(store.path(step));
  }
}

}  // namespace flanmoe::train
