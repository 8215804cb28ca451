#include "eval/metrics/bleu.h"

#include <algorithm>
#include <cmath>

#include "eval/metrics/count_metric.h"
#include "eval/metrics/tokens.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

constexpr size_t kMaxOrder = 4;
// Counts: lengths of answer and reference, then matches and n-grams of the answer by order.
constexpr size_t kAnswerLength = 0, kReferenceLength = 1, kMatches = 2, kTotals = 2 + kMaxOrder;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_point_or_comma(char c) {
  return c == '.' || c == ',';
}
bool stands_alone(char c) {
  return is_ascii_punctuation(static_cast<unsigned char>(c)) && c != '\'' && c != '-' &&
         !is_point_or_comma(c);
}

// Where two neighbouring bytes are as asked, `change` writes them; a byte is part of one pair.
template <class IsPair, class Change>
std::string change_pairs(const std::string& text, const IsPair& is_pair, const Change& change) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && is_pair(text[i], text[i + 1])) {
      change(result, text[i], text[i + 1]);
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string& append(std::string& text, std::initializer_list<char> characters) {
  return text.append(characters);
}

double bleu(const Counts& counts, bool has_effective_order) {
  const auto at = [&](size_t k) { return static_cast<double>(counts[k]); };
  double log_sum = 0, smoothing = 1;
  size_t order = 0;
  bool has_match = false;
  for (; order < kMaxOrder && counts[kTotals + order] > 0; ++order) {
    const double matches = at(kMatches + order), total = at(kTotals + order);
    has_match = has_match || matches > 0;
    if (matches == 0) smoothing *= 2;
    log_sum += std::log(matches == 0 ? 1 / (smoothing * total) : matches / total);
  }
  if (!has_match || (order < kMaxOrder && !has_effective_order)) return 0;
  const double ratio = at(kReferenceLength) / at(kAnswerLength);
  const double brevity_penalty = ratio > 1 ? std::exp(1 - ratio) : 1;
  return brevity_penalty * std::exp(log_sum / static_cast<double>(order));
}

int64_t closest_length(int64_t length, const std::vector<int64_t>& candidates) {
  return *std::min_element(candidates.begin(), candidates.end(), [&](int64_t a, int64_t b) {
    return std::pair(std::abs(a - length), a) < std::pair(std::abs(b - length), b);
  });
}

class Bleu : public CountMetric {
 public:
  Bleu() : CountMetric(2 + 2 * kMaxOrder) {}

 protected:
  Counts count(const std::string& answer,
               const std::vector<std::string>& references) const override {
    std::vector<Tokens> reference_tokens;
    std::vector<int64_t> lengths;
    for (const std::string& reference : references) {
      reference_tokens.push_back(tokenize_13a(reference));
      lengths.push_back(static_cast<int64_t>(reference_tokens.back().size()));
    }
    const Tokens tokens = tokenize_13a(answer);
    Counts counts(2 + 2 * kMaxOrder);
    counts[kAnswerLength] = static_cast<int64_t>(tokens.size());
    counts[kReferenceLength] = closest_length(counts[kAnswerLength], lengths);
    for (size_t order = 1; order <= kMaxOrder && order <= tokens.size(); ++order) {
      NgramCounts accepted;
      for (const Tokens& reference : reference_tokens)
        for (const auto& [ngram, n] : count_ngrams(reference, order))
          accepted[ngram] = std::max(accepted[ngram], n);
      counts[kMatches + order - 1] = count_shared(count_ngrams(tokens, order), accepted);
      counts[kTotals + order - 1] = static_cast<int64_t>(tokens.size() - order + 1);
    }
    return counts;
  }
  double example_value(const Counts& counts) const override { return bleu(counts, true); }
  double corpus_value(const Counts& counts) const override { return bleu(counts, false); }
};

}  // namespace

std::vector<std::string> tokenize_13a(const std::string& text) {
  std::string line(text::jinja::strip_right(text));
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  replace_all(line, "&quot;", "\"");
  replace_all(line, "&amp;", "&");
  replace_all(line, "&lt;", "<");
  replace_all(line, "&gt;", ">");

  std::string spaced = " ";
  for (char c : line) {
    if (stands_alone(c))
      append(spaced, {' ', c, ' '});
    else
      spaced += c;
  }
  spaced += ' ';
  spaced = change_pairs(
      spaced, [](char a, char b) { return !is_digit(a) && is_point_or_comma(b); },
      [](std::string& out, char a, char b) {
        append(out, {a, ' ', b, ' '});
      });
  spaced = change_pairs(
      spaced, [](char a, char b) { return is_point_or_comma(a) && !is_digit(b); },
      [](std::string& out, char a, char b) {
        append(out, {' ', a, ' ', b});
      });
  spaced = change_pairs(
      spaced, [](char a, char b) { return is_digit(a) && b == '-'; },
      [](std::string& out, char a, char b) {
        append(out, {a, ' ', b, ' '});
      });
  return split_at_spaces(spaced);
}

std::unique_ptr<Metric> make_bleu() {
  return std::make_unique<Bleu>();
}

}  // namespace flanmoe::eval
