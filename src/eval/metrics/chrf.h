// chrF (Popović, 2015) as sacreBLEU 2 computes it by default, divided by 100: F2 of the mean
// precision and recall of n-grams of code points, orders 1 to 6, white space left out; orders that
// one side lacks are left out of the means. Of several references an example has the one that is
// best for it, the first of equally good ones.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_chrf();
// chrF++ (Popović, 2017): with words and pairs of words, punctuation split off one end of a word.
std::unique_ptr<Metric> make_chrf_plus_plus();

}  // namespace flanmoe::eval
