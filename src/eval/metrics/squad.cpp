#include "eval/metrics/squad.h"

#include "eval/metrics/mean_metric.h"
#include "eval/metrics/tokens.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

// Python's \b(a|an|the)\b: a run of word characters that is an article.
std::u32string replace_articles(const std::u32string& text) {
  std::u32string result;
  for (size_t begin = 0; begin < text.size();) {
    if (!text::jinja::is_word(text[begin])) {
      result += text[begin++];
      continue;
    }
    size_t end = begin;
    while (end < text.size() && text::jinja::is_word(text[end])) ++end;
    const std::u32string word = text.substr(begin, end - begin);
    result += word == U"a" || word == U"an" || word == U"the" ? U" " : word;
    begin = end;
  }
  return result;
}

double is_equal(const std::string& answer, const std::string& reference) {
  return normalise_squad_answer(answer) == normalise_squad_answer(reference) ? 1.0 : 0.0;
}

double token_f1(const std::string& answer, const std::string& reference) {
  const Tokens answer_tokens = split_at_spaces(normalise_squad_answer(answer));
  const Tokens reference_tokens = split_at_spaces(normalise_squad_answer(reference));
  return f_measure(count_shared(count_ngrams(answer_tokens, 1), count_ngrams(reference_tokens, 1)),
                   answer_tokens.size(), reference_tokens.size());
}

}  // namespace

std::string normalise_squad_answer(const std::string& text) {
  std::u32string kept;
  for (char32_t c : text::jinja::decode(text::jinja::to_lower(text)))
    if (!is_ascii_punctuation(c)) kept += c;
  std::string result;
  for (const std::string& token : split_at_spaces(text::jinja::encode(replace_articles(kept)))) {
    if (!result.empty()) result += ' ';
    result += token;
  }
  return result;
}

std::unique_ptr<Metric> make_squad_exact_match() {
  return make_mean_metric(is_equal);
}

std::unique_ptr<Metric> make_squad_f1() {
  return make_mean_metric(token_f1);
}

}  // namespace flanmoe::eval
