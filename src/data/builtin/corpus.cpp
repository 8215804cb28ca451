// The full corpus: documents of the easy one, and documents about the world, the generated
// languages, the real ones, and numbers, units and lists. World and languages are gone through in
// turn, so that nothing is left to luck.
#include "data/builtin/corpus.h"

#include <fmt/format.h>

#include <map>

#include "data/builtin/descriptions.h"
#include "data/builtin/draw.h"
#include "data/builtin/languages.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/number_words.h"
#include "data/builtin/world.h"

namespace flanmoe::data::builtin {
namespace {

using fmt::format;
using Sentences = std::vector<std::string>;

std::string join_sentences(RandomStream& random, Sentences sentences) {
  random.shuffle(sentences);
  std::string text;
  for (const std::string& sentence : sentences) text += (text.empty() ? "" : " ") + sentence;
  return text;
}

bool toss(RandomStream& random) {
  return random.below(2) == 0;
}

// ---- the world: everything that is known of one person, thing, town or region

Sentences tell_of_town(RandomStream& random, const Town& town) {
  const std::string& region = world().regions[town.region].name;
  Sentences sentences;
  sentences.push_back(toss(random) ? format("{} lies in {}.", town.name, region)
                                   : format("{} is a town of {}.", town.name, region));
  sentences.push_back(toss(random) ? format("{} lies on the {}.", town.name, town.river)
                                   : format("The {} flows through {}.", town.river, town.name));
  sentences.push_back(format("The emblem of {} is the {}.", town.name, town.emblem));
  return sentences;
}

Sentences tell_of_person(RandomStream& random, const Person& person) {
  const std::string& town = world().towns[person.town].name;
  Sentences sentences;
  sentences.push_back(toss(random) ? format("{} lives in {}.", person.name, town)
                                   : format("The home of {} is {}.", person.name, town));
  sentences.push_back(toss(random) ? format("{} works as a {}.", person.name, person.job)
                                   : format("The trade of {}: {}.", person.name, person.job));
  if (person.teacher) {
    const std::string& teacher = world().people[*person.teacher].name;
    sentences.push_back(toss(random) ? format("The teacher of {} is {}.", person.name, teacher)
                                     : format("{} was taught by {}.", person.name, teacher));
  }
  sentences.push_back(format("{} keeps a {}.", person.name, person.pet));
  sentences.push_back(toss(random)
                          ? format("The favourite dish of {} is {}.", person.name, person.dish)
                          : format("{} likes {} best.", person.name, person.dish));
  return sentences;
}

Sentences tell_of_thing(RandomStream& random, const Thing& thing) {
  const Person& owner = world().people[thing.owner];
  Sentences sentences;
  sentences.push_back(toss(random) ? format("The {} belongs to {}.", thing.name, owner.name)
                                   : format("{} owns the {}.", owner.name, thing.name));
  sentences.push_back(
      format("The {} was made in {}.", thing.name, world().towns[thing.origin].name));
  sentences.push_back(format("{} lives in {}.", owner.name, world().towns[owner.town].name));
  return sentences;
}

Sentences tell_of_region(RandomStream& random, size_t number) {
  const Region& region = world().regions[number];
  std::vector<std::string> names;
  for (const Town& town : world().towns)
    if (town.region == number) names.push_back(town.name);
  random.shuffle(names);
  return {format("The capital of {} is {}.", region.name, world().towns[region.capital].name),
          format("The towns of {} are {}.", region.name, join_words(names, "and"))};
}

std::string tell_world(RandomStream& random, uint64_t seed, uint64_t number) {
  const World& all = world();
  const size_t size = all.people.size() + all.things.size() + all.towns.size() + all.regions.size();
  const Permutation order(size, RandomKey(seed, RandomPurpose::Generator).fold("world order"));
  size_t subject = order(number % size);
  Sentences sentences;
  if (subject < all.people.size()) {
    sentences = tell_of_person(random, all.people[subject]);
  } else if ((subject -= all.people.size()) < all.things.size()) {
    sentences = tell_of_thing(random, all.things[subject]);
  } else if ((subject -= all.things.size()) < all.towns.size()) {
    sentences = tell_of_town(random, all.towns[subject]);
  } else {
    sentences = tell_of_region(random, subject - all.towns.size());
  }
  if (sentences.size() <= 3)
    for (std::string& more : tell_of_town(random, random.pick(all.towns)))
      sentences.push_back(std::move(more));
  return join_sentences(random, std::move(sentences));
}

// ---- the generated languages

// Word `number` of all meanings in every language, with its plural where it has one; then the same
// said in all languages, and something said in one.
std::string tell_languages(RandomStream& random, uint64_t number) {
  const ToyMeanings& meanings = toy_meanings();
  const std::vector<ToyLanguage>& languages = toy_languages();
  const size_t num_nouns = meanings.nouns.size(), num_adjectives = meanings.adjectives.size();
  const size_t size = num_nouns + num_adjectives + meanings.verbs.size();
  const size_t word = number % size;
  std::string text;
  for (const ToyLanguage& language : languages) {
    if (word < num_nouns)
      text += format("In {} the word for {} is {}, for more than one {}{}. ", language.name,
                     meanings.nouns[word], language.nouns[word], language.nouns[word],
                     language.plural_ending);
    else if (word < num_nouns + num_adjectives)
      text += format("In {} the word for {} is {}. ", language.name,
                     meanings.adjectives[word - num_nouns], language.adjectives[word - num_nouns]);
    else
      text += format("In {} the word for {} is {}, in the past {}{}. ", language.name,
                     meanings.verbs[word - num_nouns - num_adjectives],
                     language.verbs[word - num_nouns - num_adjectives],
                     language.verbs[word - num_nouns - num_adjectives], language.past_ending);
  }
  const std::vector<Clause> clauses = draw_clauses(random, random.between(1, 4));
  for (const ToyLanguage& language : draw_some(random, languages, languages.size()))
    text += format("{} : {} ", language.name, say(language, clauses));
  const ToyLanguage& language = random.pick(languages);
  text += format("{} : ", language.name);
  for (int i = 0; i < 2; ++i)
    text += say(language, draw_clauses(random, random.between(1, 4))) + (i == 0 ? " " : "");
  return text;
}

// ---- the real languages

// The words that instructions are made of.
const Sentences& sentences_about_words(const std::string& language) {
  static const std::map<std::string, Sentences> all = {
      {"en",
       {"A number is written in figures or spelled out in words.",
        "The clerk hears an amount and types the digits of it.",
        "On the cheque stands the same amount twice, once in words.",
        "One box holds eggs, another one holds more. Together that is a sum.",
        "Each day follows the day before, and each month follows a month.",
        "The guests stay for some nights, then they leave.",
        "The opposite of a word says the reverse.",
        "An echo gives back a phrase, and who repeats it says it once more.",
        "A list has several entries. Only one entry may be left to choose.",
        "The house was ready after some months of work."}},
      {"de",
       {"Eine Zahl schreibt man in Ziffern oder in Worten aus.",
        "Jemand diktiert einen Betrag, und man tippt die Ziffern.",
        "Auf dem Scheck steht der Betrag zweimal, einmal in Worten.",
        "In einer Kiste liegen Eier, in der anderen noch mehr. Zusammen ergibt das eine Summe.",
        "Auf jeden Tag folgt der nächste, auf jeden Monat auch.",
        "Die Gäste bleiben einige Nächte, dann fahren sie ab.",
        "Das Gegenteil eines Wortes sagt das Umgekehrte. Es steht ihm gegenüber.",
        "Ein Echo ruft die Wörter, und wer sie wiederholt, sagt sie noch ein Mal.",
        "Eine Liste hat mehrere Einträge. Nur ein Eintrag ist gesucht. Wähle gut und ordne alles.",
        "Das Haus war nach einigen Monaten Arbeit fertig. Welches, fragte sie? Wie heißt es?"}},
      {"fr",
       {"Un nombre s'écrit en chiffres ou en toutes lettres.",
        "On dicte un montant et on tape les chiffres.",
        "Sur le chèque, le montant est écrit deux fois. Écris-le, dit-elle.",
        "Une boîte contient des œufs, une autre en contient plus. En tout, cela fait une somme.",
        "Chaque jour suit le précédent, chaque mois aussi.",
        "Les invités sont arrivés et restent quelques nuits, puis ils partent.",
        "Le contraire d'un mot dit l'inverse. À l'opposé, il y a toujours un autre mot.",
        "Un écho renvoie les mots, et qui les répète les dit encore une fois.",
        "Une liste a plusieurs éléments. Lequel, parmi eux, choisis-tu ? Qu'est-ce que c'est ?",
        "La maison fut prête après quelques mois de travail. Où ? Là-bas, à voix haute."}},
      {"es",
       {"Un número se escribe con cifras o con letras.",
        "Alguien dicta una cantidad y se teclean las cifras.",
        "En el cheque se pone la cantidad dos veces.",
        "Una caja tiene huevos, otra tiene más. En total hay una suma.",
        "Cada día sigue al anterior, y cada mes también.",
        "Los invitados llegaron y se quedan unas noches, luego se van.",
        "Lo contrario de una palabra dice lo opuesto, al revés.",
        "Un eco devuelve las palabras, y quien las repite las dice otra vez.",
        "Una lista tiene varios elementos. ¿Cuál eliges? Solo uno de ellos.",
        "La casa estuvo lista tras unos meses de obra. ¿Qué casa es? ¿Cómo se llama?"}},
      {"it",
       {"Un numero si scrive in cifre o in lettere, per esteso.",
        "Qualcuno detta un importo e si battono le cifre.",
        "Sull'assegno si mette l'importo due volte.",
        "Una scatola contiene uova, un'altra ne contiene di più. In tutto sono una somma.",
        "Ogni giorno segue il precedente, e così ogni mese.",
        "Gli ospiti sono arrivati e restano alcune notti, poi partono.",
        "Il contrario di una parola dice l'inverso. All'opposto c'è sempre un'altra parola.",
        "Un'eco rimanda le parole, e chi le ripete può dirle di nuovo.",
        "Una lista ha più elementi. Qual è quello giusto? Che cosa scegli? Di' soltanto uno.",
        "La casa fu pronta dopo alcuni mesi di lavoro. Però non si sa perché. Come si chiama?"}},
      {"nl",
       {"Een getal schrijf je in cijfers of voluit in woorden.",
        "Iemand dicteert een bedrag en men typt de cijfers.",
        "Op de cheque staat het bedrag twee keer.",
        "In een doos liggen eieren, in een andere liggen er meer. Samen is dat een som.",
        "Elke dag volgt op de vorige, en elke maand ook.",
        "De gasten kwamen en blijven een paar nachten, dan vertrekken zij.",
        "Het tegendeel van een woord zegt het omgekeerde. Het staat er tegenover.",
        "Een echo roept de woorden, en wie ze herhaalt zegt ze nog een keer.",
        "Een lijst heeft meer onderdelen. Slechts één daarvan is gezocht. Kies goed.",
        "Het huis was klaar na enkele maanden werk. Welk huis, vroeg zij? Hoe heet het?"}}};
  return all.at(language);
}

std::string tell_real_languages(RandomStream& random) {
  static const std::vector<std::pair<std::string, std::string>> is = {
      {"en", "is"}, {"de", "ist"}, {"fr", "est"}, {"es", "es"}, {"it", "è"}, {"nl", "is"}};
  const std::string& language = random.pick(real_languages());
  const LanguageWords& words = language_words(language);
  switch (random.below(6)) {
    case 5:
      return join_sentences(random, draw_some(random, sentences_about_words(language), 3));
    case 0: {
      static constexpr int64_t kLargest[] = {20, 100, 1000, 10000, 1000000};
      const int64_t number = static_cast<int64_t>(
          random.below(static_cast<uint64_t>(kLargest[random.below(std::size(kLargest))])));
      std::vector<std::string> all;
      for (const std::string& each : real_languages()) all.push_back(number_words(number, each));
      return format("{}: {}.", number, join_words(all));
    }
    case 1: {
      const int64_t first = random.between(0, 980);
      std::vector<std::string> all;
      for (int64_t i = 0; i < 6; ++i)
        all.push_back(format("{} {}", first + i, number_words(first + i, language)));
      return join_words(all) + ".";
    }
    case 2:
      return format("{}. {}.", join_words(words.weekdays), join_words(words.months));
    case 3: {
      std::string text;
      for (const auto& [word, opposite] : draw_some(random, words.opposites, 4))
        text += format("{}{} / {}", text.empty() ? "" : ", ", word, opposite);
      for (const auto& [word, opposite] : draw_some(random, words.opposites, 2))
        text += format(". {} / {}", opposite, word);
      return text + ".";
    }
    default: {
      const auto verb = std::find_if(is.begin(), is.end(),
                                     [&](const auto& entry) { return entry.first == language; });
      const std::string& colour = random.pick(words.colours);
      const std::string& day = random.pick(words.weekdays);
      const std::string& month = random.pick(words.months);
      const std::string number = number_words(random.between(0, 99), language);
      return join_sentences(random, {format("{} {} {}.", colour, verb->second, words.kinds[0]),
                                     format("{} {} {}.", day, verb->second, words.kinds[1]),
                                     format("{} {} {}.", month, verb->second, words.kinds[2]),
                                     format("{} {} {}.", number, verb->second, words.kinds[3])});
    }
  }
}

// ---- numbers, units, the calendar, lists and descriptions

std::string tell_sums(RandomStream& random) {
  static constexpr int64_t kLargest[] = {10, 60, 400, 3000};
  const int64_t largest = kLargest[random.below(std::size(kLargest))];
  std::string text;
  for (int i = 0; i < 3; ++i) {
    const int64_t first = random.between(1, largest), second = random.between(1, largest);
    const int64_t factor = random.between(2, 9);
    text += format("{}{} + {} = {}. {} - {} = {}. {} * {} = {}.", i > 0 ? " " : "", first, second,
                   first + second, first + second, first, second, first, factor, first * factor);
  }
  return text;
}

std::string tell_measures(RandomStream& random) {
  struct Measure {
    const char *one, *large, *small;
    int64_t factor;
  };
  static const std::vector<Measure> measures = {{"metre", "metres", "centimetres", 100},
                                                {"kilometre", "kilometres", "metres", 1000},
                                                {"centimetre", "centimetres", "millimetres", 10},
                                                {"kilogram", "kilograms", "grams", 1000},
                                                {"ton", "tons", "kilograms", 1000},
                                                {"litre", "litres", "millilitres", 1000},
                                                {"hour", "hours", "minutes", 60},
                                                {"minute", "minutes", "seconds", 60},
                                                {"day", "days", "hours", 24},
                                                {"week", "weeks", "days", 7},
                                                {"year", "years", "months", 12}};
  const Measure& measure = random.pick(measures);
  const int64_t large = random.between(2, 90);
  const int64_t hour = random.between(0, 22), minute = random.between(0, 59);
  return format("1 {} is {} {}. {} {} are {} {}. One hour after {:02}:{:02} it is {:02}:{:02}.",
                measure.one, measure.factor, measure.small, large, measure.large,
                large * measure.factor, measure.small, hour, minute, hour + 1, minute);
}

std::string tell_calendar(RandomStream& random) {
  static constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const LanguageWords& words = language_words("en");
  const size_t month = random.below(12), day = random.below(7), later = 1 + random.below(6);
  return format("{} has {} days. After {} {} comes {} 1. {} days after {} it is {}.",
                words.months[month], kDays[month], words.months[month], kDays[month],
                words.months[(month + 1) % 12], later, words.weekdays[day],
                words.weekdays[(day + later) % 7]);
}

std::string tell_letters(RandomStream& random) {
  std::vector<std::string> words = draw_some(random, all_group_words(), 4);
  std::string text;
  for (size_t i = 0; i < 2; ++i) {
    const std::string& word = words[i];
    text += word + ":";
    for (const char letter : word) text += std::string(" ") + letter;
    text += ", backwards " + std::string(word.rbegin(), word.rend()) + ". ";
  }
  std::sort(words.begin(), words.end());
  return text + "In the order of the alphabet: " + join_words(words) + ".";
}

std::string tell_comparison(RandomStream& random) {
  static const std::vector<std::pair<std::string, std::string>> pairs = {{"taller", "shorter"},
                                                                         {"older", "younger"},
                                                                         {"richer", "poorer"},
                                                                         {"faster", "slower"},
                                                                         {"stronger", "weaker"}};
  const auto& [more, less] = random.pick(pairs);
  const std::vector<std::string> names = draw_some(random, person_names(), 2);
  const std::vector<int64_t> numbers = {random.between(2, 90), random.between(2, 90)};
  return format(
      "{} is {} than {}, so {} is {} than {}. {} has {} coins, {} has {} more, that is "
      "{}.",
      names[0], more, names[1], names[1], less, names[0], names[0], numbers[0], names[1],
      numbers[1], numbers[0] + numbers[1]);
}

std::string tell_description(RandomStream& random) {
  static const std::vector<const Descriptions*> all = {
      &kind_descriptions(), &job_descriptions(), &season_descriptions(), &scene_descriptions()};
  const Descriptions& descriptions = *random.pick(all);
  std::string text;
  for (const DescribedClass& described : draw_some(random, descriptions.classes, 2)) {
    text += format("{}{}:", text.empty() ? "" : " ", capitalised(described.name));
    for (const std::string& clue : draw_some(random, described.clues, 2))
      text += format(" {} {}.", descriptions.subject, clue);
  }
  return text;
}

// What is neither a letter nor a figure.
std::string tell_signs(RandomStream& random) {
  const std::vector<std::string> words = draw_some(random, all_group_words(), 4);
  const int64_t small = random.between(1, 50), large = small + random.between(1, 50);
  return format(
      "{} > {} (the first is more). The sign _ is a line, the sign ? asks. Two lists "
      "between bars: | {} | {} | ; | {} | {} |",
      large, small, words[0], words[1], words[2], words[3]);
}

std::string tell_numbers_and_lists(RandomStream& random) {
  using Teller = std::string (*)(RandomStream&);
  static const std::vector<Teller> tellers = {tell_sums,    tell_measures,   tell_calendar,
                                              tell_letters, tell_comparison, tell_description,
                                              tell_signs};
  const auto chosen = draw_some(random, tellers, 2);
  std::string text = chosen[0](random);
  text += ' ';
  return text + chosen[1](random);
}

}  // namespace

std::string make_full_document(uint64_t seed, uint64_t index) {
  RandomStream random(RandomKey(seed, RandomPurpose::Generator).fold("full document").fold(index));
  const uint64_t round = index / 8;
  switch (index % 8) {
    case 3:
      return tell_world(random, seed, 2 * round);
    case 4:
      return tell_world(random, seed, 2 * round + 1);
    case 5:
      return tell_languages(random, round);
    case 6: {
      std::string text = tell_real_languages(random);
      text += ' ';
      return text + tell_real_languages(random);
    }
    case 7:
      return tell_numbers_and_lists(random);
    default:
      return make_easy_document(seed, index);
  }
}

}  // namespace flanmoe::data::builtin
