// Tokens, n-grams and what two texts share of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flanmoe::eval {

using Tokens = std::vector<std::string>;
using NgramCounts = std::unordered_map<std::string, int64_t>;  // tokens joined with a space

// Python's str.split(): at Unicode white space.
Tokens split_at_spaces(std::string_view text);
// Python's string.punctuation.
bool is_ascii_punctuation(char32_t c);

NgramCounts count_ngrams(const Tokens& tokens, size_t order);

// Size of the intersection of two multisets (maps to counts).
template <class Counts>
int64_t count_shared(const Counts& a, const Counts& b) {
  int64_t num_shared = 0;
  for (const auto& [ngram, count] : a) {
    const auto found = b.find(ngram);
    if (found != b.end()) num_shared += count < found->second ? count : found->second;
  }
  return num_shared;
}

// 2 P R / (P + R) with P = num_shared / num_answer, R = num_shared / num_reference; 0 where nothing
// is shared.
double f_measure(int64_t num_shared, size_t num_answer, size_t num_reference);

}  // namespace flanmoe::eval
