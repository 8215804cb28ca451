// Syntax trees from tokens, by the rules of Jinja2's parser.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/syntax.h"

namespace flanmoe::text::jinja {

struct ParsedTemplate {
  Block body;
  std::vector<std::string> variable_names;  // read and not set by the template itself
};

// Throws SyntaxFailure.
ParsedTemplate parse(std::string_view source);

}  // namespace flanmoe::text::jinja
