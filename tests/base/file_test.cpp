#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <thread>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe {
namespace {

namespace fs = std::filesystem;

// While it lives no file may grow past `size` bytes: writing fails as on a full disk, with another
// reason.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before_;
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int) = nullptr;
};

std::string gzip(const std::string& text) {
  z_stream z = {};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(result.data());
  z.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  result.resize(z.total_out);
  deflateEnd(&z);
  return result;
}

std::vector<std::string> lines_of(const std::string& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

using Lines = std::vector<std::string>;

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The pid of a process that has ended.
pid_t dead_pid() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(ReadFile, GivesEveryByte) {
  TemporaryFolder folder;
  for (const size_t size : {0u, 1u, 65535u, 65536u, 1000000u}) {
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 7);
    put_file(folder / "a", content);
    EXPECT_EQ(read_file(folder / "a"), content) << size;
  }
}

TEST(ReadFile, ReadsFilesThatDoNotKnowTheirSize) {
  EXPECT_CONTAINS(read_file("/proc/self/status"), "VmRSS");
}

TEST(ReadFile, NamesWhatIsMissingAndTheNearest) {
  TemporaryFolder folder;
  put_file(folder / "data/train.jsonl", "");
  EXPECT_EQ(error_of(ErrorCode::NotFound, [&] { read_file(folder / "data/trian.jsonl"); }),
            "no such file: '" + folder / "data/trian.jsonl" + "' (did you mean 'train.jsonl'?)");
  EXPECT_EQ(error_of(ErrorCode::NotFound, [&] { read_file(folder / "dato/x/train.jsonl"); }),
            "no such file: '" + folder / "dato/x/train.jsonl" + "' (there is no '" +
                folder / "dato" + "') (did you mean 'data'?)");
  EXPECT_EQ(error_of(ErrorCode::NotFound, [&] { read_file(folder / "qqqqqqq"); }),
            "no such file: '" + folder / "qqqqqqq" + "'");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { read_file(folder / "data/train.jsonl/x"); }),
                  "no such file");
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [] { read_file(""); }), "no such file");
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { read_file(folder.path()); }), "Is a directory");
}

TEST(WriteFileAtomically, WritesReplacesAndLeavesNothingElse) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "one");
  EXPECT_EQ(get_file(folder / "a"), "one");
  write_file_atomically(folder / "a", std::string("t\0wo", 4));
  EXPECT_EQ(get_file(folder / "a"), std::string("t\0wo", 4));
  EXPECT_EQ(names_in(folder.path()), Lines{"a"});
}

TEST(WriteFileAtomically, WritesIntoTheCurrentFolder) {
  TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("plain", "x");
  fs::current_path(before);
  EXPECT_EQ(get_file(folder / "plain"), "x");
}

TEST(WriteFileAtomically, KeepsTheOldFileWhenWritingFails) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  std::string message;
  {
    FileSizeLimit limit(1000);
    message = error_of(ErrorCode::Io,
                       [&] { write_file_atomically(folder / "a", std::string(5000, 'n')); });
  }
  EXPECT_EQ(message, "cannot write '" + folder / "a" + "': File too large");
  EXPECT_EQ(get_file(folder / "a"), "old");
  EXPECT_EQ(names_in(folder.path()), Lines{"a"}) << "the half file must go";
}

TEST(WriteFileAtomically, SaysWhenTheDeviceIsFull) {
  EXPECT_EQ(error_of(ErrorCode::Io, [] { write_file_atomically("/dev/full", "x"); }),
            "cannot write '/dev/full': No space left on device");
  EXPECT_FALSE(fs::is_regular_file("/dev/full"));
}

TEST(WriteFileAtomically, KeepsALinkAndWritesWhereItPoints) {
  TemporaryFolder folder;
  put_file(folder / "real/a", "old");
  fs::create_symlink(folder / "real/a", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(get_file(folder / "real/a"), "new");
}

TEST(WriteFileAtomically, RefusesAFolderAndAMissingParent) {
  TemporaryFolder folder;
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { write_file_atomically(folder.path(), "x"); }),
                  "Is a directory");
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { write_file_atomically(folder / "no/a", "x"); }),
                  "No such file");
}

