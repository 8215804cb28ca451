#include "data/sources/store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/cache.h"
#include "data/sources/bytes.h"

namespace flanmoe::data {
namespace {

constexpr int64_t kVersion = 1;
constexpr const char* kRecordsFile = "records";
constexpr const char* kIndexFile = "index";
constexpr const char* kMetaFile = "store.json";
constexpr uint64_t kMaxCheckedBytes = 64 << 20;
constexpr size_t kMaxSkippedKept = 1000;

// In front of every record.
struct RecordHeader {
  uint32_t num_bytes = 0;
  uint32_t checksum = 0;
};

uint32_t checksum_of(std::string_view bytes) {
  return static_cast<uint32_t>(hash64(bytes));
}

enum RecordFlags : uint8_t {
  kHasId = 1,       // otherwise the id is file and line
  kHasCluster = 2,  // otherwise the task's
  kHasAnswer = 4,
  kHasTraits = 8,
  kHasFields = 16,
  kHasLang = 32,  // otherwise the file's
};

// A file that is written from front to back.
class Output {
 public:
  explicit Output(std::string path)
      : path_(std::move(path)),
        descriptor_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail_io();
    buffer_.reserve(kBufferBytes);
  }
  ~Output() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  void append(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() > kBufferBytes)
      write_at(bytes, size_);
    else
      buffer_ += bytes;
    size_ += bytes.size();
  }
  void flush() {
    write_at(buffer_, size_ - buffer_.size());
    buffer_.clear();
  }
  void write_at(std::string_view bytes, uint64_t offset) {
    while (!bytes.empty()) {
      const ssize_t count =
          pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_io();
      bytes.remove_prefix(static_cast<size_t>(count));
      offset += static_cast<uint64_t>(count);
    }
  }
  size_t read_at(char* data, size_t size, uint64_t offset) {
    const ssize_t count = pread(descriptor_, data, size, static_cast<off_t>(offset));
    if (count < 0) fail_io();
    return static_cast<size_t>(count);
  }
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  static constexpr size_t kBufferBytes = 1 << 20;
  [[noreturn]] void fail_io() const {
    fail(ErrorCode::Io, "cannot write '{}': {}", path_, std::strerror(errno));
  }
  std::string path_;
  int descriptor_;
  std::string buffer_;
  uint64_t size_ = 0;
};

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::vector<uint8_t> to_binary(const Json& value) {
  return Json::to_cbor(value);
}

std::string encode(const Example& example, size_t file, int64_t line, bool has_traits,
                   const Store::Task& task, const std::string& file_lang) {
  std::string bytes;
  const bool has_id = example.id != example.where;
  const uint8_t flags = static_cast<uint8_t>(
      (has_id ? kHasId : 0) | (example.cluster != task.cluster ? kHasCluster : 0) |
      (example.answer_index >= 0 ? kHasAnswer : 0) | (has_traits ? kHasTraits : 0) |
      (example.fields.empty() ? 0 : kHasFields) | (example.lang != file_lang ? kHasLang : 0));
  append_number(bytes, file);
  append_number(bytes, static_cast<uint64_t>(line));
  bytes += static_cast<char>(flags);
  if (has_id) append_text(bytes, example.id);
  if (flags & kHasCluster) append_text(bytes, example.cluster);
  if (flags & kHasLang) append_text(bytes, example.lang);
  append_text(bytes, example.split);
  append_text(bytes, example.inputs);
  append_text(bytes, example.targets);
  append_texts(bytes, example.choices);
  if (flags & kHasAnswer) append_number(bytes, static_cast<uint64_t>(example.answer_index));
  append_texts(bytes, example.references);
  append_text(bytes, example.rationale);
  append_text(bytes, example.template_name);
  if (flags & kHasFields) {
    const auto fields = to_binary(example.fields);
    append_text(bytes, {reinterpret_cast<const char*>(fields.data()), fields.size()});
  }
  return bytes;
}

// Files stay open; a folder of many collections may need more of them than a process has at first.
int open_to_read(const std::string& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && errno == EMFILE) {
    rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(RLIMIT_NOFILE, &limit);
      descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    } else {
      errno = EMFILE;
    }
  }
  if (descriptor < 0 && errno != ENOENT && errno != ENOTDIR)
    fail(ErrorCode::Io, "cannot read '{}': {}", path, std::strerror(errno));
  return descriptor;
}

bool has_size(int descriptor, uint64_t size) {
  struct stat status = {};
  return fstat(descriptor, &status) == 0 && static_cast<uint64_t>(status.st_size) == size;
}

}  // namespace

struct StoreWriter::State {
  struct Entry {
    uint64_t offset;
    uint32_t task;
    uint32_t unused;
  };
  std::string folder;
  std::vector<std::string> files;
  std::vector<FileTraits> traits;
  std::vector<Store::Task> tasks;
  std::map<std::string, size_t, std::less<>> task_ids;
  size_t last_task = 0;
  std::vector<SkippedRow> skipped;
  int64_t num_skipped = 0;
  uint64_t num_records = 0;
  Output records, entries, index;

