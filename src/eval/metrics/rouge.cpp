#include "eval/metrics/rouge.h"

#include <algorithm>

#include "eval/metrics/mean_metric.h"
#include "eval/metrics/tokens.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

Tokens split_rouge_tokens(const std::string& text) {
  std::string lower = text::jinja::to_lower(text);
  for (char& c : lower)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = ' ';
  return split_at_spaces(lower);
}

template <size_t kOrder>
double rouge_n(const std::string& answer, const std::string& reference) {
  const auto num_ngrams = [](const Tokens& tokens) {
    return tokens.size() < kOrder ? 0 : tokens.size() - kOrder + 1;
  };
  const Tokens a = split_rouge_tokens(answer), b = split_rouge_tokens(reference);
  return f_measure(count_shared(count_ngrams(a, kOrder), count_ngrams(b, kOrder)), num_ngrams(a),
                   num_ngrams(b));
}

size_t longest_common_subsequence(const Tokens& a, const Tokens& b) {
  std::vector<size_t> lengths(b.size() + 1), above(b.size() + 1);
  for (const std::string& token : a) {
    std::swap(lengths, above);
    for (size_t j = 1; j <= b.size(); ++j)
      lengths[j] = token == b[j - 1] ? above[j - 1] + 1 : std::max(above[j], lengths[j - 1]);
  }
  return lengths.back();
}

double rouge_l(const std::string& answer, const std::string& reference) {
  const Tokens a = split_rouge_tokens(answer), b = split_rouge_tokens(reference);
  return f_measure(static_cast<int64_t>(longest_common_subsequence(a, b)), a.size(), b.size());
}

}  // namespace

std::unique_ptr<Metric> make_rouge1() {
  return make_mean_metric(rouge_n<1>);
}

std::unique_ptr<Metric> make_rouge2() {
  return make_mean_metric(rouge_n<2>);
}

std::unique_ptr<Metric> make_rouge_l() {
  return make_mean_metric(rouge_l);
}

}  // namespace flanmoe::eval
