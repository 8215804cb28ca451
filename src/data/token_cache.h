// Examples as their source has them, tokenised once: on disk, keyed by the content of the source
// and of the tokenizer, mapped into memory.
#pragma once

#include <cstdint>
#include <memory>

#include "data/source.h"
#include "data/token_lists.h"
#include "data/tokenized_example.h"
#include "text/tokenizer.h"

namespace flanmoe::data {

// Safe to read from several threads.
class TokenizedSource {
 public:
  // inputs and targets of example `index`, each with </s>; equal to encoding them. `key` is that of
  // the example in its source (task and index): fold seed and epoch into it.
  TokenizedExample get(uint64_t index) const;
  int64_t size() const { return source_->size(); }
  const Source& source() const { return *source_; }
  // False where examples are encoded when they are asked for (endless sources, standard input).
  bool is_cached() const { return lists_ != nullptr; }

 private:
  friend class TokenCache;
  TokenizedSource(std::shared_ptr<const Source> source, text::Tokenizer tokenizer)
      : source_(std::move(source)), tokenizer_(std::move(tokenizer)) {}
  std::shared_ptr<const Source> source_;
  text::Tokenizer tokenizer_;
  std::shared_ptr<const TokenLists> lists_;
};

// The tokenised sources of one mixture: together they keep a bounded number of bytes resident.
class TokenCache {
 public:
  // `num_threads` tokenise what is not in the cache; 0: one a core.
  explicit TokenCache(text::Tokenizer tokenizer, int num_threads = 0);
  // Throws what reading the source throws.
  std::shared_ptr<const TokenizedSource> open(std::shared_ptr<const Source> source) const;

 private:
  text::Tokenizer tokenizer_;
  int num_threads_;
  std::shared_ptr<ResidencyLimit> limit_;
};

}  // namespace flanmoe::data