  State(const std::string& path, std::vector<std::string> names)
      : folder(path),
        files(std::move(names)),
        traits(files.size()),
        records(path + "/" + kRecordsFile),
        entries(path + "/entries"),
        index(path + "/" + kIndexFile) {}

  size_t find_task(const Example& example) {
    if (last_task < tasks.size() && tasks[last_task].name == example.task) return last_task;
    const auto [found, is_new] = task_ids.emplace(example.task, tasks.size());
    if (is_new) tasks.push_back({example.task, example.cluster, 0, 0});
    return last_task = found->second;
  }

  // Offsets by task, in the order of the records within one: a counting sort through small buffers.
  void write_index() {
    uint64_t first = 0;
    for (Store::Task& task : tasks) {
      task.first = first;
      first += task.size;
    }
    constexpr size_t kBatch = 1 << 16;
    const size_t num_buffered =
        std::clamp<size_t>((16 << 20) / std::max<size_t>(1, tasks.size() * 8), 1, 4096);
    std::vector<std::vector<uint64_t>> buffers(tasks.size());
    std::vector<uint64_t> written(tasks.size());
    const auto flush = [&](size_t task) {
      std::vector<uint64_t>& offsets = buffers[task];
      index.write_at({reinterpret_cast<const char*>(offsets.data()), offsets.size() * 8},
                     (tasks[task].first + written[task]) * 8);
      written[task] += offsets.size();
      offsets.clear();
    };
    entries.flush();
    std::vector<Entry> batch(kBatch);
    for (uint64_t done = 0; done < num_records;) {
      const size_t count = std::min<uint64_t>(kBatch, num_records - done);
      size_t have = 0;
      while (have < count * sizeof(Entry)) {
        const size_t got =
            entries.read_at(reinterpret_cast<char*>(batch.data()) + have,
                            count * sizeof(Entry) - have, done * sizeof(Entry) + have);
        if (got == 0) fail(ErrorCode::Io, "cannot read '{}' back", entries.path());
        have += got;
      }
      for (const Entry& entry : std::span(batch).first(count)) {
        buffers[entry.task].push_back(entry.offset);
        if (buffers[entry.task].size() >= num_buffered) flush(entry.task);
      }
      done += count;
    }
    for (size_t task = 0; task < tasks.size(); ++task) flush(task);
    unlink(entries.path().c_str());
  }
};

StoreWriter::StoreWriter(const std::string& folder, std::vector<std::string> files)
    : state_(std::make_unique<State>(folder, std::move(files))) {}

StoreWriter::~StoreWriter() = default;

void StoreWriter::set_traits(size_t file, const FileTraits& traits) {
  state_->traits.at(file) = traits;
}

void StoreWriter::add(const Example& example, size_t file, int64_t line, bool has_traits) {
  State& state = *state_;
  const size_t task = state.find_task(example);
  const std::string record =
      encode(example, file, line, has_traits, state.tasks[task], state.traits[file].lang);
  if (record.size() > UINT32_MAX)
    fail(ErrorCode::Unsupported, "{}: [data] the example has {} bytes, expected less than 4 GB",
         example.where, record.size());
  const State::Entry entry = {state.records.size(), static_cast<uint32_t>(task), 0};
  state.entries.append(bytes_of(entry));
  const RecordHeader header = {static_cast<uint32_t>(record.size()), checksum_of(record)};
  state.records.append(bytes_of(header));
  state.records.append(record);
  ++state.tasks[task].size;
  ++state.num_records;
}

void StoreWriter::skip(SkippedRow row) {
  ++state_->num_skipped;
  if (state_->skipped.size() < kMaxSkippedKept) state_->skipped.push_back(std::move(row));
}

void StoreWriter::finish() {
  State& state = *state_;
  state.records.flush();
  state.write_index();
  Json meta;
  meta["version"] = kVersion;
  meta["num_records"] = state.num_records;
  meta["num_record_bytes"] = state.records.size();
  meta["records_hash"] =
      state.records.size() <= kMaxCheckedBytes ? hash_file(state.folder + "/" + kRecordsFile) : "";
  meta["index_hash"] = hash_file(state.folder + "/" + kIndexFile);
  meta["files"] = Json::array();
  for (size_t i = 0; i < state.files.size(); ++i)
    meta["files"].push_back({{"name", state.files[i]},
                             {"fields", state.traits[i].fields},
                             {"inputs_prefix", state.traits[i].inputs_prefix},
                             {"cluster", state.traits[i].cluster},
                             {"lang", state.traits[i].lang}});
  meta["tasks"] = Json::array();
  for (const Store::Task& task : state.tasks)
    meta["tasks"].push_back({task.name, task.cluster, task.first, task.size});
  meta["num_skipped"] = state.num_skipped;
  meta["skipped"] = Json::array();
  for (const SkippedRow& row : state.skipped)
    meta["skipped"].push_back({row.file, row.line, row.reason});
  write_sealed_json(state.folder + "/" + kMetaFile, meta);
}

