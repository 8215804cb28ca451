#include "text/jinja.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/error.h"
#include "base/json.h"

namespace flanmoe::text {
namespace {

const RandomKey kKey(1, RandomPurpose::Template);

const Json& variables() {
  static const Json values = Json::parse(R"({
    "s": "hello world", "u": "Größe ΣΑΣ ß", "n": 7, "f": 2.5, "l": [3, 1, 2], "ls": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": "x", "items": 9}, "none": null, "t": true,
    "rows": [{"k": "x", "v": 2, "in": {"q": 1}}, {"k": "Y", "v": 1, "in": {"q": 5}}, {"k": "x", "v": 3, "in": {"q": 0}}],
    "choices": {"text": ["red", "blue"], "label": ["A", "B"]}, "answerKey": "B", "label": 1,
    "fl": [0.1, 1e16, 1e-5, 123456789.123, -0.0], "quoted": "it's \"q\" \\ \n é\u0000"})");
  return values;
}

std::string render(std::string_view source, MissingVariable missing = MissingVariable::Empty) {
  return JinjaTemplate(source, "t").render(variables(), kKey, missing);
}

Error failure(std::string_view source, MissingVariable missing = MissingVariable::Empty) {
  try {
    const std::string text = render(source, missing);
    ADD_FAILURE() << source << " gave '" << text << "'";
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::Internal, "none");
}

struct Case {
  std::string_view source, expected;  // what Jinja2 3.1.6 gives
};

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& one : cases) EXPECT_EQ(render(one.source), one.expected) << one.source;
}

TEST(JinjaTest, PrintsValuesAsPython) {
  expect_all({{"{{ l }} {{ d }}", "[3, 1, 2] {'b': 1, 'a': 'x', 'items': 9}"},
              {"{{ none }} {{ t }} {{ [none, t, 1.0] }}", "None True [None, True, 1.0]"},
              {"{{ (1,) }} {{ () }} {{ (1, 'a') }}", "(1,) () (1, 'a')"},
              {"{{ fl }}", "[0.1, 1e+16, 1e-05, 123456789.123, -0.0]"},
              {"{{ [quoted] }}", "['it\\'s \"q\" \\\\ \\n é\\x00']"},
              {"{{ [\"it's\"] }}", "[\"it's\"]"},
              {"{{ range(3) }} {{ {1: 'a'} }}", "range(0, 3) {1: 'a'}"},
              {"{{ d.keys() }}", "dict_keys(['b', 'a', 'items'])"},
              {"[{{ missing }}][{{ d.zz }}][{{ l[9] }}]", "[][][]"}});
}

TEST(JinjaTest, Literals) {
  expect_all({{"{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1e3 }} {{ 1.5e-7 }}",
               "1000 31 5 15 1000.0 1.5e-07"},
              {"{{ 'a\\n\\t\\x41\\u00e9\\'' }}", "a\n\tAé'"},
              {"{{ 'a' \"b\" }} {{ 'q\\qx' }}", "ab q\\qx"},
              {"{{ {'a': {'b': 1}}.a.b }} {{ [1, 2,][1] }} {{ (1, 2)[0] }}", "1 2 1"},
              {"{{ '}}' }} {{ {'a':{}} }}", "}} {'a': {}}"}});
}

TEST(JinjaTest, Arithmetic) {
  expect_all(
      {{"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }}", "3 -4 -2 2 3.5"},
       {"{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}", "1024 0.5 64 4"},
       {"{{ -7.5 % 2 }} {{ 7.5 // 2 }} {{ 1 + 2 * 3 - 4 }}", "0.5 3.0 3"},
       {"{{ 'ab' * 3 }} {{ [1] * 2 + [3] }} {{ 'a' ~ 1 ~ none }}", "ababab [1, 1, 3] a1None"},
       {"{{ '%s is %d and %.2f|%5s|%-5s|%05d' % ('a', 3, 2.5, 'r', 'l', 42) }}",
        "a is 3 and 2.50|    r|l    |00042"}});
}

