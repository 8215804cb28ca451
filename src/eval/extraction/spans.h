// Rules that cut a span out of a text.
#pragma once

#include "eval/extraction/rule.h"

namespace flanmoe::eval {

// Behind the last occurrence of the argument, in any case, up to the end of the line; a colon and
// line ends right behind it are left out ("The answer is:\n7"). The last one, as the published MGSM
// code takes: a chain of thought may say "the answer is" on its way.
RuleKind after_rule();
// In front of the first occurrence of the argument, in any case.
RuleKind before_rule();
// The first and the last line that is not blank.
RuleKind first_line_rule();
RuleKind last_line_rule();
// Up to the first . ! ? that white space or the end follows, or the first mark of another script
// that ends a sentence (。！？।॥۔؟); the mark is left out.
RuleKind first_sentence_rule();
// Without full stops (. 。 । ۔ …) and white space at the end; brackets stay ("] } ]." -> "] } ]").
RuleKind strip_full_stop_rule();
// Without punctuation and symbols of quoting at both ends: ASCII, typographic quotes and dashes,
// full-width forms. A text of nothing else is left as it is.
RuleKind strip_punctuation_rule();

}  // namespace flanmoe::eval
