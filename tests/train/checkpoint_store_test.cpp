#include "train/checkpoints/checkpoint_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "train/system_faults.h"

namespace flanmoe::train {
namespace {

namespace fs = std::filesystem;

// Two files, one of them deeper, whose bytes tell what was saved.
FileHashes fill(const std::string& folder, const std::string& content) {
  make_folders(folder + "/model");
  write_file_atomically(folder + "/model/weights", content + " weights");
  write_file_atomically(folder + "/trainer.json", content);
  return {};
}

void save(const CheckpointStore& store, int64_t step, const std::string& content) {
  store.write(step, [&](const std::string& folder) { return fill(folder, content); });
}

std::string content_of(const CheckpointStore& store, int64_t step) {
  return get_file(store.path(step) + "/trainer.json");
}

TEST(Checksums, AreThoseOfXxhsum) {
  const TemporaryFolder folder;
  put_file(folder / "b", "a");
  put_file(folder / "a/b c", "");
  write_checksums(folder.path());
  // xxhsum -H2 of these
  EXPECT_EQ(get_file(folder / "checksums.xxh128"),
            "99aa06d3014798d86001c324468d497f  a/b c\n"
            "a96faf705af16834e6c632b61e964e1f  b\n");
  check_checksums(folder.path());
}

TEST(Checksums, TakeKnownHashesAsTheyAre) {
  const TemporaryFolder folder;
  put_file(folder / "a", "written otherwise than it was given");
  write_checksums(folder.path(), {{"a", std::string(32, '0')}});
  EXPECT_NE(error_of(ErrorCode::CorruptFile, [&] { check_checksums(folder.path()); })
                .find((folder / "a") + " is not what was written: it has 35 bytes"),
            std::string::npos);
}

TEST(Checksums, FindEveryFlippedBitAndEveryTruncationAndEveryMissingFile) {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole", damaged = folder / "damaged";
  fill(whole, "content");
  write_checksums(whole);
  const auto expect_damage = [&](const std::string& file, const std::string& how) {
    const std::string message = error_of(ErrorCode::CorruptFile, [&] { check_checksums(damaged); });
    // damage of the list itself shows in what it lists
    if (file != kChecksumsFile)
      EXPECT_NE(message.find(damaged + "/" + file), std::string::npos) << how << ": " << message;
  };
  for (const std::string file : {"model/weights", "trainer.json", kChecksumsFile}) {
    fs::copy(whole, damaged, fs::copy_options::recursive);
    check_checksums(damaged);
    const std::string path = damaged + "/" + file, bytes = get_file(path);
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      put_file(path, flipped);
      expect_damage(file, fmt::format("bit {}", bit));
    }
    for (size_t size = 0; size < bytes.size(); ++size) {
      put_file(path, bytes.substr(0, size));
      expect_damage(file, fmt::format("{} bytes", size));
    }
    put_file(path, bytes + "x");
    expect_damage(file, "one byte more");
    fs::remove(path);
    expect_damage(file, "missing");
    fs::remove_all(damaged);
  }
  put_file(whole + "/more", "");
  EXPECT_NE(
      error_of(ErrorCode::CorruptFile, [&] { check_checksums(whole); }).find("more is not listed"),
      std::string::npos);
}

TEST(CheckpointStore, ListsWhatIsWhole) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder / "checkpoints");
  EXPECT_TRUE(store.steps().empty());
  for (const int64_t step : {1200, 7, 123456789}) save(store, step, std::to_string(step));
  EXPECT_EQ(store.steps(), (std::vector<int64_t>{7, 1200, 123456789}));
  EXPECT_EQ(store.path(7), folder / "checkpoints/step-00000007");
  for (const char* name :
       {"step-7", "step-00000008.tmp-1", "step-0000000x", "notes", "step--0000001"})
    make_folders(store.folder() + "/" + name);
  put_file(store.folder() + "/step-00000009", "a file");
  EXPECT_EQ(store.steps().size(), 3u);
  for (const int64_t step : store.steps()) {
    store.check(step);
    EXPECT_EQ(content_of(store, step), std::to_string(step));
  }
  save(store, 7, "again");
  EXPECT_EQ(content_of(store, 7), "again");
  store.check(7);
}

TEST(CheckpointStore, AnExceptionLeavesNothingBehind) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder / "checkpoints");
  save(store, 1, "first");
  EXPECT_THROW(store.write(2,
                           [](const std::string& aside) -> FileHashes {
                             fill(aside, "second");
                             throw std::runtime_error("planted");
                           }),
               std::runtime_error);
  EXPECT_EQ(store.steps(), std::vector<int64_t>{1});
  EXPECT_EQ(std::distance(fs::directory_iterator(store.folder()), {}), 1);
}

