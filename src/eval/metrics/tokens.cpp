#include "eval/metrics/tokens.h"

#include "text/jinja/unicode.h"

namespace flanmoe::eval {

Tokens split_at_spaces(std::string_view text) {
  Tokens tokens;
  std::string token;
  const auto finish = [&] {
    if (!token.empty()) tokens.push_back(std::move(token));
    token.clear();
  };
  for (char32_t c : text::jinja::decode(text)) {
    if (text::jinja::is_space(c))
      finish();
    else
      text::jinja::append_code_point(token, c);
  }
  finish();
  return tokens;
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= U'!' && c <= U'/') || (c >= U':' && c <= U'@') || (c >= U'[' && c <= U'`') ||
         (c >= U'{' && c <= U'~');
}

NgramCounts count_ngrams(const Tokens& tokens, size_t order) {
  NgramCounts counts;
  for (size_t begin = 0; begin + order <= tokens.size(); ++begin) {
    std::string ngram = tokens[begin];
    for (size_t i = 1; i < order; ++i) ngram += ' ' + tokens[begin + i];
    ++counts[ngram];
  }
  return counts;
}

double f_measure(int64_t num_shared, size_t num_answer, size_t num_reference) {
  if (num_shared == 0) return 0;
  const double precision = static_cast<double>(num_shared) / static_cast<double>(num_answer);
  const double recall = static_cast<double>(num_shared) / static_cast<double>(num_reference);
  return 2 * precision * recall / (precision + recall);
}

}  // namespace flanmoe::eval
