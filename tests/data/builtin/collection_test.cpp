#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/hash.h"
#include "data/builtin.h"
#include "data/builtin/corpus.h"
#include "data/builtin/solve.h"
#include "data/builtin/task.h"
#include "data/jsonl.h"
#include "text/tokenizer.h"

namespace flanmoe::data::builtin {
namespace {

constexpr uint64_t kExamples = 300;
constexpr int64_t kLevels[] = {1, 2, 3, 4, 5};

using Fields = std::map<std::string, std::string>;

Fields texts_of(const Example& example) {
  Fields fields;
  for (const auto& [name, value] : example.fields.items()) fields[name] = field_text(value);
  return fields;
}

const Knowledge& knowledge() {
  static const Knowledge read = read_corpus(1, 0, kFullCorpusPeriod);
  return read;
}

// Every example of every task, both splits and template sets, all levels and languages.
void for_each_version(uint64_t num_examples,
                      const std::function<void(const TaskInfo&, const Example&)>& check) {
  for (const TaskInfo& task : tasks())
    for (const Split split : {Split::Train, Split::Evaluation})
      for (const TemplateSet templates : {TemplateSet::Seen, TemplateSet::Unseen})
        for (const int64_t level : kLevels)
          for (const std::string& language : task.languages)
            for (uint64_t i = 0; i < num_examples; ++i)
              check(task, make_example(task.name, split, templates, 3, i, {level, language}));
}

// Templates in all languages, with the language.
void for_each_template(
    const TaskDefinition& task,
    const std::function<void(const std::string& source, const std::string& language)>& check) {
  for (const auto* templates : {&task.templates, &task.unseen_templates})
    for (const std::string& source : *templates) check(source, task.language);
  for (const auto& [language, texts] : task.translations)
    for (const auto* templates : {&texts.seen, &texts.unseen})
      for (const std::string& source : *templates) check(source, language);
}

bool is_held_out(const TaskDefinition& task) {
  const auto& clusters = held_out_clusters();
  return std::find(clusters.begin(), clusters.end(), task.cluster) != clusters.end();
}

std::string without_fields(const std::string& source) {
  return std::regex_replace(source, std::regex("\\{[a-z]+\\}"), " ");
}

std::set<std::string> grams(const std::string& text, size_t size) {
  std::set<std::string> result;
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  for (size_t i = 0; i + size <= words.size(); ++i) {
    std::string gram;
    for (size_t k = 0; k < size; ++k) gram += words[i + k] + " ";
    result.insert(gram);
  }
  return result;
}

TEST(Builtin, HasTheTasksClustersAndTemplates) {
  std::set<std::string> names;
  std::map<std::string, int> clusters;
  int num_easy = 0, num_easy_held_out = 0, num_parallel = 0, num_with_levels = 0;
  for (const TaskInfo& task : tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    ++clusters[task.cluster];
    const bool is_old_reading = task.is_easy && task.is_held_out;
    EXPECT_GE(task.num_templates, is_old_reading ? 3 : 4) << task.name;
    EXPECT_GE(task.num_unseen_templates, 2) << task.name;
    EXPECT_FALSE(task.description.empty());
    EXPECT_FALSE(task.languages.empty());
    (task.is_held_out ? num_easy_held_out : num_easy) += task.is_easy;
    num_parallel += task.languages.size() >= 4;
    num_with_levels += !task.level_changes.empty();
    if (task.is_easy) EXPECT_TRUE(task.level_changes.empty()) << task.name;
  }
  EXPECT_GE(names.size(), 64u);
  EXPECT_EQ(clusters.size(), 14u);
  EXPECT_EQ(held_out_clusters().size(), 4u);
  for (const std::string& cluster : held_out_clusters()) EXPECT_GE(clusters[cluster], 4) << cluster;
  EXPECT_EQ(num_easy, 16);
  EXPECT_EQ(num_easy_held_out, 4);
  EXPECT_GE(num_parallel, 6);
  EXPECT_GE(num_with_levels, 55);
}

TEST(Builtin, NoTemplateTextComesTwiceInALanguage) {
  std::set<std::string> texts;
  for (const TaskDefinition& task : make_all_tasks())
    for_each_template(task, [&](const std::string& source, const std::string& language) {
      EXPECT_TRUE(texts.insert(language + " " + source).second) << task.name << ": " << source;
    });
}

TEST(Builtin, EveryLanguageHasAsManyTemplates) {
  for (const TaskDefinition& task : make_all_tasks())
    for (const auto& [language, texts] : task.translations) {
      EXPECT_EQ(texts.seen.size(), task.templates.size()) << task.name << " " << language;
      EXPECT_EQ(texts.unseen.size(), task.unseen_templates.size()) << task.name << " " << language;
    }
}

TEST(Builtin, TwoTemplatesOfATaskAreWordedVeryDifferently) {
  for (const TaskDefinition& task : make_all_tasks()) {
    double least = 1;
    for (const std::string& a : task.templates)
      for (const std::string& b : task.templates) {
        std::set<std::string> first, second, both, either;
        for (const std::string& word : words_of(without_fields(a))) first.insert(word);
        for (const std::string& word : words_of(without_fields(b))) second.insert(word);
        std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                              std::inserter(both, both.end()));
        std::set_union(first.begin(), first.end(), second.begin(), second.end(),
                       std::inserter(either, either.end()));
        if (!either.empty())
          least = std::min(least,
                           static_cast<double>(both.size()) / static_cast<double>(either.size()));
      }
    // The easy ones stay as they are.
    EXPECT_LE(least, task.is_easy ? 0.34 : 0.2) << task.name;
  }
}

TEST(Builtin, TheHeldOutClustersShareNoGeneratorAndNoWordingWithTheOthers) {
  std::set<Draft (*)(RandomStream&, const Request&)> own_generators, other_generators;
  std::set<std::string> own_templates, other_templates, own_texts, other_texts;
  for (const TaskDefinition& task : make_all_tasks()) {
    const bool is_own = is_held_out(task);
    (is_own ? own_generators : other_generators).insert(task.draw);
    for_each_template(task, [&](const std::string& source, const std::string&) {
      (is_own ? own_templates : other_templates)
          .merge(grams(std::regex_replace(source, std::regex("\\{[a-z]+\\}"), "{}"), 5));
    });
    for (const int64_t level : {2, 4})
      for (const TemplateSet templates : {TemplateSet::Seen, TemplateSet::Unseen})
        for (uint64_t i = 0; i < 300; ++i)
          (is_own ? own_texts : other_texts)
              .merge(grams(make_example(task.name, is_own ? Split::Evaluation : Split::Train,
                                        templates, 1, i, {level, ""})
                               .inputs,
                           13));
  }
  EXPECT_EQ(own_generators.size(), 19u);
  for (auto generator : own_generators) EXPECT_EQ(other_generators.count(generator), 0u);
  EXPECT_FALSE(own_templates.empty());
  EXPECT_FALSE(own_texts.empty());
  for (const std::string& gram : own_templates) EXPECT_EQ(other_templates.count(gram), 0u) << gram;
  for (const std::string& gram : own_texts) EXPECT_EQ(other_texts.count(gram), 0u) << gram;
}

TEST(Builtin, HeldOutTextsAndInstructionsAreNotInTheCorpora) {
  for (const Corpus corpus : {Corpus::Full, Corpus::Easy}) {
    std::string text;
    for (uint64_t i = 0; i < 20000; ++i) text += make_document(1, i, corpus) + "\n";
    EXPECT_EQ(text.find("____"), std::string::npos);
    for (const TaskDefinition& task : make_all_tasks())
      for (uint64_t i = 0; i < 100; ++i) {
        const Example example =
            make_example(task.name, Split::Evaluation,
                         i % 2 == 0 ? TemplateSet::Seen : TemplateSet::Unseen, 1, i);
        // "zero =" is short enough to be anywhere.
        if (words_of(example.inputs).size() >= 5)
          EXPECT_EQ(text.find(example.inputs), std::string::npos) << example.inputs;
        for (const char* field : {"story", "table"})
          if (is_held_out(task) && example.fields.contains(field))
            EXPECT_EQ(text.find(example.fields.at(field).get<std::string>()), std::string::npos)
                << example.inputs;
      }
  }
}

TEST(Builtin, EveryAnswerFollowsFromTheFields) {
  for_each_version(25, [](const TaskInfo& task, const Example& example) {
    ASSERT_EQ(solve(example, knowledge()), example.targets)
        << task.name << ": " << example.inputs << "\n"
        << example.where;
    for (const auto& [name, value] : texts_of(example)) {
      const bool is_optional = name == "language" || name == "options";
      if (is_optional) continue;
      ASSERT_NE(example.inputs.find(value), std::string::npos)
          << task.name << ": " << example.inputs << " lacks " << name;
    }
  });
}

TEST(Builtin, EveryAnswerOfTheDefaultLevelFollowsFromTheFields) {
  for (const TaskInfo& task : tasks())
    for (const Split split : {Split::Train, Split::Evaluation})
      for (uint64_t i = 0; i < 600; ++i) {
        const Example example = make_example(task.name, split, TemplateSet::Seen, 4, i);
        ASSERT_EQ(solve(example, knowledge()), example.targets)
            << task.name << ": " << example.inputs;
      }
}

TEST(Builtin, TheCheckerObjectsToAWrongAnswer) {
  for (const TaskInfo& task : tasks()) {
    Example example = make_example(task.name, Split::Train, TemplateSet::Seen, 3, 0);
    const std::string right = example.targets;
    example.targets = right + "s";
    EXPECT_NE(solve(example, knowledge()), example.targets) << task.name;
    // Another answer of the same task.
    for (uint64_t i = 1; example.targets == right + "s" || example.targets == right; ++i)
      example.targets = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i).targets;
    EXPECT_NE(solve(example, knowledge()), example.targets) << task.name;
    if (example.choices.empty()) continue;
    const auto wrong = static_cast<size_t>(example.answer_index + 1) % example.choices.size();
    EXPECT_NE(solve(example, knowledge()), example.choices[wrong]);
  }
}