TEST(AtomicFolder, AppearsOnlyWhenCommitted) {
  TemporaryFolder folder;
  AtomicFolder model(folder / "sub/model");
  put_file(model.path() + "/deep/config.json", "{}");
  EXPECT_FALSE(fs::exists(folder / "sub/model"));
  model.commit();
  EXPECT_EQ(get_file(folder / "sub/model/deep/config.json"), "{}");
  EXPECT_EQ(names_in(folder / "sub"), Lines{"model"});
}

TEST(AtomicFolder, ReplacesTheOldOneWhole) {
  TemporaryFolder folder;
  put_file(folder / "model/old_only", "old");
  put_file(folder / "model/both", "old");
  {
    AtomicFolder model(folder / "model/");
    put_file(model.path() + "/both", "new");
    EXPECT_EQ(get_file(folder / "model/both"), "old");
    model.commit();
  }
  EXPECT_EQ(names_in(folder / "model"), Lines{"both"});
  EXPECT_EQ(get_file(folder / "model/both"), "new");
  EXPECT_EQ(names_in(folder.path()), Lines{"model"});
}

TEST(AtomicFolder, RollsBackWithoutACommit) {
  TemporaryFolder folder;
  put_file(folder / "model/a", "old");
  try {
    AtomicFolder model(folder / "model");
    put_file(model.path() + "/a", "new");
    fail(ErrorCode::Io, "No space left on device");
  } catch (const Error&) {
  }
  EXPECT_EQ(get_file(folder / "model/a"), "old");
  EXPECT_EQ(names_in(folder.path()), Lines{"model"});
}

TEST(AtomicFolder, StartsEmptyWhereAKilledProcessOfTheSameIdLeftSomething) {
  TemporaryFolder folder;
  put_file(folder / "model.tmp-" + std::to_string(getpid()) + "/stale", "x");
  AtomicFolder model(folder / "model");
  EXPECT_EQ(names_in(model.path()), Lines{});
}

TEST(AtomicFolder, KeepsALinkToAnotherPlace) {
  TemporaryFolder folder;
  put_file(folder / "scratch/model/a", "old");
  fs::create_directory_symlink(folder / "scratch/model", folder / "model");
  AtomicFolder model(folder / "model");
  put_file(model.path() + "/a", "new");
  model.commit();
  EXPECT_TRUE(fs::is_symlink(folder / "model"));
  EXPECT_EQ(get_file(folder / "scratch/model/a"), "new");
}

TEST(AtomicFolder, RefusesAFileInTheWay) {
  TemporaryFolder folder;
  put_file(folder / "model", "x");
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { AtomicFolder model(folder / "model"); }),
                  "in the way");
  EXPECT_EQ(get_file(folder / "model"), "x");
}

TEST(RecoverFolder, BringsTheOldOneBackWhereTheTargetIsMissing) {
  TemporaryFolder folder;
  const std::string pid = std::to_string(dead_pid());
  put_file(folder / "model.old-" + pid + "/a", "old");
  put_file(folder / "model.tmp-" + pid + "/a", "half");
  recover_folder(folder / "model/");
  EXPECT_EQ(get_file(folder / "model/a"), "old");
  EXPECT_EQ(names_in(folder.path()), Lines{"model"});
}

TEST(RecoverFolder, RemovesLeftoversAndKeepsTheTarget) {
  TemporaryFolder folder;
  const std::string pid = std::to_string(dead_pid());
  put_file(folder / "model/a", "new");
  put_file(folder / "model.old-" + pid + "/a", "old");
  put_file(folder / "model.tmp-" + pid + "/a", "half");
  recover_folder(folder / "model");
  EXPECT_EQ(get_file(folder / "model/a"), "new");
  EXPECT_EQ(names_in(folder.path()), Lines{"model"});
}

