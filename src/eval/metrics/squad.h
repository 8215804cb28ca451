// SQuAD v1.1 (Rajpurkar et al., 2016; the official evaluate-v1.1.py): exact match and token F1 of
// normalised answers, the largest over the references.
#pragma once

#include "eval/metrics/metric.h"

namespace flanmoe::eval {

// Lower case, without ASCII punctuation, the words a, an, the, and with single spaces.
std::string normalise_squad_answer(const std::string& text);

std::unique_ptr<Metric> make_squad_exact_match();
// 2 P R / (P + R) of the tokens as multisets. 0 where no token is shared, also where both texts are
// empty (v2.0 has 1 there).
std::unique_ptr<Metric> make_squad_f1();

}  // namespace flanmoe::eval