TEST(Builtin, RationalesEndInTheAnswerAndTheirEquationsHold) {
  static const std::regex equation("([0-9]+) ([-+*/]) ([0-9]+) = ([0-9]+)");
  std::set<std::string> clusters;
  std::set<std::string> with_rationale;
  int64_t num_equations = 0;
  for_each_version(20, [&](const TaskInfo& task, const Example& example) {
    const std::string& rationale = example.rationale;
    EXPECT_EQ(rationale.empty(), with_rationale.count(task.name) == 0 && rationale.empty());
    if (rationale.empty()) return;
    clusters.insert(task.cluster);
    with_rationale.insert(task.name);
    const std::string end = example.targets + ".";
    ASSERT_GE(rationale.size(), end.size());
    ASSERT_EQ(rationale.substr(rationale.size() - end.size()), end) << rationale;
    for (auto it = std::sregex_iterator(rationale.begin(), rationale.end(), equation);
         it != std::sregex_iterator(); ++it) {
      const int64_t a = std::stoll((*it)[1]), b = std::stoll((*it)[3]);
      const char sign = (*it)[2].str()[0];
      const int64_t result = sign == '+'   ? a + b
                             : sign == '-' ? a - b
                             : sign == '*' ? a * b
                                           : a / b;
      EXPECT_EQ(result, std::stoll((*it)[4])) << rationale;
      ++num_equations;
    }
  });
  for (const char* cluster : {"arithmetic", "measures", "world_knowledge", "counting", "inference",
                              "multilingual", "ordering", "tables"})
    EXPECT_EQ(clusters.count(cluster), 1u) << cluster;
  EXPECT_GE(with_rationale.size(), 30u);
  EXPECT_GT(num_equations, 10000);
  // A task has a working for all of its examples or for none.
  for (const TaskInfo& task : tasks())
    for (uint64_t i = 0; i < 20; ++i)
      EXPECT_EQ(make_example(task.name, Split::Train, TemplateSet::Seen, 9, i).rationale.empty(),
                with_rationale.count(task.name) == 0)
          << task.name;
}