Store::~Store() {
  if (records_ >= 0) ::close(records_);
  if (index_ >= 0) ::close(index_);
}

std::shared_ptr<const Store> Store::open(const std::string& folder,
                                         std::vector<std::string> files) {
  std::shared_ptr<Store> store(new Store);
  store->folder_ = folder;
  store->files_ = std::move(files);
  return store->load(folder) ? store : nullptr;
}

bool Store::load(const std::string& folder) {
  const std::optional<Json> sealed = read_sealed_json(folder + "/" + kMetaFile);
  if (!sealed) return false;
  const Json& meta = *sealed;
  if (meta.at("version") != kVersion || meta.at("files").size() != files_.size()) return false;
  num_records_ = meta.at("num_records");
  num_record_bytes_ = meta.at("num_record_bytes");
  for (const Json& file : meta.at("files"))
    traits_.push_back(
        {file.at("fields"), file.at("inputs_prefix"), file.at("cluster"), file.at("lang")});
  for (const Json& task : meta.at("tasks"))
    tasks_.push_back({task.at(0), task.at(1), task.at(2), task.at(3)});
  num_skipped_ = meta.at("num_skipped");
  for (const Json& row : meta.at("skipped")) skipped_.push_back({row.at(0), row.at(1), row.at(2)});

  records_ = open_to_read(folder + "/" + kRecordsFile);
  index_ = open_to_read(folder + "/" + kIndexFile);
  if (records_ < 0 || index_ < 0 || !has_size(records_, num_record_bytes_) ||
      !has_size(index_, num_records_ * 8))
    return false;
  const std::string records_hash = meta.at("records_hash");
  return hash_file(folder + "/" + kIndexFile) == meta.at("index_hash") &&
         (records_hash.empty() || hash_file(folder + "/" + kRecordsFile) == records_hash);
}

void Store::fail_damaged(const std::string& what) const {
  unlink((folder_ + "/" + kMetaFile).c_str());
  fail(ErrorCode::CorruptFile,
       "[data] {} is damaged ({}); it was removed and is made anew by the next call", folder_,
       what);
}

void Store::read(int descriptor, uint64_t offset, char* data, size_t size) const {
  while (size > 0) {
    const ssize_t count = pread(descriptor, data, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::Io, "cannot read '{}': {}", folder_, std::strerror(errno));
    if (count == 0) fail_damaged("it ends too early");
    data += count;
    size -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
}

Example Store::get(size_t task, uint64_t index) const {
  const Task& owner = tasks_.at(task);
  FLANMOE_ASSERT(index < owner.size);
  uint64_t offset = 0;
  read(index_, (owner.first + index) * sizeof(offset), reinterpret_cast<char*>(&offset),
       sizeof(offset));
  RecordHeader header;
  // Most records are short: header and record with one call.
  constexpr uint64_t kGuess = 2048;
  if (offset + sizeof(header) > num_record_bytes_) fail_damaged("an offset is wrong");
  std::string bytes(std::min(kGuess, num_record_bytes_ - offset), '\0');
  read(records_, offset, bytes.data(), bytes.size());
  std::memcpy(&header, bytes.data(), sizeof(header));
  bytes.erase(0, sizeof(header));
  if (offset + sizeof(header) + header.num_bytes > num_record_bytes_)
    fail_damaged("the length of a record is wrong");
  const size_t have = std::min<size_t>(bytes.size(), header.num_bytes);
  bytes.resize(header.num_bytes);
  read(records_, offset + sizeof(header) + have, bytes.data() + have, bytes.size() - have);
  if (checksum_of(bytes) != header.checksum) fail_damaged("a record has changed");

  ByteReader reader(bytes);
  const size_t file = reader.number();
  const uint64_t line = reader.number();
  const FileTraits& traits = traits_.at(file);
  Example example;
  example.where = fmt::format("{}:{}", files_[file], line);
  example.task = owner.name;
  const auto flags = reader.byte();
  example.id = flags & kHasId ? reader.text() : example.where;
  example.cluster = flags & kHasCluster ? reader.text() : owner.cluster;
  example.lang = flags & kHasLang ? reader.text() : traits.lang;
  example.split = reader.text();
  if (flags & kHasTraits) example.inputs = traits.inputs_prefix;
  example.inputs += reader.text();
  example.targets = reader.text();
  example.choices = reader.texts();
  if (flags & kHasAnswer) example.answer_index = static_cast<int64_t>(reader.number());
  example.references = reader.texts();
  example.rationale = reader.text();
  example.template_name = reader.text();
  if (flags & kHasTraits) example.fields = traits.fields;
  if (flags & kHasFields) {
    Json fields = Json::from_cbor(reader.text());
    if (example.fields.empty())
      example.fields = std::move(fields);
    else
      for (auto& [key, value] : fields.items()) example.fields[key] = std::move(value);
  }
  if (reader.is_broken()) fail_damaged("a record cannot be read");
  return example;
}

}  // namespace flanmoe::data
