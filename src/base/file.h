// Files. Outputs are written aside and renamed whole: a reader never sees half of one, and what was
// there before stays until the new one is complete.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe {

// Throws NotFound where there is no such file, Io where it cannot be read.
std::string read_file(const std::string& path);

// Writes `path`.tmp-<pid>, syncs, renames. Throws Io with the reason ("No space left on device");
// the file that was there before is then untouched and the half one removed.
void write_file_atomically(const std::string& path, std::string_view content);

// A folder that appears whole: write into path(), then commit(). Without commit() the destructor
// removes what was written and the old folder stays.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::string target);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  const std::string& path() const { return aside_; }
  // An existing target is replaced: renamed aside, the new one renamed in, the old one removed.
  void commit();

 private:
  std::string target_, aside_;
  bool is_committed_ = false;
};

// Finishes or rolls back what a killed AtomicFolder::commit() left at `target`; call before reading
// it.
void recover_folder(const std::string& target);

// Appends whole lines; a line cut short by a kill is removed on opening.
class LineAppender {
 public:
  // `keep_bytes` >= 0 truncates the file to that size first (resume).
  explicit LineAppender(const std::string& path, int64_t keep_bytes = -1);
  ~LineAppender();
  LineAppender(const LineAppender&) = delete;
  LineAppender& operator=(const LineAppender&) = delete;
  void append(std::string_view line);  // adds '\n'; flushed to the system
  int64_t size_bytes() const { return size_bytes_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_bytes_ = 0;
};

// Lines of a text file, gzip-compressed or not (told by its first bytes); "-" is standard input.
class LineReader {
 public:
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  // False at the end. Throws CorruptFile on a truncated or damaged gzip stream.
  bool next(std::string& line);
  int64_t line_number() const { return line_number_; }  // of the line last read, from 1
  std::string where() const;                            // "path:12"

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  std::string path_;
  int64_t line_number_ = 0;
};

// All of it to a descriptor; false with errno set.
bool write_all(int descriptor, std::string_view content);
// What was written of a file or folder, by anyone, is on the disk when it returns; what cannot be
// synced (a pipe, some network file systems) counts as synced, what cannot be read too. Throws Io.
void sync_file(const std::string& path);

// While it lives, no other process (and no other lock of this one) writes the folder: an exclusive
// lock on its file `.lock`, which the system releases when the process ends, however it ends. The
// file has the number of the process and is removed. Where the file system has no locks, nothing is
// locked.
class FolderLock {
 public:
  // Makes the folder. Throws InvalidArgument where it is locked, naming it and the process; Io.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  std::string path_;
  int descriptor_ = -1;
};

// Sorted paths of the regular files below `folder`.
std::vector<std::string> list_files(const std::string& folder);
bool is_file(const std::string& path);
bool is_folder(const std::string& path);
// Throws Io.
void make_folders(const std::string& path);

}  // namespace flanmoe