TEST(Builtin, ExamplesAreWellFormed) {
  for_each_version(20, [](const TaskInfo& task, const Example& example) {
    EXPECT_EQ(example.task, task.name);
    EXPECT_EQ(example.cluster, task.cluster);
    EXPECT_FALSE(example.targets.empty());
    EXPECT_EQ(example.inputs.find_first_of("{}\n"), std::string::npos) << example.inputs;
    EXPECT_EQ(example.inputs.find("  "), std::string::npos) << example.inputs;
    EXPECT_NE(std::find(task.languages.begin(), task.languages.end(), example.lang),
              task.languages.end());
    if (task.languages.size() > 1) EXPECT_EQ(example.fields.at("language"), example.lang);
    if (task.is_easy) {
      EXPECT_LE(words_of(example.inputs).size(), 32u) << example.inputs;
      EXPECT_LE(words_of(example.targets).size(), 2u);
    }
    EXPECT_LE(example.inputs.size(), 700u) << example.inputs;
    if (task.chance > 0) {
      ASSERT_EQ(example.choices.size(), static_cast<size_t>(std::lround(1 / task.chance)));
      EXPECT_EQ(example.choices[static_cast<size_t>(example.answer_index)], example.targets);
      EXPECT_EQ(std::set<std::string>(example.choices.begin(), example.choices.end()).size(),
                example.choices.size())
          << example.inputs;
    } else {
      EXPECT_TRUE(example.choices.empty());
      EXPECT_EQ(example.answer_index, -1);
    }
  });
  for (const TaskInfo& task : tasks()) {
    std::set<std::string> ids, template_names;
    for (const int64_t level : kLevels)
      for (const std::string& language : task.languages)
        for (uint64_t i = 0; i < kExamples; ++i) {
          const Example example =
              make_example(task.name, Split::Train, TemplateSet::Seen, 3, i, {level, language});
          const bool is_new = ids.insert(example.id).second;
          EXPECT_TRUE(is_new || task.level_changes.empty()) << example.id;
          template_names.insert(example.template_name);
        }
    EXPECT_EQ(static_cast<int64_t>(template_names.size()), task.num_templates) << task.name;
  }
}

