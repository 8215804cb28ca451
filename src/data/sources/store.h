// The examples of a source on disk: records, an index of them by task, and store.json, which says
// what is in them. Nothing of a size that grows with the examples is held in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/example.h"
#include "data/sources/format.h"

namespace flanmoe::data {

// What could not be read.
struct SkippedRow {
  size_t file = 0;
  int64_t line = 0;
  std::string reason;
};

class StoreWriter {
 public:
  // Writes into an empty folder. `files`: their names, as `file` below counts them.
  StoreWriter(const std::string& folder, std::vector<std::string> files);
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // What the examples of a file have in common and do not bring themselves.
  void set_traits(size_t file, const FileTraits& traits);
  // `example.where` is not kept: it is the file's name and the line. `has_traits`: the fields and
  // the prefix of the file's traits come on top.
  void add(const Example& example, size_t file, int64_t line, bool has_traits);
  void skip(SkippedRow row);
  // Completes the store.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Store {
 public:
  // Null where the folder has no whole store of this version: files are missing, of another size,
  // or (up to 64 MB of records; the index in any case) of another content. `files` are the present
  // paths of the files, in the order in which they were written.
  static std::shared_ptr<const Store> open(const std::string& folder,
                                           std::vector<std::string> files);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  struct Task {
    std::string name, cluster;  // the cluster of its first example
    uint64_t first = 0, size = 0;
  };
  const std::vector<Task>& tasks() const { return tasks_; }
  uint64_t size() const { return num_records_; }
  // Safe to call from several threads. Throws CorruptFile where the record is not what was written:
  // the store is then removed, so that the next call makes it anew.
  Example get(size_t task, uint64_t index) const;

  int64_t num_skipped() const { return num_skipped_; }
  const std::vector<SkippedRow>& skipped() const { return skipped_; }  // the first 1000
  const std::vector<std::string>& files() const { return files_; }

 private:
  Store() = default;
  bool load(const std::string& folder);
  void read(int descriptor, uint64_t offset, char* data, size_t size) const;
  [[noreturn]] void fail_damaged(const std::string& what) const;

  std::string folder_;
  std::vector<std::string> files_;
  std::vector<FileTraits> traits_;
  std::vector<Task> tasks_;
  std::vector<SkippedRow> skipped_;
  int64_t num_skipped_ = 0;
  uint64_t num_records_ = 0, num_record_bytes_ = 0;
  int records_ = -1, index_ = -1;
};

}  // namespace flanmoe::data
