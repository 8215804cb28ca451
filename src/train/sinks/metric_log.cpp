#include "train/sinks/metric_log.h"

#include <chrono>
#include <limits>

#include "base/json.h"

namespace flanmoe::train {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void add_scalars(const Json& object, const std::string& path, std::vector<Scalar>& scalars) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      add_scalars(value, path + key + "/", scalars);
    else if (value.is_number())
      scalars.push_back({path + key, value.get<double>()});
    else if (value.is_null())
      scalars.push_back({path + key, std::numeric_limits<double>::quiet_NaN()});
  }
}

void write_event(EventFile& events, const Json& line) {
  events.write(line.at("machine").at("time_s"), line.at("step").get<int64_t>(), to_scalars(line));
}

}  // namespace

std::vector<Scalar> to_scalars(const Json& line) {
  std::vector<Scalar> scalars;
  Json values = Json::object();
  for (const auto& [key, value] : line.items()) {
    if (key == "step") continue;
    if (value.is_object())
      add_scalars(value, key + "/", scalars);
    else
      values[key] = value;
  }
  add_scalars(values, "train/", scalars);
  return scalars;
}

MetricLog::MetricLog(const std::string& folder, int64_t keep_bytes, bool writes_tensorboard)
    : lines_(folder + "/metrics.jsonl", keep_bytes) {
  if (!writes_tensorboard) return;
  const std::string target = folder + "/tensorboard";
  recover_folder(target);
  AtomicFolder aside(target);
  const double now = now_s();
  events_ = std::make_unique<EventFile>(aside.path() + "/" + EventFile::make_name(now), now);
  LineReader reader(folder + "/metrics.jsonl");
  for (std::string line; reader.next(line);)
    write_event(*events_, parse_json(line, reader.where()));
  aside.commit();
}

void MetricLog::write(Json line) {
  line["machine"]["time_s"] = now_s();
  lines_.append(line.dump());
  if (events_) write_event(*events_, line);
}

}  // namespace flanmoe::train