// What a task asks, without its wording: the fields, but for the order of options and lists where
// that does not matter.
Fields content_of(const TaskInfo& task, const Example& example) {
  Fields fields = texts_of(example);
  for (const char* name : {"options", "words"})
    if (fields.count(name) > 0 && task.cluster == "topics") {
      std::vector<std::string> words = words_of(fields[name]);
      std::sort(words.begin(), words.end());
      fields[name].clear();
      for (const std::string& word : words) fields[name] += word + " ";
    }
  return fields;
}

TEST(Builtin, TrainAndEvaluationShareNoInstance) {
  for (const TaskInfo& task : tasks())
    for (const int64_t level : {1, 2, 5}) {
      auto contents = [&](Split split, uint64_t seed, int64_t of_level) {
        std::set<Fields> result;
        for (uint64_t i = 0; i < 1500; ++i)
          result.insert(content_of(
              task, make_example(task.name, split, TemplateSet::Seen, seed, i, {of_level, ""})));
        return result;
      };
      const std::set<Fields> train = contents(Split::Train, 1, level),
                             evaluation = contents(Split::Evaluation, 2, 2);
      EXPECT_GE(evaluation.size(), task.cluster == "world_knowledge" ? 5u : 25u) << task.name;
      for (const Fields& fields : evaluation)
        ASSERT_EQ(train.count(fields), 0u) << task.name << " " << fields.begin()->second;
    }
}

// Who is asked about in evaluation is not asked about in training, whatever the choices.
TEST(Builtin, TheSplitOfWorldKnowledgeIsByWhoIsAskedAbout) {
  for (const char* task : {"person_home", "person_job", "thing_owner", "fact_chain", "cloze_pet"}) {
    std::set<std::string> train;
    const char* field = std::string(task) == "fact_chain"    ? "asked"
                        : std::string(task) == "thing_owner" ? "thing"
                        : std::string(task) == "cloze_pet"   ? "text"
                                                             : "name";
    auto subject = [&](const Example& example) {
      std::string text = example.fields.at(field).get<std::string>();
      if (std::string(task) == "fact_chain") text = text.substr(text.rfind("of the "));
      return text;
    };
    const int64_t level = std::string(task) == "cloze_pet" ? 1 : 2;
    for (uint64_t i = 0; i < 4000; ++i)
      train.insert(subject(make_example(task, Split::Train, TemplateSet::Seen, 1, i, {level, ""})));
    EXPECT_GE(train.size(), 100u) << task;
    for (uint64_t i = 0; i < 1000; ++i) {
      const Example example =
          make_example(task, Split::Evaluation, TemplateSet::Seen, 1, i, {level, ""});
      EXPECT_EQ(train.count(subject(example)), 0u) << example.inputs;
    }
  }
}

