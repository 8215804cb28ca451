#include "data/builtin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "data/builtin/task.h"
#include "text/tokenizer.h"

namespace flanmoe::data::builtin {
namespace {

constexpr uint64_t kExamples = 600;

std::vector<TaskDefinition> definitions() {
  std::vector<TaskDefinition> all;
  for (auto make : {make_topics_tasks, make_sentiment_tasks, make_inference_tasks,
                    make_transform_tasks, make_reading_tasks})
    for (TaskDefinition& definition : make()) all.push_back(std::move(definition));
  return all;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

// The words of a template without its fields.
std::string without_fields(const std::string& source) {
  return std::regex_replace(source, std::regex("\\{[a-z]+\\}"), " ");
}

// ---- a second implementation of every answer rule, from the raw fields and with word lists of its
// own -----------------------------------------

using Fields = std::map<std::string, std::string>;

Fields texts_of(const Example& example) {
  Fields fields;
  for (const auto& [name, value] : example.fields.items()) fields[name] = field_text(value);
  return fields;
}

const std::map<std::string, std::string>& kinds() {
  static const std::map<std::string, std::string> table = [] {
    const std::vector<std::pair<std::string, std::string>> lists = {
        {"animals", "dog cat horse cow pig hen fox bear wolf lion mouse duck goat frog"},
        {"foods", "bread rice soup cheese butter honey milk corn cake pie apple egg plum bean"},
        {"colours", "red blue green black white yellow pink brown grey purple"},
        {"places",
         "kitchen garden park school shop forest beach farm market station church hall street "
         "village"},
        {"tools", "hammer saw spade knife rope brush spoon axe ladder drill needle broom"},
        {"clothes", "hat coat shirt shoe sock scarf glove dress belt boot jacket skirt"}};
    std::map<std::string, std::string> result;
    for (const auto& [kind, words] : lists)
      for (const std::string& word : words_of(words)) result[word] = kind;
    return result;
  }();
  return table;
}

std::string opposite(const std::string& word) {
  static const std::string pairs =
      "hot cold big small old new wet dry fast slow hard soft clean dirty full empty dark bright "
      "heavy light loud quiet long short "
      "strong weak thick thin";
  static const std::vector<std::string> words = words_of(pairs);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return "?";
  return words[static_cast<size_t>((found - words.begin()) ^ 1)];
}

std::string plural(const std::string& noun) {
  auto ends = [&](const std::string& end) {
    return noun.size() > end.size() && noun.substr(noun.size() - end.size()) == end;
  };
  if (noun == "mouse") return "mice";
  if (noun == "scarf" || noun == "wolf") return noun.substr(0, noun.size() - 1) + "ves";
  if (noun == "knife") return "knives";
  if (ends("x") || ends("sh") || ends("ss") || ends("ch")) return noun + "es";
  return noun + "s";
}

bool has_any(const std::string& text, const std::string& wanted) {
  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : words_of(wanted))
    if (std::find(words.begin(), words.end(), word) != words.end()) return true;
  return false;
}

std::string kind_in(const std::string& text) {
  for (const std::string& word : words_of(text))
    if (kinds().count(word) > 0) return kinds().at(word);
  return "?";
}

// The group before `text` that `pattern` finds for the other group; "?" where nothing matches.
std::string look_up(const std::string& text, const std::string& pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : "?";
}

std::string solve(const std::string& task, const Fields& f) {
  if (task == "group_of_word") return kinds().at(f.at("word"));
  if (task == "find_member") {
    for (const std::string& word : words_of(f.at("words")))
      if (kinds().at(word) == f.at("group")) return word;
  }
  if (task == "odd_one_out") {
    std::map<std::string, int> counts;
    for (const std::string& word : words_of(f.at("words"))) ++counts[kinds().at(word)];
    for (const std::string& word : words_of(f.at("words")))
      if (counts[kinds().at(word)] == 1) return word;
  }
  if (task == "list_topic") return kind_in(f.at("words"));
  if (task == "review_sentiment")
    return has_any(f.at("text"), "good great lovely nice wonderful fine pleasant perfect")
               ? "positive"
               : "negative";
  if (task == "polite_or_rude") return has_any(f.at("text"), "please thank") ? "polite" : "rude";
  if (task == "would_return")
    return has_any(f.at("text"), "loved fun best enjoyed joy sorry") ? "yes" : "no";
  if (task == "mood")
    return has_any(f.at("text"), "smiled laughed danced sang") ? "happy"
           : has_any(f.at("text"), "cried wept sighed sobbed") ? "sad"
                                                               : "angry";
  if (task == "place_check")
    return f.at("fact").rfind(f.at("claim") + " with", 0) == 0 ? "yes" : "no";
  if (task == "kind_check") {
    const std::string claimed = has_any(f.at("claim"), "animal") ? "animals"
                                : has_any(f.at("claim"), "food") ? "foods"
                                : has_any(f.at("claim"), "tool") ? "tools"
                                                                 : "clothes";
    return kind_in(f.at("fact").substr(f.at("fact").find(' ', f.at("fact").find(' ') + 1))) ==
                   claimed
               ? "yes"
               : "no";
  }
  if (task == "both_true")
    return opposite(words_of(f.at("first")).back()) == words_of(f.at("second")).back() ? "no"
                                                                                       : "yes";
  if (task == "mention") return has_any(f.at("text"), f.at("word")) ? "yes" : "no";
  if (task == "first_word") return words_of(f.at("words")).front();
  if (task == "last_word") return words_of(f.at("words")).back();
  if (task == "word_after") return look_up(f.at("words"), "\\b" + f.at("word") + ", ([a-z]+)");
  if (task == "make_plural" || task == "opposite_phrase") {
    const std::vector<std::string> words = words_of(f.at("phrase"));
    return task == "make_plural" ? words[0] + " " + plural(words[1])
                                 : opposite(words[0]) + " " + words[1];
  }
  if (task == "who_holds")
    return look_up(f.at("story"), "([A-Z][a-z]+) holds the " + f.at("object") + "\\.");
  if (task == "where_lies")
    return look_up(f.at("story"), "The " + f.at("object") + " lies by the ([a-z]+)\\.");
  if (task == "what_eaten")
    return look_up(f.at("story"), f.at("name") + " eats (?:a |an |some )?([a-z]+)\\.");
  if (task == "which_colour")
    return look_up(f.at("story"), "My " + f.at("object") + " is ([a-z]+)\\.");
  return "no rule for " + task;
}

// ---- the collection
// -------------------------------------------------------------------------------------------------------------------------

TEST(Builtin, HasTheTasksClustersAndTemplates) {
  std::set<std::string> names;
  std::map<std::string, int> clusters;
  int num_easy = 0;
  for (const TaskInfo& task : tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    ++clusters[task.cluster];
    EXPECT_GE(task.num_templates, 3) << task.name;
    EXPECT_GE(task.num_unseen_templates, 1) << task.name;
    EXPECT_FALSE(task.description.empty());
    num_easy += task.is_easy;
    if (task.cluster == held_out_cluster()) {
      EXPECT_FALSE(task.is_easy);
      EXPECT_GT(task.chance, 0);
    }
  }
  EXPECT_GE(names.size(), 16u);
  EXPECT_EQ(clusters.size(), 5u);
  EXPECT_GE(clusters[held_out_cluster()], 3);
  EXPECT_GE(num_easy, 8);
}

TEST(Builtin, NoTemplateTextComesTwice) {
  std::set<std::string> texts;
  for (const TaskDefinition& task : definitions())
    for (const auto* templates : {&task.templates, &task.unseen_templates})
      for (const std::string& source : *templates)
        EXPECT_TRUE(texts.insert(source).second) << task.name << ": " << source;
}

TEST(Builtin, TheHeldOutClusterSharesNoGeneratorAndNoWordingWithTheOthers) {
  auto grams = [](const std::string& text) {
    std::set<std::string> result;
    std::istringstream stream(std::regex_replace(text, std::regex("\\{[a-z]+\\}"), "{}"));
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    for (size_t i = 0; i + 5 <= words.size(); ++i) {
      std::string gram;
      for (size_t k = 0; k < 5; ++k) gram += words[i + k] + " ";
      result.insert(gram);
    }
    return result;
  };
  std::set<Draft (*)(RandomStream&, uint64_t)> own_generators, other_generators;
  std::set<std::string> own, other;
  for (const TaskDefinition& task : definitions()) {
    const bool is_held_out = task.cluster == held_out_cluster();
    (is_held_out ? own_generators : other_generators).insert(task.draw);
    for (const auto* templates : {&task.templates, &task.unseen_templates})
      for (const std::string& source : *templates) (is_held_out ? own : other).merge(grams(source));
    // The rendered text too: its wording must not come from a training task either.
    for (uint64_t i = 0; i < 200; ++i)
      (is_held_out ? own : other)
          .merge(grams(make_example(task.name, Split::Evaluation, TemplateSet::Seen, 1, i).inputs));
  }
  EXPECT_EQ(own_generators.size(), 4u);
  for (auto generator : own_generators) EXPECT_EQ(other_generators.count(generator), 0u);
  EXPECT_FALSE(own.empty());
  for (const std::string& gram : own) EXPECT_EQ(other.count(gram), 0u) << gram;
}

TEST(Builtin, TheHeldOutStoriesAndQuestionsAreNotInTheCorpus) {
  std::string corpus;
  for (uint64_t i = 0; i < 20000; ++i) corpus += make_document(1, i) + "\n";
  for (const TaskDefinition& task : definitions()) {
    if (task.cluster != held_out_cluster()) continue;
    for (uint64_t i = 0; i < 300; ++i) {
      const Example example = make_example(
          task.name, Split::Evaluation, i % 2 == 0 ? TemplateSet::Seen : TemplateSet::Unseen, 1, i);
      EXPECT_EQ(corpus.find(example.fields.at("story").get<std::string>()), std::string::npos) << example.inputs;
    }
  }
  // And no instruction of any task, whole.
  for (const TaskDefinition& task : definitions())
    for (uint64_t i = 0; i < 50; ++i)
      EXPECT_EQ(
          corpus.find(make_example(task.name, Split::Evaluation, TemplateSet::Seen, 1, i).inputs),
          std::string::npos)
          << task.name;
}

TEST(Builtin, EveryAnswerFollowsFromTheFields) {
  for (const TaskInfo& task : tasks())
    for (Split split : {Split::Train, Split::Evaluation})
      for (TemplateSet templates : {TemplateSet::Seen, TemplateSet::Unseen})
        for (uint64_t i = 0; i < kExamples; ++i) {
          const Example example = make_example(task.name, split, templates, 3, i);
          ASSERT_EQ(solve(task.name, texts_of(example)), example.targets) << example.inputs;
          for (const auto& [name, value] : texts_of(example))
            if (name != "options" || example.inputs.find("options") != std::string::npos) {
              ASSERT_NE(example.inputs.find(value), std::string::npos)
                  << example.inputs << " lacks " << name;
            }
        }
}

TEST(Builtin, TheCheckerObjectsToAWrongAnswer) {
  for (const TaskInfo& task : tasks()) {
    const Example example = make_example(task.name, Split::Train, TemplateSet::Seen, 3, 0);
    EXPECT_NE(solve(task.name, texts_of(example)), example.targets + "s");
    if (example.choices.empty()) continue;
    const auto wrong = static_cast<size_t>(example.answer_index + 1) % example.choices.size();
    EXPECT_NE(solve(task.name, texts_of(example)), example.choices[wrong]);
  }
}

TEST(Builtin, ExamplesAreWellFormedAndShort) {
  for (const TaskInfo& task : tasks()) {
    std::set<std::string> ids, template_names;
    for (uint64_t i = 0; i < kExamples; ++i) {
      const Example example = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i);
      EXPECT_TRUE(ids.insert(example.id).second);
      template_names.insert(example.template_name);
      EXPECT_EQ(example.task, task.name);
      EXPECT_EQ(example.cluster, task.cluster);
      EXPECT_FALSE(example.targets.empty());
      EXPECT_EQ(example.inputs.find('{'), std::string::npos) << example.inputs;
      EXPECT_LE(words_of(example.inputs).size(), 32u) << example.inputs;
      EXPECT_LE(words_of(example.targets).size(), 2u);
      if (task.chance > 0) {
        ASSERT_EQ(example.choices.size(), static_cast<size_t>(std::lround(1 / task.chance)));
        EXPECT_EQ(example.choices[static_cast<size_t>(example.answer_index)], example.targets);
        EXPECT_EQ(std::set<std::string>(example.choices.begin(), example.choices.end()).size(),
                  example.choices.size());
      } else {
        EXPECT_TRUE(example.choices.empty());
        EXPECT_EQ(example.answer_index, -1);
      }
    }
    EXPECT_EQ(static_cast<int64_t>(template_names.size()), task.num_templates) << task.name;
  }
}

TEST(Builtin, TrainAndEvaluationShareNoInstance) {
  for (const TaskDefinition& task : definitions()) {
    auto contents = [&](Split split, uint64_t seed) {
      std::set<Fields> result;
      for (uint64_t i = 0; i < 3000; ++i) {
        Fields fields = texts_of(make_example(task.name, split, TemplateSet::Seen, seed, i));
        // The order of options does not make another instance.
        for (const char* name : {"options", "words"})
          if (fields.count(name) > 0 && task.cluster == "topics") {
            std::vector<std::string> words = words_of(fields[name]);
            std::sort(words.begin(), words.end());
            fields[name].clear();
            for (const std::string& word : words) fields[name] += word + " ";
          }
        result.insert(fields);
      }
      return result;
    };
    const std::set<Fields> train = contents(Split::Train, 1),
                           evaluation = contents(Split::Evaluation, 2);
    EXPECT_GE(evaluation.size(), 100u) << task.name;
    for (const Fields& fields : evaluation)
      ASSERT_EQ(train.count(fields), 0u) << task.name << " " << fields.begin()->second;
  }
}

TEST(Builtin, AnswersAreBalanced) {
  constexpr int kDraws = 3000;
  for (const TaskInfo& task : tasks())
    for (Split split : {Split::Train, Split::Evaluation}) {
      std::map<int64_t, int> by_index;
      std::map<std::string, int> by_answer;
      size_t num_choices = 0;
      for (uint64_t i = 0; i < kDraws; ++i) {
        const Example example = make_example(task.name, split, TemplateSet::Seen, 7, i);
        ++by_index[example.answer_index];
        ++by_answer[example.targets];
        num_choices = example.choices.size();
      }
      // Of a fixed set of answers each comes as often as any other; of an open one none is
      // frequent.
      for (const auto& [answer, count] : by_answer)
        EXPECT_LE(count,
                  std::max(1.15 / static_cast<double>(std::max<size_t>(num_choices, 6)),
                           task.chance > 0 && by_answer.size() <= 3 ? 1.12 * task.chance : 0.0) *
                      kDraws)
            << task.name << " " << answer;
      if (task.chance > 0) {
        for (const auto& [index, count] : by_index)
          EXPECT_NEAR(count, kDraws * task.chance, 5 * std::sqrt(kDraws * task.chance))
              << task.name << " choice " << index;
      }
    }
}

TEST(Builtin, HalfOfTheHeldOutChoicesAreInTheStoryAndBothFactsAreAskedFor) {
  for (const TaskInfo& task : tasks()) {
    if (task.cluster != held_out_cluster()) continue;
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
    for (uint64_t i = 0; i < 20; ++i) {
      const Example a = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i),
                    b = make_example(task.name, Split::Train, TemplateSet::Seen, 3, i);
      EXPECT_EQ(a.inputs, b.inputs);
      EXPECT_EQ(a.choices, b.choices);
      EXPECT_EQ(a.id, b.id);
      distinct.insert(a.inputs);
      EXPECT_EQ(make_example(task.name, Split::Train, TemplateSet::Unseen, 3, i).fields,
                a.fields);  // the same content under another template
    }
    EXPECT_GE(distinct.size(), 19u) << task.name;
    EXPECT_NE(make_example(task.name, Split::Train, TemplateSet::Seen, 3, 0).inputs +
                  make_example(task.name, Split::Train, TemplateSet::Seen, 3, 1).inputs,
              make_example(task.name, Split::Train, TemplateSet::Seen, 4, 0).inputs +
                  make_example(task.name, Split::Train, TemplateSet::Seen, 4, 1).inputs);
  }
  EXPECT_EQ(make_document(1, 5), make_document(1, 5));
  EXPECT_NE(make_document(1, 5), make_document(2, 5));
}

