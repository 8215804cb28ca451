#include "eval/metrics/chrf.h"

#include <string_view>
#include <unordered_map>

#include "eval/metrics/count_metric.h"
#include "eval/metrics/tokens.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

constexpr size_t kCharacterOrder = 6;
constexpr double kBetaSquared = 4;

using CharacterCounts = std::unordered_map<std::u32string_view, int64_t>;

std::u32string without_spaces(const std::string& text) {
  std::u32string result;
  for (char32_t c : text::jinja::decode(text))
    if (!text::jinja::is_space(c)) result += c;
  return result;
}

CharacterCounts count_characters(std::u32string_view text, size_t order) {
  CharacterCounts counts;
  for (size_t i = 0; i + order <= text.size(); ++i) ++counts[text.substr(i, order)];
  return counts;
}

Tokens split_words(const std::string& text) {
  Tokens words;
  for (const std::string& word : split_at_spaces(text)) {
    if (text::jinja::num_code_points(word) == 1) {
      words.push_back(word);
    } else if (is_ascii_punctuation(static_cast<unsigned char>(word.back()))) {
      words.push_back(word.substr(0, word.size() - 1));
      words.push_back(word.substr(word.size() - 1));
    } else if (is_ascii_punctuation(static_cast<unsigned char>(word.front()))) {
      words.push_back(word.substr(0, 1));
      words.push_back(word.substr(1));
    } else {
      words.push_back(word);
    }
  }
  return words;
}

// n-grams of the answer, of the reference, of both.
template <class NgramMap>
void append_counts(Counts& counts, const NgramMap& answer, const NgramMap& reference) {
  const auto total = [](const NgramMap& ngrams) {
    int64_t sum = 0;
    for (const auto& [ngram, count] : ngrams) sum += count;
    return sum;
  };
  counts.push_back(reference.empty() ? 0 : total(answer));
  counts.push_back(total(reference));
  counts.push_back(count_shared(answer, reference));
}

double f_beta(const Counts& counts) {
  double precision = 0, recall = 0;
  size_t num_orders = 0;
  for (size_t k = 0; k < counts.size(); k += 3) {
    const auto at = [&](size_t i) { return static_cast<double>(counts[k + i]); };
    if (counts[k] == 0 || counts[k + 1] == 0) continue;
    precision += at(2) / at(0);
    recall += at(2) / at(1);
    ++num_orders;
  }
  if (precision + recall == 0) return 0;
  precision /= static_cast<double>(num_orders);
  recall /= static_cast<double>(num_orders);
  return (1 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall);
}

class Chrf : public CountMetric {
 public:
  explicit Chrf(size_t word_order)
      : CountMetric(3 * (kCharacterOrder + word_order)), word_order_(word_order) {}

 protected:
  Counts count(const std::string& answer,
               const std::vector<std::string>& references) const override {
    Counts best;
    for (const std::string& reference : references) {
      Counts counts = count_one(answer, reference);
      if (best.empty() || f_beta(counts) > f_beta(best)) best = std::move(counts);
    }
    return best;
  }
  double example_value(const Counts& counts) const override { return f_beta(counts); }
  double corpus_value(const Counts& counts) const override { return f_beta(counts); }

 private:
  Counts count_one(const std::string& answer, const std::string& reference) const {
    Counts counts;
    const std::u32string a = without_spaces(answer), b = without_spaces(reference);
    for (size_t order = 1; order <= kCharacterOrder; ++order)
      append_counts(counts, count_characters(a, order), count_characters(b, order));
    const Tokens a_words = split_words(answer), b_words = split_words(reference);
    for (size_t order = 1; order <= word_order_; ++order)
      append_counts(counts, count_ngrams(a_words, order), count_ngrams(b_words, order));
    return counts;
  }

  size_t word_order_;
};

}  // namespace

std::unique_ptr<Metric> make_chrf() {
  return std::make_unique<Chrf>(0);
}

std::unique_ptr<Metric> make_chrf_plus_plus() {
  return std::make_unique<Chrf>(2);
}

}  // namespace flanmoe::eval
