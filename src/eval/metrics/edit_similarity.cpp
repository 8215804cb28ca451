#include "eval/metrics/edit_similarity.h"

#include <algorithm>
#include <numeric>

#include "eval/metrics/mean_metric.h"
#include "text/jinja/unicode.h"

namespace flanmoe::eval {
namespace {

size_t levenshtein_distance(const std::u32string& a, const std::u32string& b) {
  std::vector<size_t> distances(b.size() + 1), above(b.size() + 1);
  std::iota(distances.begin(), distances.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    std::swap(distances, above);
    distances[0] = i + 1;
    for (size_t j = 1; j <= b.size(); ++j)
      distances[j] = std::min({above[j] + 1, distances[j - 1] + 1,
                               above[j - 1] + (a[i] == b[j - 1] ? size_t{0} : size_t{1})});
  }
  return distances.back();
}

double similarity(const std::string& answer, const std::string& reference) {
  const std::u32string a = text::jinja::decode(answer), b = text::jinja::decode(reference);
  const size_t length = std::max(a.size(), b.size());
  if (length == 0) return 1;
  return 1 - static_cast<double>(levenshtein_distance(a, b)) / static_cast<double>(length);
}

}  // namespace

std::unique_ptr<Metric> make_edit_similarity() {
  return make_mean_metric(similarity);
}

}  // namespace flanmoe::eval