TEST(JinjaTest, ComparisonsAndLogic) {
  expect_all(
      {{"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ 1 == true }}", "True False True True"},
       {"{{ 'a' in 'abc' }} {{ 4 not in l }} {{ 'b' in d }} {{ 3 in range(5) }}",
        "True True True True"},
       {"{{ not 1 }} {{ 1 and 0 }} {{ 0 or 'x' }}", "False 0 x"},
       {"{{ 'x' if n > 5 else 'y' }}[{{ 'x' if false }}]", "x[]"},
       {"{{ [1, 2] < [1, 3] }} {{ 'a' == 1 }} {{ n is divisibleby 7 }}", "True False True"},
       {"{{ n is odd and n is not even }} {{ missing is defined }} {{ d is mapping }} {{ 3 is in l "
        "}}",
        "True False True True"}});
}

TEST(JinjaTest, ItemsSlicesAndAttributes) {
  expect_all({{"{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ u[2] }} {{ u[1:5] }}",
               "hd ell dlrow olleh ö röße"},
              {"{{ l[-1:] }} {{ l[::-2] }} {{ l.0 }} {{ l[5:1:-1] }}", "[2] [2, 3] 3 [2]"},
              {"{{ d.a }} {{ d['items'] }} {{ rows[0].in.q }}", "x 9 1"},
              {"{{ choices.text[choices.label.index(answerKey)] }}", "blue"},
              {"{{ choices['text'][label] }} {{ {'A': 0, 'B': 1}[answerKey] }}", "blue 1"}});
}

TEST(JinjaTest, TextMethods) {
  expect_all(
      {{"{{ ' a b  c '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }}",
        "['a', 'b', 'c'] ['a', 'b,c'] ['a,b', 'c']"},
       {"{{ s.replace('l', 'L', 2) }} {{ 'ab'.replace('', '-') }} {{ s.index('w') }} {{ "
        "s.count('l') }}",
        "heLLo world -a-b- 6 3"},
       {"{{ '-'.join(ls) }} {{ ' x '.strip() }}| {{ 'xxaxx'.lstrip('x') }}", "b-A-c-a x| axx"},
       {"{{ u.lower() }} {{ u.upper() }} {{ u.title() }} {{ u.capitalize() }}",
        "größe σας ß GRÖSSE ΣΑΣ SS Größe Σας Ss Größe σας ß"},
       {"{{ '{:>5}|{:^5}|{:.2f}|{:,}|{0}'.format('a', 'b', 2.5, 1234) if false else "
        "'{:>5}|{:.2f}|{:,}'.format('a', 2.5, 1234) }}",
        "    a|2.50|1,234"},
       {"{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a'.center(4, '*') }} {{ '42'.zfill(5) }}",
        "True True *a** 00042"},
       {"{{ s.startswith('he') }} {{ s.endswith(('x', 'ld')) }} {{ s.partition(' ') }}",
        "True True ('hello', ' ', 'world')"}});
}

TEST(JinjaTest, TextFilters) {
  expect_all(
      {{"{{ s | title }} {{ \"it's o'neil\" | title }} {{ 'foo-bar (baz)' | title }}",
        "Hello World It's O'neil Foo-Bar (Baz)"},
       {"{{ 'foo bar baz qux' | truncate(9) }} {{ s | truncate(5, true, '') }}", "foo... hello"},
       {"{{ '  x ' | trim }}| {{ 12321 | replace(2, 'x') }} {{ s | wordcount }} {{ s | capitalize "
        "}}",
        "x| 1x3x1 2 Hello world"},
       {"{{ 'a\nb' | indent(2) }}", "a\n  b"},
       {"{{ d | tojson }} {{ '<é😀>' | tojson }}",
        "{\"a\": \"x\", \"b\": 1, \"items\": 9} \"\\u003c\\u00e9\\ud83d\\ude00\\u003e\""},
       {"{{ missing | default('x') }} {{ '' | default('y', true) }} {{ '%d%%' | format(5) }}",
        "x y 5%"}});
}