TEST(RecoverFolder, LeavesOtherNamesAndLivingWritersAlone) {
  TemporaryFolder folder;
  const std::string parent = std::to_string(getppid());
  put_file(folder / "model.tmp-" + parent + "/a", "being written");
  put_file(folder / "model.tmp-x/a", "");
  put_file(folder / "model.tmp-/a", "");
  put_file(folder / "model2.tmp-1234567/a", "");
  put_file(folder / "mode.old-1234567/a", "");
  recover_folder(folder / "model");
  EXPECT_EQ(names_in(folder.path()).size(), 5u);
  recover_folder(folder / "no_such/model");
}

TEST(RecoverFolder, TakesTheNewestOfSeveral) {
  TemporaryFolder folder;
  put_file(folder / "model.old-1/a", "older");
  put_file(folder / "model.old-2/a", "newer");
  fs::last_write_time(folder / "model.old-1",
                      fs::last_write_time(folder / "model.old-2") - std::chrono::hours(1));
  recover_folder(folder / "model");
  EXPECT_EQ(get_file(folder / "model/a"), "newer");
  EXPECT_EQ(names_in(folder.path()), Lines{"model"});
}

TEST(LineAppender, AppendsWholeLinesAndCountsBytes) {
  TemporaryFolder folder;
  {
    LineAppender lines(folder / "m.jsonl");
    lines.append("one");
    lines.append("");
    EXPECT_EQ(lines.size_bytes(), 5);
  }
  LineAppender lines(folder / "m.jsonl");
  lines.append("three");
  EXPECT_EQ(get_file(folder / "m.jsonl"), "one\n\nthree\n");
  EXPECT_EQ(lines.size_bytes(), 11);
  EXPECT_CONTAINS(error_of(ErrorCode::Internal, [&] { lines.append("a\nb"); }), "assertion");
}

TEST(LineAppender, RemovesALineCutShort) {
  TemporaryFolder folder;
  const std::string whole(70000, 'w');
  for (const auto& [content, kept] : std::vector<std::pair<std::string, std::string>>{
           {"one\ntw", "one\n"},
           {"half", ""},
           {"", ""},
           {"one\n", "one\n"},
           {"\n", "\n"},
           {whole + "\n" + std::string(200000, 'h'), whole + "\n"},
           {std::string(131072, 'h'), ""},
           {std::string(65535, 'h') + "\n" + std::string(65536, 'h'),
            std::string(65535, 'h') + "\n"}}) {
    put_file(folder / "m", content);
    LineAppender lines(folder / "m");
    EXPECT_EQ(get_file(folder / "m"), kept) << content.size();
    lines.append("next");
    EXPECT_EQ(get_file(folder / "m"), kept + "next\n");
  }
}

TEST(LineAppender, GoesBackToWhereACheckpointWasTaken) {
  TemporaryFolder folder;
  put_file(folder / "m", "one\ntwo\nthree\n");
  { EXPECT_EQ(LineAppender(folder / "m", 8).size_bytes(), 8); }
  EXPECT_EQ(get_file(folder / "m"), "one\ntwo\n");
  { EXPECT_EQ(LineAppender(folder / "m", 6).size_bytes(), 4); }
  EXPECT_EQ(get_file(folder / "m"), "one\n");
  { EXPECT_EQ(LineAppender(folder / "m", 0).size_bytes(), 0); }
  EXPECT_EQ(get_file(folder / "m"), "");
  EXPECT_CONTAINS(error_of(ErrorCode::CorruptFile, [&] { LineAppender(folder / "m", 1); }),
                  "0 bytes where 1 were written");
}

TEST(LineAppender, TakesAHalfLineBackWhenTheDiskIsFull) {
  TemporaryFolder folder;
  LineAppender lines(folder / "m");
  lines.append("one");
  {
    FileSizeLimit limit(10);
    EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { lines.append("a long line"); }),
                    "File too large");
  }
  EXPECT_EQ(get_file(folder / "m"), "one\n");
  lines.append("two");
  EXPECT_EQ(get_file(folder / "m"), "one\ntwo\n");
  LineAppender full("/dev/full");
  EXPECT_EQ(error_of(ErrorCode::Io, [&] { full.append("x"); }),
            "cannot write '/dev/full': No space left on device");
}

