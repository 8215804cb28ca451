#include "text/jinja.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/parser.h"

namespace flanmoe::text {
namespace {

// What is built from one source is nested at most as deep as it is long; so is its destruction.
constexpr size_t kMaxSourceBytes = size_t{1} << 17;

}  // namespace

struct JinjaTemplate::Syntax {
  jinja::Block body;
};

JinjaTemplate::JinjaTemplate(std::string_view source, std::string where)
    : where_(std::move(where)) {
  if (source.size() > kMaxSourceBytes)
    fail(ErrorCode::InvalidConfig, "{}: the template has {} bytes, at most {} are read", where_,
         source.size(), kMaxSourceBytes);
  try {
    jinja::ParsedTemplate parsed = jinja::parse(source);
    syntax_ = std::make_unique<const Syntax>(Syntax{std::move(parsed.body)});
    variable_names_ = std::move(parsed.variable_names);
  } catch (const jinja::SyntaxFailure& failure) {
    throw Error(failure.code,
                fmt::format("{}, line {}: {}", where_, failure.line, failure.message));
  }
}

JinjaTemplate::~JinjaTemplate() = default;
JinjaTemplate::JinjaTemplate(JinjaTemplate&&) noexcept = default;
JinjaTemplate& JinjaTemplate::operator=(JinjaTemplate&&) noexcept = default;

std::string JinjaTemplate::render(const Json& variables, RandomKey key, MissingVariable missing,
                                  const JinjaLimits& limits) const {
  jinja::Runtime runtime(key, jinja::Budget(limits.max_steps, limits.max_bytes));
  jinja::Evaluator evaluator(variables, missing, runtime);
  try {
    return evaluator.run(syntax_->body);
  } catch (const jinja::Failure& failure) {
    throw Error(failure.code,
                fmt::format("{}, line {}: {}", where_, evaluator.line(), failure.message));
  }
}

}  // namespace flanmoe::text
