#include "base/registry.h"

#include "eval/metrics/accuracy.h"
#include "eval/metrics/bleu.h"
#include "eval/metrics/chrf.h"
#include "eval/metrics/edit_similarity.h"
#include "eval/metrics/exact_match.h"
#include "eval/metrics/macro_f1.h"
#include "eval/metrics/matthews.h"
#include "eval/metrics/metric.h"
#include "eval/metrics/pearson.h"
#include "eval/metrics/rouge.h"
#include "eval/metrics/spearman.h"
#include "eval/metrics/squad.h"

namespace flanmoe::eval {
namespace {

using MakeMetric = std::unique_ptr<Metric> (*)();

const Registry<MakeMetric>& metric_registry() {
  static const Registry<MakeMetric> registry = [] {
    Registry<MakeMetric> metrics("metric");
    metrics.add("accuracy", make_accuracy);
    metrics.add("exact_match", make_exact_match);
    metrics.add("squad_exact_match", make_squad_exact_match);
    metrics.add("f1", make_squad_f1);
    metrics.add("rouge1", make_rouge1);
    metrics.add("rouge2", make_rouge2);
    metrics.add("rougeL", make_rouge_l);
    metrics.add("bleu", make_bleu);
    metrics.add("chrf", make_chrf);
    metrics.add("chrf++", make_chrf_plus_plus);
    metrics.add("matthews", make_matthews);
    metrics.add("pearson", make_pearson);
    metrics.add("spearman", make_spearman);
    metrics.add("macro_f1", make_macro_f1);
    metrics.add("edit_similarity", make_edit_similarity);
    return metrics;
  }();
  return registry;
}

}  // namespace

std::unique_ptr<Metric> make_metric(const std::string& name) {
  return metric_registry().get(name)();
}

std::vector<std::string> metric_names() {
  return metric_registry().names();
}

}  // namespace flanmoe::eval