TEST(LineReader, SplitsLinesHoweverTheyEnd) {
  TemporaryFolder folder;
  for (const auto& [content, lines] : std::vector<std::pair<std::string, Lines>>{
           {"", {}},
           {"\n", {""}},
           {"a", {"a"}},
           {"a\n", {"a"}},
           {"a\r\nb\r\n\r\nc\r", {"a", "b", "", "c"}},
           {"a\rb\n", {"a\rb"}},
           {"\n\na", {"", "", "a"}},
           {"\xEF\xBB\xBF{}\n\xEF\xBB\xBF", {"{}", "\xEF\xBB\xBF"}},
           {std::string("a\0b\n", 4), {std::string("a\0b", 3)}}}) {
    put_file(folder / "plain", content);
    EXPECT_EQ(lines_of(folder / "plain"), lines) << content;
    put_file(folder / "packed", gzip(content));
    EXPECT_EQ(lines_of(folder / "packed"), lines) << content;
  }
}

std::string make_long_text() {
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i * 7919 % 10007) + std::string(i % 50, 'x') + "\n";
  return text + std::string(1000000, 'l') + "\nlast";
}

TEST(LineReader, ReadsLinesLongerThanItsBuffers) {
  TemporaryFolder folder;
  const std::string text = make_long_text();
  put_file(folder / "plain", text);
  put_file(folder / "packed.gz", gzip(text));
  const Lines lines = lines_of(folder / "plain");
  ASSERT_EQ(lines.size(), 20002u);
  EXPECT_EQ(lines[20000], std::string(1000000, 'l'));
  EXPECT_EQ(lines.back(), "last");
  EXPECT_EQ(lines_of(folder / "packed.gz"), lines);
}

TEST(LineReader, CountsLines) {
  TemporaryFolder folder;
  put_file(folder / "a", "x\ny\n");
  LineReader reader(folder / "a");
  std::string line;
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(reader.where(), folder / "a:1");
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(reader.line_number(), 2);
  EXPECT_FALSE(reader.next(line));
  EXPECT_FALSE(reader.next(line));
  EXPECT_EQ(reader.line_number(), 2);
}

TEST(LineReader, ReadsSeveralGzipMembersAndPadding) {
  TemporaryFolder folder;
  put_file(folder / "a", gzip("one\ntw") + gzip("") + gzip("o\nthree") + std::string(1000, '\0'));
  EXPECT_EQ(lines_of(folder / "a"), (Lines{"one", "two", "three"}));
}

TEST(LineReader, ObjectsToAGzipFileCutAnywhere) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 300; ++i) text += std::to_string(i * i) + "\n";
  const std::string packed = gzip(text);
  for (size_t size = 2; size < packed.size(); ++size) {
    put_file(folder / "cut", packed.substr(0, size));
    EXPECT_CONTAINS(error_of(ErrorCode::CorruptFile, [&] { lines_of(folder / "cut"); }),
                    "ends too early")
        << size;
  }
  put_file(folder / "cut", packed);
  EXPECT_EQ(lines_of(folder / "cut").size(), 300u);
}

TEST(LineReader, NamesTheLineWhereAGzipFileIsCut) {
  TemporaryFolder folder;
  const std::string text = make_long_text();
  const std::string packed = gzip(text);
  put_file(folder / "cut", packed.substr(0, packed.size() / 2));
  LineReader reader(folder / "cut");
  std::string line;
  const std::string message = error_of(ErrorCode::CorruptFile, [&] {
    while (reader.next(line)) {
    }
  });
  EXPECT_GT(reader.line_number(), 1000);
  EXPECT_CONTAINS(message, folder / "cut:" + std::to_string(reader.line_number() + 1) + ": ");
}

TEST(LineReader, ObjectsToDamagedBytesAnywhereInAGzipFile) {
  TemporaryFolder folder;
  const std::string packed = gzip("some text\nmore text\n");
  for (size_t at = 10; at < packed.size(); ++at) {  // bytes 4 to 9 of the header are free
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    put_file(folder / "damaged", damaged);
    EXPECT_CONTAINS(error_of(ErrorCode::CorruptFile, [&] { lines_of(folder / "damaged"); }),
                    folder / "damaged:")
        << at;
  }
  for (const std::string& tail : {std::string("garbage"), std::string("\0\0x", 3), packed.substr(1),
                                  std::string(1, '\0') + packed}) {
    put_file(folder / "damaged", packed + tail);
    EXPECT_CONTAINS(error_of(ErrorCode::CorruptFile, [&] { lines_of(folder / "damaged"); }),
                    "not gzip");
  }
}