TEST(JinjaTest, NumberFilters) {
  expect_all({{"{{ '42.7' | int }} {{ 'x' | int(5) }} {{ '0x1f' | int(0, 16) }} {{ ' 12 ' | int }} "
               "{{ '3.5' | float }}",
               "42 5 31 12 3.5"},
              {"{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42.55 | round(1, "
               "'floor') }} {{ 5 | round }}",
               "2.0 4.0 2.67 42.5 5"},
              {"{{ 0.1 + 0.2 }} {{ -5 | abs }} {{ l | sum }} {{ 1234567 | filesizeformat }}",
               "0.30000000000000004 5 6 1.2 MB"}});
}

TEST(JinjaTest, SequenceFilters) {
  expect_all({{"{{ l | join(', ') }} {{ rows | join('-', attribute='k') }} {{ ls | first }} {{ ls "
               "| last }} {{ l | length }}",
               "3, 1, 2 x-Y-x b a 3"},
              {"{{ ls | sort }} {{ ls | sort(case_sensitive=true) }} {{ l | sort(reverse=true) }}",
               "['A', 'a', 'b', 'c'] ['A', 'a', 'b', 'c'] [3, 2, 1]"},
              {"{{ rows | sort(attribute='k,v') | map(attribute='v') | join }} {{ ['a', 'A', 'b'] "
               "| unique | list }}",
               "231 ['a', 'b']"},
              {"{{ rows | selectattr('v', 'gt', 1) | map(attribute='v') | list }} {{ l | "
               "reject('odd') | list }} {{ [0, 1] | select | list }}",
               "[2, 3] [2] [1]"},
              {"{{ rows | groupby('k') | map('first') | list }} {{ {'b': 2, 'A': 1} | dictsort }}",
               "['x', 'Y'] [('A', 1), ('b', 2)]"},
              {"{{ [1, 2, 3] | batch(2, '-') | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }}",
               "[[1, 2], [3, '-']] [[1, 2], [3, 4], [5]]"},
              {"{{ l | reverse | list }} {{ s | reverse }} {{ l | max }} {{ ls | min }}",
               "[2, 1, 3] dlrow olleh 3 A"},
              {"{{ zip(l, ls) | list }} {{ ['x', 'y', 'x'] | most_frequent }}",
               "[(3, 'b'), (1, 'A'), (2, 'c')] ['x']"}});
}

TEST(JinjaTest, AnIteratorIsUsedUp) {
  EXPECT_EQ(render("{% set g = ls | map('upper') %}{{ g | join }}[{{ g | join }}]"), "BACA[]");
}

TEST(JinjaTest, Loops) {
  expect_all({{"{% for i in l %}{{ loop.index }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last "
               "}};{% endfor %}",
               "12TrueFalse;21FalseFalse;30FalseTrue;"},
              {"{% for i in [] %}x{% else %}empty{% endfor %}", "empty"},
              {"{% for i in l if i > 1 %}{{ i }}/{{ loop.length }} {% endfor %}", "3/2 2/2 "},
              {"{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"},
              {"{% for l, t in zip(choices.label, choices.text) %}{{ l }}: {{ t }}\n{% endfor %}",
               "A: red\nB: blue\n"},
              {"{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.cycle('a', 'b') }}{{ "
               "loop.previtem }} {% endfor %}",
               "Truea Falseb1 Truea1 "},
              {"{% for k in d %}{{ k }}{% endfor %} {% for k, v in d.items() %}{% endfor %}",
               "baitems "}});
}

