// Where the lines of metrics go: metrics.jsonl, which is the truth, and views of it.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/json_fwd.h"
#include "train/sinks/event_file.h"

namespace flanmoe::train {

// FOLDER/metrics.jsonl and, with `writes_tensorboard`, FOLDER/tensorboard/events.out.tfevents.*.
class MetricLog {
 public:
  // metrics.jsonl is cut back to its first `keep_bytes` (LineAppender), and the event file is made
  // anew from the lines that stay: no step is in it twice, however often a run was killed and
  // resumed. Without `writes_tensorboard` a folder tensorboard that is there is left alone.
  MetricLog(const std::string& folder, int64_t keep_bytes, bool writes_tensorboard);
  // An object with "step"; machine.time_s, the Unix time, is added. Throws Io.
  void write(Json line);
  int64_t size_bytes() const { return lines_.size_bytes(); }

 private:
  LineAppender lines_;
  std::unique_ptr<EventFile> events_;
};

// Every number of a line by a path: train/KEY for those of the line itself, and those of objects in
// it under the objects' keys (experts/LAYER/load_variation, machine/tokens_per_s, evaluation/loss).
// null, as which a number that is not finite is written, is one; lists are left out.
std::vector<Scalar> to_scalars(const Json& line);

}  // namespace flanmoe::train