TEST(Builtin, AnswersAreBalanced) {
  constexpr int kDraws = 3000;
  for (const TaskInfo& task : tasks())
    for (const int64_t level : {1, 2, 5})
      for (Split split : {Split::Train, Split::Evaluation}) {
        if (level != 2 && task.level_changes.empty()) continue;
        std::map<int64_t, int> by_index;
        std::map<std::string, int> by_answer;
        for (uint64_t i = 0; i < kDraws; ++i) {
          const Example example =
              make_example(task.name, split, TemplateSet::Seen, 7, i, {level, ""});
          ++by_index[example.answer_index];
          ++by_answer[example.targets];
        }
        // Of a fixed set of answers each comes as often as any other; of an open one none is
        // frequent.
        const double fair = std::max(1.0 / 6, 1 / static_cast<double>(by_answer.size()));
        for (const auto& [answer, count] : by_answer)
          EXPECT_LE(count, 1.18 * fair * kDraws)
              << task.name << " level " << level << " " << answer;
        if (task.chance > 0)
          for (const auto& [index, count] : by_index)
            EXPECT_NEAR(count, kDraws * task.chance, 5 * std::sqrt(kDraws * task.chance))
                << task.name << " choice " << index;
      }
}

TEST(Builtin, HalfOfTheEasyHeldOutChoicesAreInTheStoryAndBothFactsAreAskedFor) {
  for (const TaskInfo& task : tasks()) {
    if (!task.is_held_out || !task.is_easy) continue;
    int num_first = 0;
    for (uint64_t i = 0; i < 1000; ++i) {
      const Example example = make_example(task.name, Split::Evaluation, TemplateSet::Seen, 5, i);
      std::vector<std::pair<size_t, std::string>> found;
      for (const std::string& choice : example.choices) {
        std::smatch match;
        const std::string& story = example.fields.at("story").get<std::string>();
        if (std::regex_search(story, match, std::regex("\\b" + choice + "\\b")))
          found.emplace_back(match.position(0), choice);
      }
      ASSERT_EQ(found.size(), 2u) << example.inputs;
      num_first += std::min(found[0], found[1]).second == example.targets;
    }
    EXPECT_NEAR(num_first, 500, 80) << task.name;
  }
}

TEST(Builtin, TheSameArgumentsGiveTheSameExample) {
  for (const TaskInfo& task : tasks()) {
    std::set<std::string> distinct;
    for (const int64_t level : kLevels)
      for (uint64_t i = 0; i < 20; ++i) {
        const Options options = {level, ""};
        const Example a = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i, options),
                      b = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i, options);
        EXPECT_EQ(to_json(a).dump(), to_json(b).dump());
        if (level == 2) distinct.insert(a.inputs);
        EXPECT_EQ(make_example(task.name, Split::Train, TemplateSet::Unseen, 3, i, options).fields,
                  a.fields);  // the same content under another template
        // An example in the language that was drawn for it is the same.
        EXPECT_EQ(
            to_json(make_example(task.name, Split::Train, TemplateSet::Seen, 3, i, {level, a.lang}))
                .dump(),
            to_json(a).dump());
      }
    EXPECT_GE(distinct.size(), 18u) << task.name;
    std::string first, second;
    for (uint64_t i = 0; i < 5; ++i) {
      first += make_example(task.name, Split::Train, TemplateSet::Seen, 3, i).inputs;
      second += make_example(task.name, Split::Train, TemplateSet::Seen, 4, i).inputs;
    }
    EXPECT_NE(first, second) << task.name;
  }
  for (const Corpus corpus : {Corpus::Full, Corpus::Easy})
    for (uint64_t i = 0; i < 16; ++i) {
      EXPECT_EQ(make_document(1, i, corpus), make_document(1, i, corpus));
      EXPECT_NE(make_document(1, i, corpus), make_document(2, i, corpus));
    }
}

// Lengths and sizes grow, or there is more to go through.
TEST(Builtin, AHigherLevelIsLonger) {
  for (const TaskInfo& task : tasks()) {
    auto mean_length = [&](int64_t level) {
      size_t sum = 0;
      for (uint64_t i = 0; i < 400; ++i) {
        const Example example =
            make_example(task.name, Split::Train, TemplateSet::Seen, 3, i, {level, ""});
        for (const auto& [name, value] : texts_of(example)) sum += value.size();
        sum += example.targets.size();
      }
      return sum;
    };
    if (task.level_changes.empty())
      EXPECT_EQ(mean_length(1), mean_length(5)) << task.name;
    else
      EXPECT_LT(mean_length(1), mean_length(5)) << task.name;
  }
}