TEST(JinjaTest, ScopesAsInJinja2) {
  expect_all(
      {{"{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "3121"},
       {"{% if t %}{% set y = 5 %}{% endif %}{{ y }}", "5"},
       {"{% set ns = namespace(c=0) %}{% for i in l %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c "
        "}}",
        "6"},
       {"{% for i in l %}{% if loop.first %}{% set z = 1 %}{% endif %}[{{ z }}]{% endfor %}",
        "[1][][]"},
       {"{% with a = 1 %}{{ a }}{% endwith %}[{{ a }}]", "1[]"},
       {"{% set b | upper %}in {{ s }}{% endset %}{{ b }} {% filter upper %}x{% endfilter %}",
        "IN HELLO WORLD X"},
       {"{% set a, b = 1, 2 %}{{ b }}{{ a }}", "21"}});
}

TEST(JinjaTest, Whitespace) {
  expect_all({{"a\n", "a"},
              {"a\n\n", "a\n"},
              {"{% if t %}\n x\n{% endif %}\n y", "\n x\n\n y"},
              {"x {%- if t -%}  z  {%- endif -%} w", "xzw"},
              {"a {#- note -#} b {# c #}", "ab "},
              {"{% raw %}{{ x }}{% endraw %} {%- raw -%} y {%- endraw %}", "{{ x }}y"},
              {"a\r\nb\rc", "a\nb\nc"},
              {"  {{- s -}}  x", "hello worldx"}});
}

TEST(JinjaTest, ChoiceFollowsTheKey) {
  const JinjaTemplate source("{{ ls | choice }}{{ ls | choice }}");
  const std::string first = source.render(variables(), kKey);
  EXPECT_EQ(source.render(variables(), kKey), first);
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 400; ++i) seen.insert(source.render(variables(), kKey.fold(i)));
  EXPECT_EQ(seen.size(), 16u);  // both draws reach everything, independently
  EXPECT_EQ(failure("{{ [] | choice }}").code(), ErrorCode::InvalidArgument);
}

TEST(JinjaTest, RendersInSeveralThreads) {
  const JinjaTemplate source("{% for i in l %}{{ i }}{{ ls | join }}{% endfor %}{{ d }}");
  const std::string expected = source.render(variables(), kKey);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) wrong[t] += source.render(variables(), kKey) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(JinjaTest, VariableNames) {
  EXPECT_EQ(JinjaTemplate("{% for a in l %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}{% set c = d "
                          "%}{{ c }}{{ range(2) }}")
                .variable_names(),
            (std::vector<std::string>{"l", "b", "d"}));
}

TEST(JinjaTest, WrongSourcesAreNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a\n{{ s | uper }}", "t, line 2: unknown filter 'uper' (did you mean 'upper'?)"},
      {"{% if s is definde %}{% endif %}",
       "t, line 1: unknown test 'definde' (did you mean 'defined'?)"},
      {"{% fi t %}", "t, line 1: unknown tag 'fi' (did you mean 'if'?)"},
      {"\n{% if t %}", "t, line 2: 'if' is never closed by 'endif'"},
      {"{{ (1 }}", "t, line 1: unexpected '}', expected ')'"},
      {"{{ 'abc }}", "t, line 1: a text is opened by ' and never closed"},
      {"{{ a b }}", "t, line 1: expected '}}', found 'b'"},
      {"{% for x in l %}{% endfr %}{% endfor %}",
       "t, line 1: unknown tag 'endfr' (did you mean 'endfor'?)"},
      {"{# x", "t, line 1: '{#' is never closed by '#}'"},
      {"{% set true = 1 %}", "t, line 1: 'true' cannot be assigned to"},
      {"{{ 99999999999999999999 }}",
       "t, line 1: 99999999999999999999 does not fit into 64 bits with a sign"}};
  for (const auto& [source, message] : cases) {
    const Error error = failure(source);
    EXPECT_EQ(error.code(), ErrorCode::InvalidConfig) << source;
    EXPECT_EQ(std::string_view(error.what()), message) << source;
  }
  EXPECT_EQ(failure("{% macro a() %}{% endmacro %}").code(), ErrorCode::Unsupported);
  EXPECT_EQ(failure("\xff").code(), ErrorCode::InvalidConfig);
}

