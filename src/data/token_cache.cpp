#include "data/token_cache.h"

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "data/cache.h"

namespace flanmoe::data {
namespace {

constexpr uint64_t kExamplesPerJob = 512;

}  // namespace

TokenizedExample TokenizedSource::get(uint64_t index) const {
  const RandomKey key = RandomKey(0, RandomPurpose::DataOrder).fold(source_->task()).fold(index);
  if (lists_) return {key.state(), lists_->list(2 * index), lists_->list(2 * index + 1)};
  const Example example = source_->get(index);
  return {key.state(), tokenizer_.encode_with_eos(example.inputs),
          tokenizer_.encode_with_eos(example.targets)};
}

TokenCache::TokenCache(text::Tokenizer tokenizer, int num_threads)
    : tokenizer_(std::move(tokenizer)),
      num_threads_(num_threads),
      limit_(std::make_shared<ResidencyLimit>()) {}

std::shared_ptr<const TokenizedSource> TokenCache::open(
    std::shared_ptr<const Source> source) const {
  std::shared_ptr<TokenizedSource> result(new TokenizedSource(source, tokenizer_));
  const std::string content = source->content_hash();
  if (content.empty() || source->size() < 0) return result;
  const auto num_examples = static_cast<uint64_t>(source->size());
  const std::string name = "tokens-" + Hasher()
                                           .add(content)
                                           .add({"\n", 1})
                                           .add(tokenizer_.content_hash())
                                           .add(fmt::format("\n{}", tokenizer_.num_sentinels()))
                                           .hex();
  const auto use = [&](const std::string& folder) {
    result->lists_ = TokenLists::open(folder, limit_);
    return result->lists_ != nullptr && result->lists_->size() == 2 * num_examples;
  };
  const auto make = [&](const std::string& folder) {
    log::debug("[data] tokenising {} examples of {}", num_examples, source->task());
    TokenLists::write(
        folder, tokenizer_.size(),
        [&, next = uint64_t{0}]() mutable -> TokenLists::Job {
          if (next == num_examples) return {};
          const uint64_t begin = next, end = std::min(num_examples, begin + kExamplesPerJob);
          next = end;
          return [&, begin, end](TokenLists::Lists& lists) {
            for (uint64_t i = begin; i < end; ++i) {
              const Example example = source->get(i);
              lists.push_back(tokenizer_.encode_with_eos(example.inputs));
              lists.push_back(tokenizer_.encode_with_eos(example.targets));
            }
          };
        },
        num_threads_);
  };
  use_cached(name, use, make);
  return result;
}

}  // namespace flanmoe::data
