// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace flanmoe::text::jinja {

using FilterFunction = Value (*)(Runtime& runtime, const Value& value, const Arguments& arguments);
using TestFunction = bool (*)(Runtime& runtime, const Value& value, const Arguments& arguments);

enum class ExpressionKind {
  Constant,
  Name,
  List,
  Tuple,
  Dict,  // children: key, value, key, value, ...
  GetAttribute,
  GetItem,
  Slice,   // begin, end, step; null where left out
  Call,    // callee, then arguments
  Filter,  // input (null: the text of a block), then arguments
  Test,    // operand, then arguments
  Negate,
  Plus,
  Not,
  And,
  Or,
  Binary,  // +, -, *, /, //, %, **
  Concat,
  Compare,  // operand, operand, ...; one operator fewer
  Choose,   // condition, value, otherwise (null where left out)
};

enum class Operator {
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  In,
  NotIn
};

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

// Where in `children` the arguments of a call begin and what they are called.
struct CallShape {
  enum class Kind { Positional, Keyword, UnpackedList, UnpackedDict };
  size_t first = 0;
  std::vector<std::pair<Kind, std::string>> arguments;
};

struct Expression {
  ExpressionKind kind;
  int line;
  int height = 1;  // of the tree below
  std::string name;
  Value constant;
  std::vector<ExpressionPointer> children;
  std::vector<Operator> operators;
  CallShape call;
  FilterFunction filter = nullptr;
  TestFunction test = nullptr;
};

enum class StatementKind { Text, Print, If, For, Set, SetBlock, With, FilterBlock };

struct Statement;
using Block = std::vector<Statement>;

// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  enum class Kind { Name, Attribute, Tuple };
  Kind kind = Kind::Name;
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Statement {
  StatementKind kind;
  int line;
  std::string text;  // Text
  std::vector<ExpressionPointer>
      expressions;  // Print: one; If: a condition for every branch but an else; For:
                    // iterable and filter (null); Set, With: values;
                    // SetBlock, FilterBlock: filters (null)
  std::vector<Target> targets;
  std::vector<Block> blocks;  // If: branches; For: body, else
};

}  // namespace flanmoe::text::jinja