TEST(Builtin, UnknownTasksAreNamed) {
  try {
    make_example("frist_word", Split::Train, TemplateSet::Seen, 1, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_NE(std::string(error.what()).find("first_word"), std::string::npos);
  }
}

TEST(BuiltinCorpus, DocumentsAreShortAndDiffer) {
  std::set<std::string> distinct;
  for (uint64_t i = 0; i < 5000; ++i) {
    const std::string document = make_document(1, i);
    const size_t num_words = words_of(document).size();
    EXPECT_GE(num_words, 20u) << document;
    EXPECT_LE(num_words, 60u) << document;
    EXPECT_EQ(document.find_first_of("{}\n"), std::string::npos) << document;
    distinct.insert(document);
  }
  EXPECT_GE(distinct.size(), 4990u);
}

TEST(BuiltinCorpus, KnowsEveryWordOfTheTasks) {
  std::set<std::string> known;
  for (uint64_t i = 0; i < 5000; ++i)
    for (const std::string& word : words_of(make_document(1, i))) known.insert(word);
  for (const TaskDefinition& task : definitions()) {
    for (const auto* templates : {&task.templates, &task.unseen_templates})
      for (const std::string& source : *templates)
        for (const std::string& word : words_of(without_fields(source)))
          EXPECT_EQ(known.count(word), 1u) << task.name << ": " << word;
    for (uint64_t i = 0; i < 300; ++i) {
      const Example example = make_example(task.name, Split::Evaluation, TemplateSet::Seen, 1, i);
      for (const std::string& word : words_of(example.inputs + " " + example.targets))
        EXPECT_EQ(known.count(word), 1u) << task.name << ": " << word;
    }
  }
}

TEST(BuiltinCorpus, FillsAVocabularyOfAThousandPiecesWhateverItsSize) {
  for (const uint64_t num_documents : {3000u, 4000u, 8000u, 20000u}) {
    std::vector<std::string> documents;
    for (uint64_t i = 0; i < num_documents; ++i)
      documents.push_back(make_document(num_documents, i));
    EXPECT_NO_THROW(text::train_sentencepiece(documents, {})) << num_documents;
  }
}

TEST(BuiltinCorpus, AVocabularyOfAThousandPiecesHoldsTheAnswersWhole) {
  std::vector<std::string> documents;
  for (uint64_t i = 0; i < 4000; ++i) documents.push_back(make_document(1, i));
  const auto tokenizer =
      text::Tokenizer::from_model_bytes(text::train_sentencepiece(documents, {}));
  std::set<std::string> split_words;
  for (const TaskInfo& task : tasks())
    for (uint64_t i = 0; i < 300; ++i) {
      const Example example = make_example(task.name, Split::Evaluation, TemplateSet::Seen, 1, i);
      EXPECT_LE(tokenizer.encode_with_eos(example.inputs).size(), 48u) << example.inputs;
      EXPECT_LE(tokenizer.encode_with_eos(example.targets).size(), 5u) << example.targets;
      if (task.name == "make_plural") continue;  // there an own piece for the ending is as good
      for (const std::string& text :
           example.choices.empty() ? std::vector<std::string>{example.targets} : example.choices) {
        std::istringstream words(text);
        for (std::string word; words >> word;)
          if (tokenizer.encode(word).size() > 1) split_words.insert(word);
      }
    }
  std::string list;
  for (const std::string& word : split_words) list += word + " ";
  EXPECT_LE(split_words.size(), 2u) << list;
  RecordProperty("split_words", list);
}

}  // namespace
}  // namespace flanmoe::data::builtin
