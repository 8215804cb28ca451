// Lists of token ids on disk, mapped into memory: what token caches of examples and of documents
// are made of. Ids take two bytes where the vocabulary allows it, four otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/mapped_file.h"

namespace flanmoe::data {

class TokenLists {
 public:
  using Lists = std::vector<std::vector<int32_t>>;
  // Appends some lists.
  using Job = std::function<void(Lists& lists)>;
  // Writes the lists of all jobs, in the order in which `next_job` gives them, into an empty
  // folder. `next_job` is called by one thread at a time and gives an empty job at the end; jobs
  // run on `num_threads` threads (0: one a core), a bounded number of them at once. Throws what
  // they throw.
  static void write(const std::string& folder, int64_t vocabulary_size,
                    const std::function<Job()>& next_job, int num_threads = 0);
  // Null where the folder has none that is whole.
  static std::shared_ptr<const TokenLists> open(const std::string& folder,
                                                std::shared_ptr<ResidencyLimit> limit);

  uint64_t size() const { return num_lists_; }
  uint64_t num_tokens() const { return num_tokens_; }
  // Where list `index` begins among all tokens; that of size() is num_tokens().
  uint64_t begin(uint64_t index) const;
  std::vector<int32_t> list(uint64_t index) const;
  // Tokens [begin, begin + count) of all lists put together.
  std::vector<int32_t> tokens(uint64_t begin, uint64_t count) const;

 private:
  uint64_t num_lists_ = 0, num_tokens_ = 0, bytes_per_id_ = 0;
  std::unique_ptr<MappedFile> ids_, offsets_;
};

}  // namespace flanmoe::data
