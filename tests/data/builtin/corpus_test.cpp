#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include <regex>

#include "data/builtin.h"
#include "data/builtin/corpus.h"
#include "data/builtin/languages.h"
#include "data/builtin/solve.h"
#include "data/builtin/task.h"
#include "data/builtin/world.h"
#include "text/tokenizer.h"

namespace flanmoe::data::builtin {
namespace {

// The words of a template without its fields.
std::string without_fields(const std::string& source) {
  return std::regex_replace(source, std::regex("\\{[a-z]+\\}"), " ");
}

TEST(EasyCorpus, DocumentsAreShortAndDiffer) {
  std::set<std::string> distinct;
  for (uint64_t i = 0; i < 5000; ++i) {
    const std::string document = make_document(1, i, Corpus::Easy);
    const size_t num_words = words_of(document).size();
    EXPECT_GE(num_words, 20u) << document;
    EXPECT_LE(num_words, 60u) << document;
    EXPECT_EQ(document.find_first_of("{}\n"), std::string::npos) << document;
    distinct.insert(document);
  }
  EXPECT_GE(distinct.size(), 4990u);
}

TEST(EasyCorpus, KnowsEveryWordOfTheTasks) {
  std::set<std::string> known;
  for (uint64_t i = 0; i < 5000; ++i)
    for (const std::string& word : words_of(make_document(1, i, Corpus::Easy))) known.insert(word);
  for (const TaskDefinition& task : make_all_tasks()) {
    if (!task.is_easy) continue;
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

TEST(EasyCorpus, FillsAVocabularyOfAThousandPiecesWhateverItsSize) {
  for (const uint64_t num_documents : {3000u, 4000u, 8000u, 20000u}) {
    std::vector<std::string> documents;
    for (uint64_t i = 0; i < num_documents; ++i)
      documents.push_back(make_document(num_documents, i, Corpus::Easy));
    EXPECT_NO_THROW(text::train_sentencepiece(documents, {})) << num_documents;
  }
}

TEST(EasyCorpus, AVocabularyOfAThousandPiecesHoldsTheAnswersWhole) {
  std::vector<std::string> documents;
  for (uint64_t i = 0; i < 4000; ++i) documents.push_back(make_document(1, i, Corpus::Easy));
  const auto tokenizer =
      text::Tokenizer::from_model_bytes(text::train_sentencepiece(documents, {}));
  std::set<std::string> split_words;
  for (const TaskInfo& task : tasks())
    for (uint64_t i = 0; i < 300 && task.is_easy; ++i) {
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

// ---- the full corpus

// What every document of a period states is what the world is, wherever the period begins.
TEST(FullCorpus, EveryPeriodStatesAllFacts) {
  const World& all = world();
  for (const auto& [seed, begin] : {std::pair<uint64_t, uint64_t>{1, 0}, {1, 2403}, {9, 12000}}) {
    const Knowledge knowledge = read_corpus(seed, begin, kFullCorpusPeriod);
    EXPECT_TRUE(knowledge.contradictions.empty()) << knowledge.contradictions.front();
    auto expect_fact = [&](const std::string& relation, const std::string& subject,
                           const std::string& object) {
      const auto& table = knowledge.facts.at(relation);
      const auto found = table.find(subject);
      ASSERT_NE(found, table.end()) << "nowhere: " << relation << " of " << subject;
      EXPECT_EQ(found->second, object) << relation << " of " << subject;
    };
    for (const Person& person : all.people) {
      expect_fact("home", person.name, all.towns[person.town].name);
      expect_fact("job", person.name, person.job);
      expect_fact("pet", person.name, person.pet);
      expect_fact("dish", person.name, person.dish);
      if (person.teacher) expect_fact("teacher", person.name, all.people[*person.teacher].name);
    }
    for (const Thing& thing : all.things) {
      expect_fact("owner", thing.name, all.people[thing.owner].name);
      expect_fact("origin", thing.name, all.towns[thing.origin].name);
    }
    for (const Town& town : all.towns) {
      expect_fact("region", town.name, all.regions[town.region].name);
      expect_fact("river", town.name, town.river);
      expect_fact("emblem", town.name, town.emblem);
    }
    for (const Region& region : all.regions)
      expect_fact("capital", region.name, all.towns[region.capital].name);
  }
}

TEST(FullCorpus, APeriodTellsEveryWordOfTheGeneratedLanguages) {
  const Knowledge knowledge = read_corpus(5, 4800, kFullCorpusPeriod);
  ASSERT_EQ(knowledge.languages.size(), toy_languages().size());
  for (const ToyLanguage& language : toy_languages()) {
    const Knowledge::Language& known = knowledge.languages.at(language.name);
    for (const std::string& noun : language.nouns) {
      EXPECT_EQ(known.words.at(noun).kind, 'N') << noun;
      EXPECT_EQ(known.words.count(noun + language.plural_ending), 1u) << noun;
    }
    for (const std::string& adjective : language.adjectives)
      EXPECT_EQ(known.words.at(adjective).kind, 'A') << adjective;
    for (const std::string& verb : language.verbs) {
      EXPECT_EQ(known.words.at(verb).kind, 'V') << verb;
      EXPECT_EQ(known.words.count(verb + language.past_ending), 1u) << verb;
    }
  }
}

// The reader of the corpus would notice a false or a missing statement.
TEST(FullCorpus, TheReaderMissesWhatIsNotTold) {
  const Knowledge part = read_corpus(1, 0, kFullCorpusPeriod / 4);
  EXPECT_LT(part.facts.at("home").size(), world().people.size());
  Example example = make_example("person_home", Split::Train, TemplateSet::Seen, 1, 0);
  EXPECT_EQ(solve(example, read_corpus(1, 0, kFullCorpusPeriod)), example.targets);
  example.fields["name"] = "Nobody Atall";
  EXPECT_EQ(solve(example, part), "?");
}

TEST(FullCorpus, DocumentsAreTextsOfOneLine) {
  std::set<std::string> distinct;
  size_t num_words = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    const std::string document = make_document(1, i);
    EXPECT_GE(document.size(), 60u) << document;
    EXPECT_LE(document.size(), 900u) << document;
    EXPECT_EQ(document.find_first_of("{}\n"), std::string::npos) << document;
    distinct.insert(document);
    num_words += words_of(document).size();
  }
  EXPECT_GE(distinct.size(), 4900u);
  EXPECT_GE(num_words / 5000, 24u);
}

// A vocabulary that is trained on a part of the corpus has a piece for every character of the
// tasks.
TEST(FullCorpus, AVocabularyOfItKnowsEveryCharacterOfTheTasks) {
  std::vector<std::string> documents;
  for (uint64_t i = 0; i < 4000; ++i) documents.push_back(make_document(1, i));
  text::VocabularyConfig config;
  config.num_pieces = 3000;
  const auto tokenizer =
      text::Tokenizer::from_model_bytes(text::train_sentencepiece(documents, config));
  constexpr int32_t kUnknown = 2;
  for (const TaskInfo& task : tasks())
    for (const int64_t level : {1, 3, 5})
      for (const std::string& language : task.languages)
        for (uint64_t i = 0; i < 40; ++i) {
          const Example example = make_example(task.name, Split::Evaluation,
                                               i % 2 == 0 ? TemplateSet::Seen : TemplateSet::Unseen,
                                               1, i, {level, language});
          for (const std::string& text : {example.inputs, example.targets, example.rationale}) {
            const auto ids = tokenizer.encode(text);
            EXPECT_EQ(std::count(ids.begin(), ids.end(), kUnknown), 0) << text;
          }
        }
}

}  // namespace
}  // namespace flanmoe::data::builtin