TEST(CheckpointStore, KeepsWhatItIsTold) {
  const TemporaryFolder folder;
  const CheckpointStore store(folder / "checkpoints");
  for (const int64_t step : {1, 2, 3}) save(store, step, "x");
  store.keep({2, 9});
  EXPECT_EQ(store.steps(), std::vector<int64_t>{2});
  store.keep({});
  EXPECT_FALSE(is_folder(store.folder()));
}

TEST(Retention, KeepsTheLastAndEverySoMany) {
  const std::vector<int64_t> steps = {5, 10, 15, 20, 25, 30};
  EXPECT_EQ(retain(steps, 30, {1, 0}), (std::set<int64_t>{30}));
  EXPECT_EQ(retain(steps, 30, {2, 0}), (std::set<int64_t>{25, 30}));
  EXPECT_EQ(retain(steps, 30, {2, 10}), (std::set<int64_t>{10, 20, 25, 30}));
  EXPECT_EQ(retain(steps, 30, {100, 0}), (std::set<int64_t>(steps.begin(), steps.end())));
  // 25 and 30 were damaged: the run went on from 15
  EXPECT_EQ(retain(steps, 20, {2, 25}), (std::set<int64_t>{15, 20}));
  EXPECT_EQ(retain_finished(steps, {2, 0}), std::set<int64_t>{});
  EXPECT_EQ(retain_finished(steps, {2, 15}), (std::set<int64_t>{15, 30}));
}

// Checkpoints 1 and 2, of which saving 3 removes the first.
class SavingUnderFaults : public ::testing::Test {
 protected:
  static constexpr int kMaxCalls = 1000;

  SavingUnderFaults() {
    for (const int64_t step : {1, 2}) save(before_, step, "before");
  }
  void restore() {
    fs::remove_all(store_.folder());
    fs::copy(before_.folder(), store_.folder(), fs::copy_options::recursive);
  }
  void save_and_keep(int64_t step) {
    save(store_, step, "after");
    store_.keep({2, step});
  }
  // What is there is whole, the newest is the one before or the one that was being written, and the
  // next process can do the same.
  void expect_whole(int64_t step, const std::string& where) {
    store_.clean_up();
    const std::vector<int64_t> steps = store_.steps();
    EXPECT_EQ(std::distance(fs::directory_iterator(store_.folder()), {}),
              static_cast<std::ptrdiff_t>(steps.size()))
        << where;
    ASSERT_FALSE(steps.empty()) << where;
    for (const int64_t found : steps) {
      store_.check(found);
      if (found != step) EXPECT_EQ(content_of(store_, found), "before") << where;
    }
    EXPECT_TRUE(steps.back() == 2 || steps.back() == step) << where;
    EXPECT_TRUE(std::set<int64_t>(steps.begin(), steps.end()).contains(2)) << where;
    save_and_keep(step);
    EXPECT_EQ(store_.steps(), (step == 2 ? std::vector<int64_t>{2} : std::vector<int64_t>{2, 3}))
        << where;
    for (const int64_t found : store_.steps()) store_.check(found);
    EXPECT_EQ(content_of(store_, step), "after") << where;
  }

  TemporaryFolder folder_;
  const CheckpointStore before_{folder_ / "before"}, store_{folder_ / "checkpoints"};
};

TEST_F(SavingUnderFaults, AProcessKilledAtAnyCallLeavesAWholeCheckpoint) {
  for (const int64_t step : {3, 2}) {  // a new one; one in the place of another
    int call = 0, status = 0;
    for (bool is_over = false; !is_over;) {
      ASSERT_LT(++call, kMaxCalls);
      restore();
      const pid_t child = fork();
      if (child == 0) {
        const PlantedFault fault(Fault::Kill, call);
        save_and_keep(step);
        _exit(0);
      }
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status));
      is_over = WEXITSTATUS(status) == 0;
      if (!is_over) ASSERT_EQ(WEXITSTATUS(status), kKilled);
      expect_whole(step, fmt::format("step {}, killed at call {}", step, call));
    }
    EXPECT_GT(call, 30);  // open, write, sync and rename of three files, and the rest
  }
}

TEST_F(SavingUnderFaults, ACallThatFailsLeavesAWholeCheckpointAndIsReported) {
  for (const int64_t step : {3, 2}) {
    int num_reported = 0;
    for (int call = 1;; ++call) {
      ASSERT_LT(call, kMaxCalls);
      restore();
      const std::string where = fmt::format("step {}, call {} failed", step, call);
      bool is_met = false;
      try {
        const PlantedFault fault(Fault::NoSpace, call);
        save_and_keep(step);
        is_met = fault.is_met();
      } catch (const Error& error) {
        is_met = true;
        ++num_reported;
        EXPECT_EQ(error.code(), ErrorCode::Io) << where;
        EXPECT_NE(std::string(error.what()).find("No space left on device"), std::string::npos)
            << where << ": " << error.what();
      }
      expect_whole(step, where);
      if (!is_met) break;
    }
    EXPECT_GT(num_reported, 20);
  }
}

}  // namespace
}  // namespace flanmoe::train