TEST(Builtin, ParallelTasksSayTheSameInEveryLanguage) {
  std::set<std::string> parallel;
  for (const TaskInfo& task : tasks()) {
    if (task.languages.size() == 1) continue;
    parallel.insert(task.name);
    for (const Split split : {Split::Train, Split::Evaluation})
      for (uint64_t i = 0; i < 200; ++i) {
        std::set<std::string> figures, indices, texts, templates;
        for (const std::string& language : task.languages) {
          const Example example =
              make_example(task.name, split, TemplateSet::Seen, 3, i, {2, language});
          EXPECT_EQ(example.lang, language);
          // Numbers in figures are the same; words have the same number.
          std::string figure;
          for (const auto& [name, value] : texts_of(example)) {
            if (name == "number" || name == "count") figure += value + " ";
            if (const int64_t number = parse_number_words(value, language); number >= 0)
              figure += std::to_string(number) + " ";
          }
          if (task.name == "words_to_number") figure += example.targets;
          figures.insert(figure);
          indices.insert(std::to_string(example.answer_index));
          templates.insert(example.template_name);
          texts.insert(example.inputs);
        }
        EXPECT_EQ(figures.size(), 1u) << task.name << " " << i;
        EXPECT_EQ(indices.size(), 1u) << task.name;
        EXPECT_EQ(templates.size(), 1u) << task.name;
        EXPECT_GE(texts.size(), 2u) << task.name;
      }
    // Drawn languages are about as frequent as each other.
    std::map<std::string, int> counts;
    for (uint64_t i = 0; i < 3000; ++i)
      ++counts[make_example(task.name, Split::Train, TemplateSet::Seen, 3, i).lang];
    EXPECT_EQ(counts.size(), task.languages.size());
    for (const auto& [language, count] : counts)
      EXPECT_NEAR(count, 3000.0 / static_cast<double>(task.languages.size()), 120) << language;
  }
  EXPECT_GE(parallel.size(), 6u);
}

TEST(Builtin, TheEasySubsetIsFixed) {
  Hasher examples, documents;
  for (const TaskInfo& task : tasks()) {
    if (!task.is_easy) continue;
    for (const Split split : {Split::Train, Split::Evaluation})
      for (const TemplateSet templates : {TemplateSet::Seen, TemplateSet::Unseen})
        for (uint64_t i = 0; i < 300; ++i)
          examples.add(to_json(make_example(task.name, split, templates, 5, i)).dump()).add("\n");
  }
  for (uint64_t i = 0; i < 3000; ++i) documents.add(make_document(5, i, Corpus::Easy)).add("\n");
  EXPECT_EQ(examples.hex(), "50bf005cbace48fdf933517c80e3d325");
  EXPECT_EQ(documents.hex(), "e668885609610d856f295669aad75b81");
}

