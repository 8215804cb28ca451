// BLEU (Papineni et al., 2002) as sacreBLEU 2 computes it by default, divided by 100: orders 1 to
// 4, tokenizer 13a, case kept, exponential smoothing, the closest reference's length. Over examples
// it is the corpus value; value_of is sacreBLEU's sentence BLEU with effective order.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

std::unique_ptr<Metric> make_bleu();

// mteval-v13a's tokens: ASCII punctuation stands alone, points and commas unless inside a number.
std::vector<std::string> tokenize_13a(const std::string& text);

}  // namespace flanmoe::eval
