// Cluster `sentiment`: what a speaker thinks or feels.
#include <fmt/format.h>

#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

Draft draw_review_sentiment(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"positive", "negative"};
  const std::vector<std::string> things = draw_distinct(random, reviewed_things(), 2);
  const std::vector<std::string> words =
      draw_distinct(random, request.answer_class == 0 ? good_words() : bad_words(), 2);
  std::string text;
  switch (random.below(3)) {
    case 0:
      text =
          fmt::format("The {} was {} and the {} was {}.", things[0], words[0], things[1], words[1]);
      break;
    case 1:
      text = fmt::format("I found the {} {}. The {} was {} too.", things[0], words[0], things[1],
                         words[1]);
      break;
    default:
      text = fmt::format("What {} {}! The {} was also {}.", with_article(words[0]), things[0],
                         things[1], words[1]);
      break;
  }
  return {{{"text", text}}, choices, choices[request.answer_class], text};
}

Draft draw_polite_or_rude(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"polite", "rude"};
  static const std::vector<std::string> polite = {
      "Please {}, dear {}.", "Could you {}, please, {}?", "Thank you, {1}, if you {0}."};
  static const std::vector<std::string> rude = {
      "Just {} now, you fool {}!", "You {1} are so lazy, {0} at once!", "Shut up, {1}, and {0}!"};
  const std::string& form = random.pick(request.answer_class == 0 ? polite : rude);
  const std::string& asked = random.pick(requests());
  const std::string text = fmt::format(fmt::runtime(form), asked, random.pick(person_names()));
  return {{{"text", text}}, choices, choices[request.answer_class], text};
}

Draft draw_would_return(RandomStream& random, const Request& request) {
  static const std::vector<std::string> choices = {"yes", "no"};
  const std::string& name = random.pick(person_names());
  const std::string& place = random.pick(word_group("places").words);
  const std::string& end = random.pick(request.answer_class == 0 ? joys() : pains());
  const std::string text = fmt::format("{} went to the {} and {}.", name, place, end);
  return {{{"text", text}, {"name", name}}, choices, choices[request.answer_class], text};
}

Draft draw_mood(RandomStream& random, const Request& request) {
  static const std::vector<std::string> names = {moods()[0].name, moods()[1].name, moods()[2].name};
  const std::string& name = random.pick(person_names());
  const std::vector<std::string> verbs =
      draw_distinct(random, moods()[request.answer_class].signs, 2);
  const std::string text = fmt::format(
      "In the {} {} {} and {}.", random.pick(word_group("places").words), name, verbs[0], verbs[1]);
  return {{{"text", text}, {"name", name}}, names, names[request.answer_class], text};
}

}  // namespace

std::vector<TaskDefinition> make_sentiment_tasks() {
  return {
      {"review_sentiment",
       "sentiment",
       "is a short review positive or negative",
       true,
       2,
       2,
       draw_review_sentiment,
       {"Is this review positive or negative? {text}", "Review: {text} The review is",
        "{text} Was the opinion of the writer positive or negative?",
        "Read the review and tell whether it is positive or negative: {text}"},
       {"{text} Is this opinion positive or negative?",
        "Tell whether the writer of the review is positive or negative: {text}"}},
      {"polite_or_rude",
       "sentiment",
       "is a request polite or rude",
       true,
       2,
       2,
       draw_polite_or_rude,
       {"Is this polite or rude? {text}", "{text} Polite or rude?",
        "Somebody said: {text} Was that polite or rude?",
        "Tell whether the speaker is rude or polite: {text}"},
       {"{text} Is the speaker polite or rude?", "Was somebody rude or polite? {text}"}},
      {"would_return",
       "sentiment",
       "would a visitor come again",
       true,
       2,
       2,
       draw_would_return,
       {"{text} Will {name} want to go back there? Answer yes or no.",
        "{text} Would {name} go there again, yes or no?",
        "Say yes or no: would {name} like to go back? {text}",
        "Here is a visit. {text} Would {name} visit the place again?"},
       {"{text} Would {name} like to visit the place again?",
        "Here is a visit: {text} Say whether {name} will want to go there again."}},
      {"mood",
       "sentiment",
       "is somebody happy, sad or angry",
       true,
       3,
       3,
       draw_mood,
       {"{text} How does {name} feel?", "How did {name} feel: happy, sad or angry? {text}",
        "{text} The mood of {name} is", "Tell whether {name} was happy, sad or angry: {text}"},
       {"{text} Was {name} sad, angry or happy?", "Tell the mood of {name}. {text}"}},
  };
}

}  // namespace flanmoe::data::builtin
