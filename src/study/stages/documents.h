// Pretraining examples from documents.
#pragma once

#include <string>

#include "data/objectives/objective_config.h"
#include "study/stages/training.h"

namespace flanmoe::study {

struct DocumentDraw {
  std::string specs;  // builtin:corpus or builtin:easy-corpus, or files and folders
  data::ObjectiveConfig objective;
  data::ObjectiveLimits limits;
  bool concatenates_documents = true;  // else every example comes from one document
  uint64_t seed = 0;
};

// Example `position` is a pure function of (settings, position). Files are read and tokenised at
// once and cut into pieces of the length that the objective asks for (those that fill the input
// after corruption); every piece comes once before any comes twice. A built-in corpus has no end
// and draws new documents. Throws InvalidArgument where there is no text, InvalidConfig where the
// corpus is mixed with files.
Draw make_document_draw(const DocumentDraw& settings, const text::Tokenizer& tokenizer);

}  // namespace flanmoe::study
