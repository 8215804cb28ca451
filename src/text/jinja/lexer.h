// Tokens of a template, by the rules of Jinja2's lexer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace flanmoe::text::jinja {

enum class TokenKind {
  Text,
  PrintBegin,
  PrintEnd,
  TagBegin,
  TagEnd,
  Name,
  Constant,
  Operator,
  End
};

struct Token {
  TokenKind kind;
  std::string text;  // of names and operators as written, of texts after whitespace control
  Value constant;
  int line;

  bool is(std::string_view wanted) const {
    return (kind == TokenKind::Name || kind == TokenKind::Operator) && text == wanted;
  }
};

// An error in the source, before the template's name is put in front.
struct SyntaxFailure {
  ErrorCode code;
  int line;
  std::string message;
};

template <class... Args>
[[noreturn]] void fail_syntax(int line, fmt::format_string<Args...> format, Args&&... args) {
  throw SyntaxFailure{ErrorCode::InvalidConfig, line,
                      fmt::format(format, std::forward<Args>(args)...)};
}

// The last token is End. Throws SyntaxFailure.
std::vector<Token> tokenize(std::string_view source);

}  // namespace flanmoe::text::jinja