TEST(JinjaTest, WrongUsesAreNamed) {
  const std::tuple<std::string_view, ErrorCode, std::string_view> cases[] = {
      {"\n\n{{ s.uper() }}", ErrorCode::NotFound,
       "t, line 3: a 'str' has no 'uper' (did you mean 'upper'?)"},
      {"{{ d.bb.c }}", ErrorCode::NotFound, "t, line 1: a 'dict' has no 'bb' (did you mean 'b'?)"},
      {"{{ 1 + 'a' }}", ErrorCode::InvalidArgument,
       "t, line 1: '+' does not go with 'int' and 'str'"},
      {"{{ 1 / 0 }}", ErrorCode::InvalidArgument, "t, line 1: division by zero"},
      {"{{ l | join(',', sep=1) }}", ErrorCode::InvalidArgument,
       "t, line 1: 'join' has no argument 'sep' (one of: d, attribute)"},
      {"{{ 3 | length }}", ErrorCode::InvalidArgument, "t, line 1: a 'int' has no length"},
      {"{{ l | map('uper') | list }}", ErrorCode::InvalidArgument,
       "t, line 1: unknown filter 'uper' (did you mean 'upper'?)"},
      {"{{ [3, 'a'] | sort }}", ErrorCode::InvalidArgument,
       "t, line 1: 'str' and 'int' have no order"},
      {"{% for a, b in [[1, 2, 3]] %}{% endfor %}", ErrorCode::InvalidArgument,
       "t, line 1: 3 values cannot go to 2 names"}};
  for (const auto& [source, code, message] : cases) {
    const Error error = failure(source);
    EXPECT_EQ(error.code(), code) << source;
    EXPECT_EQ(std::string_view(error.what()), message) << source;
  }
  EXPECT_NE(std::string_view(failure("{{ lss.x }}").what())
                .find("no variable 'lss' (did you mean 'ls'? there are: s, u, n"),
            std::string_view::npos);
}

TEST(JinjaTest, MissingVariablesAreErrorsWhereAskedFor) {
  for (const std::string_view source : {"{{ missing }}", "{% for i in missing %}{% endfor %}",
                                        "{{ missing == 1 }}", "{{ s ~ missing }}"})
    EXPECT_EQ(failure(source, MissingVariable::Error).code(), ErrorCode::NotFound) << source;
  for (const std::string_view source :
       {"{{ missing | default('') }}", "{% if missing %}{% endif %}", "{{ missing is defined }}",
        "{{ 1 if missing }}"})
    EXPECT_NO_THROW(render(source, MissingVariable::Error)) << source;
}

TEST(JinjaTest, RunawayTemplatesEnd) {
  for (const std::string_view source :
       {"{% for i in range(10 ** 12) %}{% endfor %}", "{{ 'a' * 10 ** 12 }}",
        "{{ range(10 ** 10) | list }}", "{{ 'x'.center(10 ** 12) }}", "{{ '%1000000000d' % 1 }}",
        "{{ 9 ** 99 }}", "{{ 's' | indent(10 ** 11) }}", "{% set p = [] %}{{ p.append(p) }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% "
        "endfor %}{{ ns.l }}"})
    EXPECT_EQ(failure(source).code(), ErrorCode::InvalidArgument) << source;
  EXPECT_EQ(failure("{{ " + std::string(5000, '(') + " }}").code(), ErrorCode::InvalidConfig);
  EXPECT_EQ(failure("{{ 1" + std::string(5000, '-') + "1 }}").code(), ErrorCode::InvalidConfig);
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += " + 1";
  EXPECT_EQ(failure(sum + " }}").code(), ErrorCode::InvalidConfig);
}

}  // namespace
}  // namespace flanmoe::text