TEST(LineReader, ReadsAPipeAsStandardInput) {
  const std::string text = "one\ntwo\n", packed = gzip(text);
  for (const std::string& content : {text, packed}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const int stdin_before = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    const pid_t writer = fork();
    if (writer == 0) {
      for (size_t i = 0; i < content.size(); ++i) {
        if (write(ends[1], &content[i], 1) != 1) _exit(1);
        if (i < 5) usleep(2000);  // the reader gets the first bytes one at a time
      }
      _exit(0);
    }
    close(ends[1]);
    LineReader reader("-");
    std::string line;
    EXPECT_TRUE(reader.next(line));
    EXPECT_EQ(line, "one");
    EXPECT_TRUE(reader.next(line));
    EXPECT_EQ(reader.where(), "stdin:2");
    EXPECT_FALSE(reader.next(line));
    waitpid(writer, nullptr, 0);
    dup2(stdin_before, STDIN_FILENO);
    close(stdin_before);
  }
}

TEST(LineReader, RefusesAMissingFileAndAFolder) {
  TemporaryFolder folder;
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { LineReader(folder / "x"); }), "no such file");
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { LineReader(folder.path()); }), "Is a directory");
}

TEST(ListFiles, ListsRegularFilesBelowSortedByPath) {
  TemporaryFolder folder;
  put_file(folder / "b", "");
  put_file(folder / "a/z", "");
  put_file(folder / "a/y/x", "");
  fs::create_directories(folder / "empty");
  fs::create_symlink(folder / "b", folder / "link");
  EXPECT_EQ(list_files(folder.path()),
            (Lines{folder / "a/y/x", folder / "a/z", folder / "b", folder / "link"}));
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { list_files(folder / "none"); }),
                  "no such folder");
}

TEST(MakeFolders, MakesParentsAndSaysWhyItCannot) {
  TemporaryFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/c/");
  EXPECT_TRUE(is_folder(folder / "a/b/c"));
  EXPECT_FALSE(is_file(folder / "a/b/c"));
  put_file(folder / "file", "");
  EXPECT_TRUE(is_file(folder / "file"));
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { make_folders(folder / "file/x"); }),
                  "Not a directory");
  EXPECT_CONTAINS(error_of(ErrorCode::Io, [&] { make_folders(folder / "file"); }),
                  "Not a directory");
}

TEST(FolderLock, KeepsOthersOutWhileItLives) {
  TemporaryFolder folder;
  const std::string path = folder / "a/b";
  {
    const FolderLock lock(path);
    const std::string message =
        error_of(ErrorCode::InvalidArgument, [&] { const FolderLock second(path); });
    EXPECT_CONTAINS(message, "'" + path + "'");
    EXPECT_CONTAINS(message, "process " + std::to_string(getpid()) + " is writing");
    const FolderLock beside(folder / "a");
  }
  EXPECT_TRUE(fs::is_empty(path));
  const FolderLock again(path + "/");
}

// Killed at once: the file stays, the lock does not.
TEST(FolderLock, GoesWithAProcessThatIsKilled) {
  TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_CONTAINS(
      error_of(ErrorCode::InvalidArgument, [&] { const FolderLock lock(folder.path()); }),
      "process " + std::to_string(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_TRUE(is_file(folder / ".lock"));
  const FolderLock lock(folder.path());
  EXPECT_EQ(read_file(folder / ".lock"), std::to_string(getpid()));
}

// One that has opened the file before it was removed must not believe that it holds the lock.
TEST(FolderLock, OneAtATimeHoldsItWhereManyTry) {
  TemporaryFolder folder;
  std::atomic<int> num_holders{0}, num_taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      while (num_taken < 200) {
        try {
          const FolderLock lock(folder.path());
          EXPECT_EQ(++num_holders, 1);
          ++num_taken;
          --num_holders;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace flanmoe
