#include "text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "base/nearest.h"
#include "text/jinja/filters.h"
#include "text/jinja/functions.h"
#include "text/jinja/tests.h"

namespace flanmoe::text::jinja {
namespace {

// Of a tree and of the source: what keeps the stacks of the evaluator and of the parser small.
constexpr int kMaxHeight = 400;
constexpr int kMaxNesting = 100;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  ParsedTemplate run() {
    ParsedTemplate result;
    scopes_.emplace_back();
    result.body = parse_block({}, "");
    result.variable_names = std::move(variable_names_);
    return result;
  }

 private:
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_if(std::string_view text) {
    if (!current().is(text)) return false;
    take();
    return true;
  }
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::Text:
        return "text";
      case TokenKind::End:
        return "the end of the template";
      default:
        return fmt::format("'{}'", token.text);
    }
  }
  const Token& expect(std::string_view text) {
    if (!current().is(text))
      fail_syntax(current().line, "expected '{}', found {}", text, describe(current()));
    return take();
  }
  const Token& expect_name() {
    if (current().kind != TokenKind::Name)
      fail_syntax(current().line, "expected a name, found {}", describe(current()));
    return take();
  }
  void expect_kind(TokenKind kind, std::string_view text) {
    if (current().kind != kind)
      fail_syntax(current().line, "expected '{}', found {}", text, describe(current()));
    take();
  }

  // ---- statements ----

  // Up to one of `ends`, which stays; `opener` is the tag that these close.
  Block parse_block(std::initializer_list<std::string_view> ends, std::string_view opener) {
    const int opener_line = current().line;
    if (++block_depth_ > kMaxNesting)
      fail_syntax(opener_line, "tags are nested more than {} deep", kMaxNesting);
    Block block;
    while (true) {
      const Token& token = current();
      if (token.kind == TokenKind::End) {
        if (ends.size() > 0)
          fail_syntax(opener_line, "'{}' is never closed by '{}'", opener, *(ends.end() - 1));
        break;
      }
      if (token.kind == TokenKind::Text) {
        Statement text{StatementKind::Text, token.line, token.text, {}, {}, {}};
        block.push_back(std::move(text));
        take();
      } else if (token.kind == TokenKind::PrintBegin) {
        take();
        Statement print{StatementKind::Print, token.line, {}, {}, {}, {}};
        print.expressions.push_back(parse_tuple());
        expect_kind(TokenKind::PrintEnd, "}}");
        block.push_back(std::move(print));
      } else {
        const bool is_end = std::any_of(ends.begin(), ends.end(), [&](std::string_view end) {
          return ahead().kind == TokenKind::Name && ahead().text == end;
        });
        if (is_end) {
          take();
          break;
        }
        take();
        block.push_back(parse_statement(ends));
        expect_kind(TokenKind::TagEnd, "%}");
      }
    }
    --block_depth_;
    return block;
  }

  Statement parse_statement(std::initializer_list<std::string_view> ends) {
    const Token& tag = current();
    if (tag.kind != TokenKind::Name)
      fail_syntax(tag.line, "expected the name of a tag, found {}", describe(tag));
    if (tag.text == "if") return parse_if();
    if (tag.text == "for") return parse_for();
    if (tag.text == "set") return parse_set();
    if (tag.text == "with") return parse_with();
    if (tag.text == "filter") return parse_filter_block();
    static const std::vector<std::string> foreign = {"macro",   "call",   "block",      "extends",
                                                     "include", "import", "autoescape", "from",
                                                     "do",      "trans",  "break",      "continue"};
    if (std::find(foreign.begin(), foreign.end(), tag.text) != foreign.end())
      throw SyntaxFailure{
          ErrorCode::Unsupported, tag.line,
          fmt::format("the tag '{}' is not supported (there are if, for, set, with, filter, raw)",
                      tag.text)};
    std::vector<std::string> known = {"if", "for", "set", "with", "filter", "raw"};
    for (const std::string_view end : ends) known.insert(known.begin(), std::string(end));
    fail_syntax(tag.line, "unknown tag '{}'{}", tag.text, suggestion(tag.text, known));
  }

  Statement parse_if() {
    Statement statement{StatementKind::If, take().line, {}, {}, {}, {}};
    statement.expressions.push_back(parse_tuple(false));
    expect_kind(TokenKind::TagEnd, "%}");
    while (true) {
      statement.blocks.push_back(parse_block({"elif", "else", "endif"}, "if"));
      const Token& end = take();
      if (end.text == "endif") break;
      if (end.text == "elif") {
        statement.expressions.push_back(parse_tuple(false));
        expect_kind(TokenKind::TagEnd, "%}");
        continue;
      }
      expect_kind(TokenKind::TagEnd, "%}");
      statement.blocks.push_back(parse_block({"endif"}, "else"));
      take();
      break;
    }
    return statement;
  }

  Statement parse_for() {
    Statement statement{StatementKind::For, take().line, {}, {}, {}, {}};
    statement.targets.push_back(parse_target("in", false));
    expect("in");
    statement.expressions.push_back(parse_tuple(false, "recursive"));
    scopes_.emplace_back();
    define(statement.targets[0]);
    statement.expressions.push_back(skip_if("if") ? parse_expression() : nullptr);
    if (current().is("recursive"))
      throw SyntaxFailure{ErrorCode::Unsupported, current().line,
                          "recursive loops are not supported"};
    expect_kind(TokenKind::TagEnd, "%}");
    scopes_.back().push_back("loop");
    statement.blocks.push_back(parse_block({"else", "endfor"}, "for"));
    scopes_.pop_back();
    if (take().text == "else") {
      expect_kind(TokenKind::TagEnd, "%}");
      scopes_.emplace_back();
      statement.blocks.push_back(parse_block({"endfor"}, "else"));
      scopes_.pop_back();
      take();
    }
    return statement;
  }

  Statement parse_set() {
    Statement statement{StatementKind::Set, take().line, {}, {}, {}, {}};
    statement.targets.push_back(parse_target("", true));
    if (skip_if("=")) {
      statement.expressions.push_back(parse_tuple());
    } else {
      statement.kind = StatementKind::SetBlock;
      statement.expressions.push_back(parse_filters(nullptr));
      expect_kind(TokenKind::TagEnd, "%}");
      scopes_.emplace_back();
      statement.blocks.push_back(parse_block({"endset"}, "set"));
      scopes_.pop_back();
      take();
    }
    define(statement.targets[0]);
    return statement;
  }

  Statement parse_with() {
    Statement statement{StatementKind::With, take().line, {}, {}, {}, {}};
    while (current().kind != TokenKind::TagEnd) {
      if (!statement.targets.empty()) expect(",");
      statement.targets.push_back(parse_target("", false));
      expect("=");
      statement.expressions.push_back(parse_expression());
    }
    take();
    scopes_.emplace_back();
    for (const Target& target : statement.targets) define(target);
    statement.blocks.push_back(parse_block({"endwith"}, "with"));
    scopes_.pop_back();
    take();
    return statement;
  }

  Statement parse_filter_block() {
    Statement statement{StatementKind::FilterBlock, take().line, {}, {}, {}, {}};
    statement.expressions.push_back(parse_filters(parse_filter(nullptr)));
    expect_kind(TokenKind::TagEnd, "%}");
    scopes_.emplace_back();
    statement.blocks.push_back(parse_block({"endfilter"}, "filter"));
    scopes_.pop_back();
    take();
    return statement;
  }

  // ---- targets ----

  Target parse_target(std::string_view end, bool may_be_attribute) {
    const int line = current().line;
    Target target;
    bool is_tuple = false;
    while (true) {
      if (!target.parts.empty()) {
        if (!skip_if(",")) break;
        is_tuple = true;
      }
      if (is_target_end(end)) break;
      target.parts.push_back(parse_one_target(may_be_attribute));
      if (!current().is(",")) break;
      is_tuple = true;
    }
    if (target.parts.empty())
      fail_syntax(line, "expected a name to assign to, found {}", describe(current()));
    if (!is_tuple) {
      // not through itself: parts owns what is moved
      Target only = std::move(target.parts.front());
      return only;
    }
    target.kind = Target::Kind::Tuple;
    return target;
  }
  bool is_target_end(std::string_view end) const {
    return current().kind == TokenKind::TagEnd || current().is(")") || current().is("=") ||
           (!end.empty() && current().is(end));
  }
  Target parse_one_target(bool may_be_attribute) {
    if (skip_if("(")) {
      const int line = current().line;
      if (++target_depth_ > kMaxNesting)
        fail_syntax(line, "names are nested more than {} deep", kMaxNesting);
      Target target = parse_target("", may_be_attribute);
      expect(")");
      --target_depth_;
      return target;
    }
    const Token& name = expect_name();
    static constexpr std::string_view reserved[] = {"true",  "True", "false",
                                                    "False", "none", "None"};
    if (std::find(std::begin(reserved), std::end(reserved), name.text) != std::end(reserved))
      fail_syntax(name.line, "'{}' cannot be assigned to", name.text);
    Target target;
    target.name = name.text;
    if (may_be_attribute && skip_if(".")) {
      target.kind = Target::Kind::Attribute;
      target.attribute = expect_name().text;
      note_read(target.name);
    }
    return target;
  }

  void define(const Target& target) {
    if (target.kind == Target::Kind::Name) scopes_.back().push_back(target.name);
    for (const Target& part : target.parts) define(part);
  }
  void note_read(const std::string& name) {
    for (const auto& scope : scopes_)
      if (std::find(scope.begin(), scope.end(), name) != scope.end()) return;
    if (is_function(name)) return;
    if (std::find(variable_names_.begin(), variable_names_.end(), name) == variable_names_.end())
      variable_names_.push_back(name);
  }

  // ---- expressions ----

  ExpressionPointer make(ExpressionKind kind, int line) {
    auto expression = std::make_unique<Expression>();
    expression->kind = kind;
    expression->line = line;
    return expression;
  }
  void adopt(Expression& parent, ExpressionPointer child) {
    if (child) parent.height = std::max(parent.height, child->height + 1);
    if (parent.height > kMaxHeight)
      fail_syntax(parent.line, "the expression is nested more than {} deep", kMaxHeight);
    parent.children.push_back(std::move(child));
  }

  ExpressionPointer parse_expression(bool with_condition = true) {
    enter();
    ExpressionPointer result = with_condition ? parse_choice() : parse_or();
    leave();
    return result;
  }

  // Several expressions with commas between them are a tuple.
  ExpressionPointer parse_tuple(bool with_condition = true, std::string_view end = "",
                                bool has_parentheses = false) {
    const int line = current().line;
    std::vector<ExpressionPointer> items;
    bool is_tuple = false;
    while (true) {
      if (!items.empty()) expect(",");
      if (current().kind == TokenKind::PrintEnd || current().kind == TokenKind::TagEnd ||
          current().is(")") || (!end.empty() && current().is(end)))
        break;
      items.push_back(parse_expression(with_condition));
      if (!current().is(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) {
      if (!items.empty()) return std::move(items[0]);
      if (!has_parentheses)
        fail_syntax(line, "expected an expression, found {}", describe(current()));
    }
    ExpressionPointer tuple = make(ExpressionKind::Tuple, line);
    for (ExpressionPointer& item : items) adopt(*tuple, std::move(item));
    return tuple;
  }

  ExpressionPointer parse_choice() {
    int line = current().line;
    ExpressionPointer result = parse_or();
    while (skip_if("if")) {
      ExpressionPointer choice = make(ExpressionKind::Choose, line);
      adopt(*choice, parse_or());
      adopt(*choice, std::move(result));
      adopt(*choice, skip_if("else") ? parse_expression() : nullptr);
      result = std::move(choice);
      line = current().line;
    }
    return result;
  }

  ExpressionPointer parse_or() {
    ExpressionPointer left = parse_and();
    while (current().is("or")) {
      ExpressionPointer node = make(ExpressionKind::Or, take().line);
      adopt(*node, std::move(left));
      adopt(*node, parse_and());
      left = std::move(node);
    }
    return left;
  }

  ExpressionPointer parse_and() {
    ExpressionPointer left = parse_not();
    while (current().is("and")) {
      ExpressionPointer node = make(ExpressionKind::And, take().line);
      adopt(*node, std::move(left));
      adopt(*node, parse_not());
      left = std::move(node);
    }
    return left;
  }

  ExpressionPointer parse_not() {
    if (!current().is("not")) return parse_compare();
    ExpressionPointer node = make(ExpressionKind::Not, take().line);
    enter();
    adopt(*node, parse_not());
    leave();
    return node;
  }

  ExpressionPointer parse_compare() {
    ExpressionPointer first = parse_sum();
    ExpressionPointer node;
    while (true) {
      static constexpr std::pair<std::string_view, Operator> operators[] = {
          {"==", Operator::Equal},     {"!=", Operator::NotEqual}, {"<", Operator::Less},
          {"<=", Operator::LessEqual}, {">", Operator::Greater},   {">=", Operator::GreaterEqual},
          {"in", Operator::In}};
      const auto found = std::find_if(std::begin(operators), std::end(operators),
                                      [&](const auto& entry) { return current().is(entry.first); });
      Operator op = Operator::NotIn;
      if (found != std::end(operators))
        op = found->second;
      else if (current().is("not") && ahead().is("in"))
        take();
      else
        break;
      const int line = take().line;
      if (!node) {
        node = make(ExpressionKind::Compare, line);
        adopt(*node, std::move(first));
      }
      node->operators.push_back(op);
      adopt(*node, parse_sum());
    }
    return node ? std::move(node) : std::move(first);
  }

  template <class ParseOperand>
  ExpressionPointer parse_binary(
      std::initializer_list<std::pair<std::string_view, Operator>> operators,
      ParseOperand parse_operand) {
    ExpressionPointer left = parse_operand();
    while (true) {
      const auto found = std::find_if(operators.begin(), operators.end(), [&](const auto& entry) {
        return current().kind == TokenKind::Operator && current().text == entry.first;
      });
      if (found == operators.end()) return left;
      ExpressionPointer node = make(ExpressionKind::Binary, take().line);
      node->operators.push_back(found->second);
      adopt(*node, std::move(left));
      adopt(*node, parse_operand());
      left = std::move(node);
    }
  }
  ExpressionPointer parse_sum() {
    return parse_binary({{"+", Operator::Add}, {"-", Operator::Subtract}},
                        [this] { return parse_concat(); });
  }
  ExpressionPointer parse_concat() {
    ExpressionPointer first = parse_product();
    if (!current().is("~")) return first;
    ExpressionPointer node = make(ExpressionKind::Concat, current().line);
    adopt(*node, std::move(first));
    while (skip_if("~")) adopt(*node, parse_product());
    return node;
  }
  ExpressionPointer parse_product() {
    return parse_binary({{"*", Operator::Multiply},
                         {"/", Operator::Divide},
                         {"//", Operator::FloorDivide},
                         {"%", Operator::Modulo}},
                        [this] { return parse_power(); });
  }
  ExpressionPointer parse_power() {
    return parse_binary({{"**", Operator::Power}}, [this] { return parse_unary(true); });
  }

  ExpressionPointer parse_unary(bool with_filters) {
    ExpressionPointer node;
    if (current().is("-") || current().is("+")) {
      node =
          make(current().is("-") ? ExpressionKind::Negate : ExpressionKind::Plus, current().line);
      take();
      enter();
      adopt(*node, parse_unary(false));
      leave();
    } else {
      node = parse_primary();
    }
    node = parse_postfix(std::move(node));
    return with_filters ? parse_filters_and_tests(std::move(node)) : std::move(node);
  }
  void enter() {
    if (++expression_depth_ > kMaxNesting)
      fail_syntax(current().line, "the expression is nested more than {} deep", kMaxNesting);
  }
  void leave() { --expression_depth_; }

  ExpressionPointer parse_primary() {
    const Token& token = current();
    if (token.kind == TokenKind::Constant) {
      ExpressionPointer node = make(ExpressionKind::Constant, token.line);
      node->constant = token.constant;
      take();
      if (token.constant.as_text()) {
        // texts side by side are one
        std::string text = *token.constant.as_text();
        bool has_more = false;
        while (current().kind == TokenKind::Constant && current().constant.as_text()) {
          text += *take().constant.as_text();
          has_more = true;
        }
        if (has_more) node->constant = Value(std::move(text));
      }
      return node;
    }
    if (token.kind == TokenKind::Name) {
      take();
      ExpressionPointer node = make(ExpressionKind::Constant, token.line);
      if (token.text == "true" || token.text == "True") {
        node->constant = Value(true);
      } else if (token.text == "false" || token.text == "False") {
        node->constant = Value(false);
      } else if (token.text != "none" && token.text != "None") {
        node->kind = ExpressionKind::Name;
        node->name = token.text;
        note_read(token.text);
      }
      return node;
    }
    if (token.is("(")) {
      take();
      enter();
      ExpressionPointer node = parse_tuple(true, "", true);
      leave();
      expect(")");
      return node;
    }
    if (token.is("[")) {
      ExpressionPointer node = make(ExpressionKind::List, take().line);
      while (!current().is("]")) {
        if (!node->children.empty()) expect(",");
        if (current().is("]")) break;
        adopt(*node, parse_expression());
      }
      take();
      return node;
    }
    if (token.is("{")) {
      ExpressionPointer node = make(ExpressionKind::Dict, take().line);
      while (!current().is("}")) {
        if (!node->children.empty()) expect(",");
        if (current().is("}")) break;
        adopt(*node, parse_expression());
        expect(":");
        adopt(*node, parse_expression());
      }
      take();
      return node;
    }
    fail_syntax(token.line, "unexpected {}", describe(token));
  }

  ExpressionPointer parse_postfix(ExpressionPointer node) {
    while (true) {
      if (current().is("."))
        node = parse_attribute(std::move(node));
      else if (current().is("["))
        node = parse_item(std::move(node));
      else if (current().is("("))
        node = parse_call(std::move(node));
      else
        return node;
    }
  }

  ExpressionPointer parse_attribute(ExpressionPointer object) {
    const int line = take().line;
    const Token& name = take();
    if (name.kind == TokenKind::Name) {
      ExpressionPointer node = make(ExpressionKind::GetAttribute, line);
      node->name = name.text;
      adopt(*node, std::move(object));
      return node;
    }
    if (name.kind != TokenKind::Constant || !name.constant.as_integer())
      fail_syntax(name.line, "expected a name or number behind '.', found {}", describe(name));
    ExpressionPointer index = make(ExpressionKind::Constant, name.line);
    index->constant = name.constant;
    ExpressionPointer node = make(ExpressionKind::GetItem, line);
    adopt(*node, std::move(object));
    adopt(*node, std::move(index));
    return node;
  }

  ExpressionPointer parse_item(ExpressionPointer object) {
    const int line = take().line;
    std::vector<ExpressionPointer> items;
    while (!current().is("]")) {
      if (!items.empty()) expect(",");
      items.push_back(parse_subscript());
    }
    take();
    ExpressionPointer node = make(ExpressionKind::GetItem, line);
    adopt(*node, std::move(object));
    if (items.size() == 1) {
      adopt(*node, std::move(items[0]));
    } else {
      ExpressionPointer tuple = make(ExpressionKind::Tuple, line);
      for (ExpressionPointer& item : items) adopt(*tuple, std::move(item));
      adopt(*node, std::move(tuple));
    }
    return node;
  }
  ExpressionPointer parse_subscript() {
    const int line = current().line;
    ExpressionPointer begin;
    if (!current().is(":")) {
      begin = parse_expression();
      if (!current().is(":")) return begin;
    }
    take();
    const auto parse_bound = [&]() -> ExpressionPointer {
      if (current().is(":") || current().is("]") || current().is(",")) return nullptr;
      return parse_expression();
    };
    ExpressionPointer node = make(ExpressionKind::Slice, line);
    adopt(*node, std::move(begin));
    adopt(*node, parse_bound());
    adopt(*node, skip_if(":") ? parse_bound() : nullptr);
    return node;
  }

  void parse_arguments(Expression& call) {
    using Kind = CallShape::Kind;
    const int line = expect("(").line;
    call.call.first = call.children.size();
    const auto has = [&](Kind kind) {
      return std::any_of(call.call.arguments.begin(), call.call.arguments.end(),
                         [&](const auto& argument) { return argument.first == kind; });
    };
    while (!current().is(")")) {
      if (!call.call.arguments.empty()) expect(",");
      if (current().is(")")) break;
      Kind kind = Kind::Positional;
      std::string name;
      if (skip_if("*")) {
        kind = Kind::UnpackedList;
      } else if (skip_if("**")) {
        kind = Kind::UnpackedDict;
      } else if (current().kind == TokenKind::Name && ahead().is("=")) {
        kind = Kind::Keyword;
        name = take().text;
        take();
      }
      const bool is_misplaced = kind == Kind::UnpackedDict || kind == Kind::Keyword
                                    ? has(Kind::UnpackedDict)
                                    : has(Kind::UnpackedDict) || has(Kind::UnpackedList) ||
                                          (kind == Kind::Positional && has(Kind::Keyword));
      if (is_misplaced)
        fail_syntax(line, "arguments without a name come first, then those with one, then '**'");
      call.call.arguments.emplace_back(kind, std::move(name));
      adopt(call, parse_expression());
    }
    take();
  }

  ExpressionPointer parse_call(ExpressionPointer callee) {
    ExpressionPointer node = make(ExpressionKind::Call, current().line);
    adopt(*node, std::move(callee));
    parse_arguments(*node);
    return node;
  }

  std::string parse_dotted_name() {
    std::string name = expect_name().text;
    while (skip_if(".")) name += "." + expect_name().text;
    return name;
  }

  // The name of a filter and its arguments; `input` may be null.
  ExpressionPointer parse_filter(ExpressionPointer input) {
    ExpressionPointer node = make(ExpressionKind::Filter, current().line);
    node->name = parse_dotted_name();
    node->filter = find_filter(node->name);
    if (!node->filter)
      fail_syntax(node->line, "unknown filter '{}'{}", node->name,
                  suggestion(node->name, filter_names()));
    adopt(*node, std::move(input));
    node->call.first = node->children.size();
    if (current().is("(")) parse_arguments(*node);
    return node;
  }
  ExpressionPointer parse_filters(ExpressionPointer node) {
    while (skip_if("|")) node = parse_filter(std::move(node));
    return node;
  }

  ExpressionPointer parse_filters_and_tests(ExpressionPointer node) {
    while (true) {
      if (current().is("|")) {
        take();
        node = parse_filter(std::move(node));
      } else if (current().is("is")) {
        node = parse_test(std::move(node));
      } else if (current().is("(")) {
        node = parse_call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExpressionPointer parse_test(ExpressionPointer operand) {
    const int line = take().line;
    const bool is_negated = skip_if("not");
    ExpressionPointer node = make(ExpressionKind::Test, line);
    node->name = parse_dotted_name();
    node->test = find_test(node->name);
    if (!node->test)
      fail_syntax(line, "unknown test '{}'{}", node->name, suggestion(node->name, test_names()));
    adopt(*node, std::move(operand));
    node->call.first = node->children.size();
    const Token& token = current();
    const bool begins_operand = token.kind == TokenKind::Name ||
                                token.kind == TokenKind::Constant || token.is("[") || token.is("{");
    if (token.is("(")) {
      parse_arguments(*node);
    } else if (token.is("is")) {
      fail_syntax(line, "'is' cannot follow another 'is'; write 'and'");
    } else if (begins_operand && !token.is("else") && !token.is("or") && !token.is("and")) {
      node->call.arguments.emplace_back(CallShape::Kind::Positional, "");
      adopt(*node, parse_postfix(parse_primary()));
    }
    if (!is_negated) return node;
    ExpressionPointer negation = make(ExpressionKind::Not, line);
    adopt(*negation, std::move(node));
    return negation;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int block_depth_ = 0, expression_depth_ = 0, target_depth_ = 0;
  std::vector<std::vector<std::string>> scopes_;
  std::vector<std::string> variable_names_;
};

}  // namespace

ParsedTemplate parse(std::string_view source) {
  return Parser(tokenize(source)).run();
}

}  // namespace flanmoe::text::jinja