template <class Call>
void expect_refusal(ErrorCode code, const std::vector<std::string>& parts, Call call) {
  try {
    call();
    ADD_FAILURE() << "no error with " << parts[0];
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Builtin, UnknownTasksLanguagesAndLevelsAreNamed) {
  auto make = [](const std::string& task, const Options& options) {
    return [=] { make_example(task, Split::Train, TemplateSet::Seen, 1, 0, options); };
  };
  expect_refusal(ErrorCode::NotFound, {"frist_word", "first_word"}, make("frist_word", {}));
  expect_refusal(ErrorCode::NotFound, {"next_day", "'fi'", "fr"}, make("next_day", {2, "fi"}));
  expect_refusal(ErrorCode::InvalidArgument, {"difficulty is 0", "1 to 5"},
                 make("next_day", {0, ""}));
  expect_refusal(ErrorCode::InvalidArgument, {"difficulty is 6"}, make("next_day", {6, ""}));
}

std::vector<std::string> names_of(const Selection& selection) {
  std::vector<std::string> names;
  for (const TaskInfo& task : selection.tasks) names.push_back(task.name);
  return names;
}

TEST(BuiltinSelection, NamesSetsForTraining) {
  const Selection train = select_for_training("train"), easy = select_for_training("easy");
  for (const TaskInfo& task : train.tasks) EXPECT_FALSE(task.is_held_out);
  EXPECT_EQ(easy.tasks.size(), 16u);
  for (const TaskInfo& task : easy.tasks) EXPECT_TRUE(task.is_easy && !task.is_held_out);
  EXPECT_EQ(names_of(select_for_training("next_day")), std::vector<std::string>{"next_day"});
  size_t num_tasks = 0;
  std::set<std::string> clusters;
  for (const TaskInfo& task : tasks()) clusters.insert(task.cluster);
  for (const std::string& cluster : clusters) {
    const bool is_own = std::count(held_out_clusters().begin(), held_out_clusters().end(), cluster);
    if (is_own) {
      expect_refusal(ErrorCode::InvalidArgument, {"held-out cluster '" + cluster + "'"},
                     [&] { select_for_training("cluster/" + cluster); });
    } else {
      num_tasks += select_for_training("cluster/" + cluster).tasks.size();
    }
    EXPECT_FALSE(select_for_evaluation("cluster/" + cluster).tasks.empty());
  }
  EXPECT_EQ(num_tasks, train.tasks.size());
  for (const TaskInfo& task : tasks())
    if (task.is_held_out)
      expect_refusal(ErrorCode::InvalidArgument, {"evaluation only"},
                     [&] { select_for_training(task.name + "?difficulty=1"); });
}

TEST(BuiltinSelection, NamesSuites) {
  const auto count = [](const std::string& spec) {
    return select_for_evaluation(spec).tasks.size();
  };
  EXPECT_EQ(count("seen") + count("held-out"), tasks().size());
  EXPECT_EQ(count("unseen-templates"), count("seen"));
  EXPECT_EQ(count("easy-seen"), 16u);
  EXPECT_EQ(count("easy-unseen-templates"), 16u);
  EXPECT_EQ(count("easy-held-out"), 4u);
  EXPECT_EQ(select_for_evaluation("easy-unseen-templates").templates, TemplateSet::Unseen);
  EXPECT_EQ(select_for_evaluation("easy-seen").templates, TemplateSet::Seen);
  EXPECT_EQ(names_of(select_for_evaluation("who_holds")), std::vector<std::string>{"who_holds"});
  for (const TaskInfo& task : select_for_evaluation("held-out").tasks)
    EXPECT_TRUE(task.is_held_out);
}

TEST(BuiltinSelection, TakesOptions) {
  const Selection german = select_for_training("train?difficulty=4&language=de");
  EXPECT_EQ(german.options.difficulty, 4);
  EXPECT_EQ(german.options.language, "de");
  EXPECT_GE(german.tasks.size(), 6u);
  for (const TaskInfo& task : german.tasks) EXPECT_EQ(task.cluster, "multilingual");
  EXPECT_GT(select_for_training("train?language=en").tasks.size(), 60u);
  EXPECT_EQ(select_for_evaluation("seen?difficulty=1").options.difficulty, 1);
  const auto refuse = [](ErrorCode code, const std::string& spec,
                         const std::vector<std::string>& parts) {
    expect_refusal(code, parts, [&] { select_for_training(spec); });
    expect_refusal(code, parts, [&] { select_for_evaluation(spec); });
  };
  refuse(ErrorCode::InvalidArgument, "sort_words?dificulty=2", {"dificulty", "'difficulty'"});
  refuse(ErrorCode::InvalidArgument, "sort_words?difficulty=6", {"'6'", "1 to 5"});
  refuse(ErrorCode::InvalidArgument, "sort_words?difficulty=2x", {"'2x'"});
  refuse(ErrorCode::InvalidArgument, "sort_words?", {"unknown option ''"});
  refuse(ErrorCode::NotFound, "sort_words?language=de", {"'de'", "en"});
  refuse(ErrorCode::NotFound, "next_dya", {"next_day"});
  refuse(ErrorCode::NotFound, "cluster/topic", {"cluster/topics"});
  expect_refusal(ErrorCode::NotFound, {"train"}, [] { select_for_training("trian"); });
  expect_refusal(ErrorCode::NotFound, {"easy-seen"}, [] { select_for_evaluation("easy-sen"); });
}

TEST(BuiltinSelection, NamesTheCorpora) {
  EXPECT_EQ(find_corpus("builtin:corpus"), Corpus::Full);
  EXPECT_EQ(find_corpus("builtin:easy-corpus"), Corpus::Easy);
  EXPECT_EQ(find_corpus("builtin:train"), std::nullopt);
  EXPECT_EQ(find_corpus("corpus"), std::nullopt);
}

}  // namespace
}  // namespace flanmoe::data::builtin
