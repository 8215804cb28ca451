#include "data/token_lists.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/cache.h"

namespace flanmoe::data {
namespace {

constexpr int64_t kVersion = 1;
constexpr const char* kIdsFile = "ids";
constexpr const char* kOffsetsFile = "offsets";
constexpr const char* kMetaFile = "tokens.json";
constexpr uint64_t kMaxCheckedBytes = 64 << 20;

struct Block {
  std::string ids;
  std::vector<uint64_t> sizes;  // of its lists
};

template <class Id>
void append_ids(std::string& bytes, const std::vector<int32_t>& ids) {
  const size_t before = bytes.size();
  bytes.resize(before + ids.size() * sizeof(Id));
  char* to = bytes.data() + before;
  for (const int32_t id : ids) {
    const auto narrow = static_cast<Id>(id);
    std::memcpy(to, &narrow, sizeof(Id));
    to += sizeof(Id);
  }
}

template <class Id>
std::vector<int32_t> widen(const char* from, uint64_t count) {
  std::vector<int32_t> ids(count);
  for (uint64_t i = 0; i < count; ++i) {
    Id id;
    std::memcpy(&id, from + i * sizeof(Id), sizeof(Id));
    ids[i] = static_cast<int32_t>(id);
  }
  return ids;
}

void write_bytes(std::ofstream& file, const std::string& path, const char* data, size_t size) {
  file.write(data, static_cast<std::streamsize>(size));
  if (!file) fail(ErrorCode::Io, "cannot write '{}': {}", path, std::strerror(errno));
}

// "" for a large file: its size is checked, its content is not.
std::string hash_small(const std::string& path, uint64_t size) {
  return size <= kMaxCheckedBytes ? hash_file(path) : "";
}

}  // namespace

void TokenLists::write(const std::string& folder, int64_t vocabulary_size,
                       const std::function<Job()>& next_job, int num_threads) {
  const bool is_narrow = vocabulary_size <= 1 << 16;
  const std::string ids_path = folder + "/" + kIdsFile;
  const std::string offsets_path = folder + "/" + kOffsetsFile;
  std::ofstream ids(ids_path, std::ios::binary), offsets(offsets_path, std::ios::binary);
  uint64_t num_tokens = 0, num_lists = 0;
  const auto write_offset = [&] {
    write_bytes(offsets, offsets_path, reinterpret_cast<const char*>(&num_tokens),
                sizeof(num_tokens));
  };
  write_offset();
  const auto write_block = [&](const Block& block) {
    write_bytes(ids, ids_path, block.ids.data(), block.ids.size());
    for (const uint64_t size : block.sizes) {
      num_tokens += size;
      ++num_lists;
      write_offset();
    }
  };
  const auto make_block = [&](const Job& job) {
    Block block;
    Lists lists;
    job(lists);
    for (const auto& list : lists) {
      if (is_narrow)
        append_ids<uint16_t>(block.ids, list);
      else
        append_ids<int32_t>(block.ids, list);
      block.sizes.push_back(list.size());
    }
    return block;
  };

  // Threads take jobs in order and write them in order; none runs far ahead of the one that is next
  // to be written.
  if (num_threads <= 0) num_threads = static_cast<int>(std::thread::hardware_concurrency());
  const auto num_workers = static_cast<uint64_t>(std::max(1, num_threads));
  std::mutex mutex;
  std::condition_variable has_room;
  std::map<uint64_t, Block> waiting;
  uint64_t next_taken = 0, next_written = 0;
  bool is_at_end = false;
  std::exception_ptr failure;
  const auto work = [&] {
    std::unique_lock lock(mutex);
    while (true) {
      has_room.wait(lock, [&] {
        return failure || is_at_end || next_taken < next_written + 4 * num_workers;
      });
      if (failure || is_at_end) return;
      try {
        const Job job = next_job();
        is_at_end = !job;
        if (!is_at_end) {
          const uint64_t number = next_taken++;
          lock.unlock();
          Block block;
          try {
            block = make_block(job);
          } catch (...) {
            lock.lock();
            throw;
          }
          lock.lock();
          waiting.emplace(number, std::move(block));
          for (auto it = waiting.begin(); it != waiting.end() && it->first == next_written;
               it = waiting.erase(it), ++next_written)
            write_block(it->second);
        }
      } catch (...) {
        if (!failure) failure = std::current_exception();
      }
      has_room.notify_all();
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t < num_workers; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);

  for (auto* file : {&ids, &offsets}) {
    file->close();
    if (!*file)
      fail(ErrorCode::Io, "cannot write the tokens in '{}': {}", folder, std::strerror(errno));
  }
  const uint64_t bytes_per_id = is_narrow ? 2 : 4;
  Json meta;
  meta["version"] = kVersion;
  meta["num_lists"] = num_lists;
  meta["num_tokens"] = num_tokens;
  meta["bytes_per_id"] = bytes_per_id;
  meta["ids_hash"] = hash_small(ids_path, num_tokens * bytes_per_id);
  meta["offsets_hash"] = hash_small(offsets_path, (num_lists + 1) * sizeof(uint64_t));
  write_sealed_json(folder + "/" + kMetaFile, meta);
}

std::shared_ptr<const TokenLists> TokenLists::open(const std::string& folder,
                                                   std::shared_ptr<ResidencyLimit> limit) {
  const std::string ids_path = folder + "/" + kIdsFile;
  const std::string offsets_path = folder + "/" + kOffsetsFile;
  const std::optional<Json> sealed = read_sealed_json(folder + "/" + kMetaFile);
  if (!sealed || !is_file(ids_path) || !is_file(offsets_path)) return nullptr;
  const Json& meta = *sealed;
  if (meta.at("version") != kVersion) return nullptr;
  auto result = std::make_shared<TokenLists>();
  result->num_lists_ = meta.at("num_lists");
  result->num_tokens_ = meta.at("num_tokens");
  result->bytes_per_id_ = meta.at("bytes_per_id");
  result->ids_ = std::make_unique<MappedFile>(ids_path, limit);
  result->offsets_ = std::make_unique<MappedFile>(offsets_path, limit);
  const uint64_t ids_bytes = result->num_tokens_ * result->bytes_per_id_;
  const uint64_t offsets_bytes = (result->num_lists_ + 1) * sizeof(uint64_t);
  if (result->ids_->size() != ids_bytes || result->offsets_->size() != offsets_bytes)
    return nullptr;
  if (hash_small(ids_path, ids_bytes) != meta.at("ids_hash") ||
      hash_small(offsets_path, offsets_bytes) != meta.at("offsets_hash"))
    return nullptr;
  return result;
}

uint64_t TokenLists::begin(uint64_t index) const {
  uint64_t offset = 0;
  std::memcpy(&offset, offsets_->read(index * sizeof(offset), sizeof(offset)), sizeof(offset));
  return offset;
}

std::vector<int32_t> TokenLists::list(uint64_t index) const {
  uint64_t ends[2];
  std::memcpy(ends, offsets_->read(index * sizeof(uint64_t), sizeof(ends)), sizeof(ends));
  if (ends[0] > ends[1] || ends[1] > num_tokens_)
    fail(ErrorCode::CorruptFile, "[data] tokenised text in the cache is damaged; remove the cache");
  return tokens(ends[0], ends[1] - ends[0]);
}

std::vector<int32_t> TokenLists::tokens(uint64_t begin, uint64_t count) const {
  const char* from = ids_->read(begin * bytes_per_id_, count * bytes_per_id_);
  return bytes_per_id_ == 2 ? widen<uint16_t>(from, count) : widen<int32_t>(from, count);
}

}  // namespace flanmoe::data
