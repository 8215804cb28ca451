// Cluster `multilingual`: tasks that exist in parallel in English, German, French, Spanish, Italian
// and Dutch. The content is drawn before the language is looked at.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/number_words.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

// The same list of words in the language of the request.
const LanguageWords& words_of(const Request& request) {
  return language_words(request.language);
}

int64_t draw_number(RandomStream& random, const Request& request) {
  return random.between(0, at_level<int64_t>(request.level, {99, 999, 9999, 99999, 999999}));
}

Draft draw_number_to_words(RandomStream& random, const Request& request) {
  const int64_t number = draw_number(random, request);
  return {{{"number", std::to_string(number)}},
          {},
          number_words(number, request.language),
          std::to_string(number)};
}

Draft draw_words_to_number(RandomStream& random, const Request& request) {
  const int64_t number = draw_number(random, request);
  return {{{"words", number_words(number, request.language)}},
          {},
          std::to_string(number),
          std::to_string(number)};
}

Draft draw_sum_in_words(RandomStream& random, const Request& request) {
  const int64_t largest = at_level<int64_t>(request.level, {10, 20, 50, 200, 900});
  const int64_t first = random.between(1, largest), second = random.between(1, largest);
  const std::string answer = number_words(first + second, request.language);
  return {{{"first", number_words(first, request.language)},
           {"second", number_words(second, request.language)}},
          {},
          answer,
          fmt::format("{} {}", std::min(first, second), std::max(first, second)),
          fmt::format("{} + {} = {}: {}.", first, second, first + second, answer)};
}

// The entry `count` places behind the start, in a list that goes round; the answer is drawn first.
Draft draw_later(RandomStream& random, const Request& request, const std::string& field,
                 const std::vector<std::string>& list) {
  const auto size = static_cast<int64_t>(list.size());
  const int64_t count =
      random.between(1, at_level<int64_t>(request.level, {24, 60, 200, 700, 3000}));
  const auto end = static_cast<int64_t>(request.answer_class);
  const int64_t start = (end + size - count % size) % size;
  const std::string& answer = list[request.answer_class];
  return {{{field, list[static_cast<size_t>(start)]}, {"count", std::to_string(count)}},
          {},
          answer,
          fmt::format("{} {}", start, count),
          fmt::format("{} = {} * {} + {}: {}.", count, size, count / size, count % size, answer)};
}

Draft draw_next_day(RandomStream& random, const Request& request) {
  return draw_later(random, request, "day", words_of(request).weekdays);
}
Draft draw_next_month(RandomStream& random, const Request& request) {
  return draw_later(random, request, "month", words_of(request).months);
}

// One word of each kind.
Draft draw_pick_of_kind(RandomStream& random, const Request& request) {
  const LanguageWords& words = words_of(request);
  const size_t kind = random.below(4);
  const size_t colour = random.below(words.colours.size());
  const size_t day = random.below(words.weekdays.size());
  const size_t month = random.below(words.months.size());
  const int64_t number = random.between(2, at_level<int64_t>(request.level, {9, 30, 90, 300, 900}));
  std::vector<std::string> choices = {words.colours[colour], words.weekdays[day],
                                      words.months[month], number_words(number, request.language)};
  const std::string answer = choices[kind];
  std::vector<size_t> order = {0, 1, 2, 3};
  random.shuffle(order);
  std::swap(order[static_cast<size_t>(std::find(order.begin(), order.end(), kind) - order.begin())],
            order[request.answer_class]);
  choices = {choices[order[0]], choices[order[1]], choices[order[2]], choices[order[3]]};
  return {{{"words", join_words(choices)}, {"kind", words.kinds[kind]}},
          choices,
          answer,
          fmt::format("{} {} {} {} {}", kind, colour, day, month, number)};
}

Draft draw_opposite_word(RandomStream& random, const Request& request) {
  const auto& pairs = words_of(request).opposites;
  const size_t asked = random.below(pairs.size());
  const bool is_swapped = random.below(2) == 0;
  const auto& [first, second] = pairs[asked];
  // Distractors, so that the answer stands in the text among others.
  const auto count = static_cast<size_t>(request.level + 1);
  std::vector<size_t> others;
  while (others.size() < count) {
    const size_t other = random.below(pairs.size());
    if (other != asked && std::find(others.begin(), others.end(), other) == others.end())
      others.push_back(other);
  }
  const size_t place = random.below(count + 1);
  std::vector<std::string> words;
  std::string identity = fmt::format("{} {}:", asked, is_swapped);
  for (const size_t other : others) {
    words.push_back(pairs[other].second);
    identity += fmt::format(" {}", other);
  }
  words.insert(words.begin() + static_cast<std::ptrdiff_t>(place), is_swapped ? first : second);
  return {{{"word", is_swapped ? second : first}, {"words", join_words(words)}},
          {},
          is_swapped ? first : second,
          identity};
}

Draft draw_repeat_phrase(RandomStream& random, const Request& request) {
  const LanguageWords& words = words_of(request);
  const size_t colour = random.below(words.colours.size());
  const size_t month = random.below(words.months.size());
  const int64_t count = random.between(2, request.level + 3);
  const std::string phrase = words.months[month] + " " + words.colours[colour];
  std::string answer = phrase;
  for (int64_t i = 1; i < count; ++i) answer += " " + phrase;
  return {{{"phrase", phrase}, {"count", std::to_string(count)}},
          {},
          answer,
          fmt::format("{} {} {}", colour, month, count)};
}

}  // namespace

std::vector<TaskDefinition> make_multilingual_tasks() {
  const std::string cluster = "multilingual";
  return {
      {.name = "number_to_words",
       .cluster = cluster,
       .description = "a number written out",
       .draw = draw_number_to_words,
       .templates = {"Write the number {number} in words.",
                     "{number} in words:", "How do you read {number} aloud?",
                     "On a cheque the amount {number} is spelled out as"},
       .unseen_templates = {"Spell out {number}.", "What is {number} called in words?"},
       .level_changes = "size of the number",
       .translations =
           {{"de",
             {{"Schreibe die Zahl {number} in Worten.", "{number} in Worten:",
               "Wie liest man {number} laut vor?", "Auf einem Scheck steht für {number}"},
              {"Schreibe {number} aus.", "Wie heißt {number} in Worten?"}}},
            {"fr",
             {{"Écris le nombre {number} en lettres.", "{number} en lettres :",
               "Comment lit-on {number} à voix haute ?", "Sur un chèque de {number}, on écrit"},
              {"Écris {number} en toutes lettres.", "Comment s'appelle {number} en lettres ?"}}},
            {"es",
             {{"Escribe el número {number} con letras.", "{number} en letras:",
               "¿Cómo se lee {number} en voz alta?", "En un cheque de {number} se pone"},
              {"Pasa {number} a letras.", "¿Cómo se llama {number} con letras?"}}},
            {"it",
             {{"Scrivi il numero {number} in lettere.", "{number} in parole:",
               "Come si legge {number} ad alta voce?", "Su un assegno di {number} si mette"},
              {"Scrivi {number} per esteso.", "Come si chiama {number} in lettere?"}}},
            {"nl",
             {{"Schrijf het getal {number} in woorden.", "{number} voluit:",
               "Hoe lees je {number} hardop?", "Op een cheque van {number} staat"},
              {"Schrijf {number} helemaal uit.", "Hoe heet {number} in woorden?"}}}}},
      {.name = "words_to_number",
       .cluster = cluster,
       .description = "a number in figures from its words",
       .draw = draw_words_to_number,
       .templates = {"Write {words} in figures.", "{words} =", "Which number is meant by {words}?",
                     "A clerk hears {words} and types the digits"},
       .unseen_templates = {"Give {words} as a number.", "What number is called {words}?"},
       .level_changes = "size of the number",
       .translations =
           {{"de",
             {{"Schreibe {words} in Ziffern.", "{words} =", "Welche Zahl ist mit {words} gemeint?",
               "Jemand diktiert {words} und man tippt"},
              {"Gib {words} als Zahl an.", "Welche Zahl heißt {words}?"}}},
            {"fr",
             {{"Écris {words} en chiffres.", "{words} =", "Quel nombre est désigné par {words} ?",
               "On dicte {words} et on tape"},
              {"Donne {words} sous forme de nombre.", "Quel nombre s'appelle {words} ?"}}},
            {"es",
             {{"Escribe {words} con cifras.", "{words} =", "¿A qué número se refiere {words}?",
               "Alguien dicta {words} y se teclea"},
              {"Da {words} como número.", "¿Qué número se llama {words}?"}}},
            {"it",
             {{"Scrivi {words} in cifre.", "{words} =", "Quale numero si intende con {words}?",
               "Qualcuno detta {words} e si batte"},
              {"Dai {words} come numero.", "Quale numero si chiama {words}?"}}},
            {"nl",
             {{"Schrijf {words} in cijfers.", "{words} =", "Welk getal wordt bedoeld met {words}?",
               "Iemand dicteert {words} en men typt"},
              {"Geef {words} als getal.", "Welk getal heet {words}?"}}}}},
      {.name = "sum_in_words",
       .cluster = cluster,
       .description = "the sum of two numbers in words",
       .draw = draw_sum_in_words,
       .templates = {"What is {first} plus {second}? Answer in words.", "{first} and {second} make",
                     "Add {second} to {first} and spell the result.",
                     "One box holds {first} eggs, another one {second}. Together that is"},
       .unseen_templates = {"How much is {first} plus {second}?",
                            "Say the sum of {first} and {second}."},
       .level_changes = "size of the numbers",
       .translations =
           {{"de",
             {{"Was ist {first} plus {second}? Antworte in Worten.", "{first} und {second} ergibt",
               "Zähle {second} zu {first} dazu und schreibe das Ergebnis aus.",
               "In einer Kiste liegen {first} Eier, in der anderen {second}. Zusammen sind es"},
              {"Wie viel ist {first} plus {second}?",
               "Nenne die Summe von {first} und {second}."}}},
            {"fr",
             {{"Combien font {first} plus {second} ? Réponds en lettres.",
               "{first} et {second} font",
               "Ajoute {second} à {first} et écris le résultat en lettres.",
               "Une boîte contient {first} œufs, une autre {second}. En tout, cela fait"},
              {"Quel est le total de {first} plus {second} ?",
               "Dis la somme de {first} et {second}."}}},
            {"es",
             {{"¿Cuánto es {first} más {second}? Responde con letras.", "{first} y {second} son",
               "Suma {second} a {first} y escribe el resultado en letras.",
               "Una caja tiene {first} huevos, otra {second}. En total hay"},
              {"¿Cuál es el total de {first} más {second}?", "Di la suma de {first} y {second}."}}},
            {"it",
             {{"Quanto fa {first} più {second}? Rispondi in lettere.", "{first} e {second} fanno",
               "Aggiungi {second} a {first} e scrivi il risultato in lettere.",
               "Una scatola contiene {first} uova, un'altra {second}. In tutto sono"},
              {"Qual è il totale di {first} più {second}?",
               "Di' la somma di {first} e {second}."}}},
            {"nl",
             {{"Wat is {first} plus {second}? Antwoord in woorden.", "{first} en {second} is",
               "Tel {second} bij {first} op en schrijf de uitkomst voluit.",
               "In een doos liggen {first} eieren, in een andere {second}. Samen zijn dat er"},
              {"Hoeveel is {first} plus {second}?", "Noem de som van {first} en {second}."}}}}},
      {.name = "next_day",
       .cluster = cluster,
       .description = "the day of the week some days later",
       .num_classes = 7,
       .draw = draw_next_day,
       .templates = {"It is {day}. Which day is it {count} days later?",
                     "{day} + {count} =", "Name the day that lies {count} days behind {day}.",
                     "The guests came on {day} and stay for {count} nights. They leave on"},
       .unseen_templates = {"Which day follows {day} after {count} days?",
                            "{count} days from {day}, what day is that?"},
       .level_changes = "number of days",
       .translations =
           {{"de",
             {{"Heute ist {day}. Welcher Tag ist in {count} Tagen?",
               "{day} + {count} =", "Nenne den Tag, der {count} Tage nach {day} kommt.",
               "Die Gäste kamen am {day} und bleiben {count} Nächte. Sie fahren ab am"},
              {"Welcher Tag folgt {count} Tage auf {day}?",
               "{count} Tage nach {day}, welcher Tag ist das?"}}},
            {"fr",
             {{"Nous sommes {day}. Quel jour serons-nous dans {count} jours ?",
               "{day} + {count} =", "Donne le jour qui vient {count} jours après {day}.",
               "Les invités sont arrivés {day} et restent {count} nuits. Ils partent"},
              {"Quel jour suit {day} après {count} jours ?",
               "{count} jours après {day}, c'est quel jour ?"}}},
            {"es",
             {{"Hoy es {day}. ¿Qué día será dentro de {count} días?",
               "{day} + {count} =", "Nombra el día que llega {count} días después del {day}.",
               "Los invitados llegaron el {day} y se quedan {count} noches. Se van el"},
              {"¿Qué día sigue al {day} tras {count} días?",
               "{count} días después del {day}, ¿qué día es?"}}},
            {"it",
             {{"Oggi è {day}. Che giorno sarà tra {count} giorni?",
               "{day} + {count} =", "Nomina il giorno che viene {count} giorni dopo {day}.",
               "Gli ospiti sono arrivati {day} e restano {count} notti. Partono"},
              {"Quale giorno segue {day} dopo {count} giorni?",
               "{count} giorni dopo {day}, che giorno è?"}}},
            {"nl",
             {{"Vandaag is het {day}. Welke dag is het over {count} dagen?",
               "{day} + {count} =", "Noem de dag die {count} dagen na {day} komt.",
               "De gasten kwamen op {day} en blijven {count} nachten. Zij vertrekken op"},
              {"Welke dag volgt {count} dagen op {day}?",
               "{count} dagen na {day}, welke dag is dat?"}}}}},
      {.name = "next_month",
       .cluster = cluster,
       .description = "the month some months later",
       .num_classes = 12,
       .draw = draw_next_month,
       .templates = {"It is {month}. Which month is it {count} months later?",
                     "{month} + {count} =",
                     "Name the month that lies {count} months after {month}.",
                     "Work began in {month} and took {count} months. The house was ready in"},
       .unseen_templates = {"Which month follows {month} after {count} months?",
                            "{count} months from {month}, what month is that?"},
       .level_changes = "number of months",
       .translations =
           {{"de",
             {{"Jetzt ist {month}. Welcher Monat ist in {count} Monaten?",
               "{month} + {count} =", "Nenne den Monat, der {count} Monate nach {month} kommt.",
               "Die Arbeit begann im {month} und dauerte {count} Monate. Das Haus war fertig im"},
              {"Welcher Monat folgt {count} Monate auf {month}?",
               "{count} Monate nach {month}, welcher Monat ist das?"}}},
            {"fr",
             {{"Nous sommes en {month}. Quel mois serons-nous dans {count} mois ?",
               "{month} + {count} =", "Donne le mois qui vient {count} mois après {month}.",
               "Le travail a commencé en {month} et a duré {count} mois. La maison fut prête en"},
              {"Quel mois suit {month} après {count} mois ?",
               "{count} mois après {month}, c'est quel mois ?"}}},
            {"es",
             {{"Estamos en {month}. ¿Qué mes será dentro de {count} meses?",
               "{month} + {count} =", "Nombra el mes que llega {count} meses después de {month}.",
               "La obra empezó en {month} y duró {count} meses. La casa estuvo lista en"},
              {"¿Qué mes sigue a {month} tras {count} meses?",
               "{count} meses después de {month}, ¿qué mes es?"}}},
            {"it",
             {{"Siamo in {month}. Che mese sarà tra {count} mesi?",
               "{month} + {count} =", "Nomina il mese che viene {count} mesi dopo {month}.",
               "Il lavoro iniziò in {month} e durò {count} mesi. La casa fu pronta in"},
              {"Quale mese segue {month} dopo {count} mesi?",
               "{count} mesi dopo {month}, che mese è?"}}},
            {"nl",
             {{"Het is {month}. Welke maand is het over {count} maanden?",
               "{month} + {count} =", "Noem de maand die {count} maanden na {month} komt.",
               "Het werk begon in {month} en duurde {count} maanden. Het huis was klaar in"},
              {"Welke maand volgt {count} maanden op {month}?",
               "{count} maanden na {month}, welke maand is dat?"}}}}},
      {.name = "pick_of_kind",
       .cluster = cluster,
       .description = "the one of four words that names a colour, day, month or number",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_pick_of_kind,
       .templates = {"Which of these words is {kind}: {words}?", "{words}. Pick {kind}:",
                     "Only one entry of the list is {kind}. The list: {words}",
                     "Copy from {words} nothing but {kind}."},
       .unseen_templates = {"Find {kind} among {words}.", "What here is {kind}? {words}"},
       .level_changes = "size of the number among the words",
       .translations =
           {{"de",
             {{"Welches dieser Wörter ist {kind}: {words}?", "{words}. Gesucht ist {kind}:",
               "Nur ein Eintrag der Liste ist {kind}. Die Liste: {words}",
               "Was steht hier für {kind}? {words}"},
              {"Finde {kind} unter {words}.", "Was davon ist {kind}? {words}"}}},
            {"fr",
             {{"Lequel de ces mots est {kind} : {words} ?", "{words}. Choisis {kind} :",
               "Un seul élément de la liste est {kind}. La liste : {words}",
               "Copie de {words} seulement {kind}."},
              {"Trouve {kind} parmi {words}.", "Qu'est-ce qui est {kind} ici ? {words}"}}},
            {"es",
             {{"¿Cuál de estas palabras es {kind}: {words}?", "{words}. Elige {kind}:",
               "Solo un elemento de la lista es {kind}. La lista: {words}",
               "Copia de {words} solamente {kind}."},
              {"Encuentra {kind} entre {words}.", "¿Qué es {kind} aquí? {words}"}}},
            {"it",
             {{"Quale di queste parole è {kind}: {words}?", "{words}. Scegli {kind}:",
               "Solo un elemento della lista è {kind}. La lista: {words}",
               "Copia da {words} soltanto {kind}."},
              {"Trova {kind} tra {words}.", "Che cosa è {kind} qui? {words}"}}},
            {"nl",
             {{"Welk van deze woorden is {kind}: {words}?", "{words}. Kies {kind}:",
               "Slechts één onderdeel van de lijst is {kind}. De lijst: {words}",
               "Neem uit {words} alleen {kind} over."},
              {"Vind {kind} onder {words}.", "Wat is hier {kind}? {words}"}}}}},
      {.name = "opposite_word",
       .cluster = cluster,
       .description = "the opposite of an adjective, out of a list",
       .draw = draw_opposite_word,
       .templates = {"Which of these is the opposite of {word}: {words}?",
                     "{words}. Contrary to {word}:",
                     "What is not {word}? Choose a word out of {words}.",
                     "Match {word} with the one that says the reverse: {words}"},
       .unseen_templates = {"Find the opposite of {word} in {words}.",
                            "{words}. Which word is opposed to {word}?"},
       .level_changes = "length of the list",
       .translations = {{"de",
                         {{"Welches dieser Wörter ist das Gegenteil von {word}: {words}?",
                           "{words}. Im Gegensatz zu {word}:",
                           "Was ist nicht {word}? Wähle ein Wort aus {words}.",
                           "Ordne {word} zu, was das Umgekehrte sagt: {words}"},
                          {"Finde das Gegenteil von {word} in {words}.",
                           "{words}. Welches Wort steht {word} gegenüber?"}}},
                        {"fr",
                         {{"Lequel de ces mots est le contraire de {word} : {words} ?",
                           "{words}. À l'opposé de {word} :",
                           "Qu'est-ce qui n'est pas {word} ? Choisis un mot dans {words}.",
                           "Associe à {word} celui qui dit l'inverse : {words}"},
                          {"Trouve le contraire de {word} dans {words}.",
                           "{words}. Quel mot s'oppose à {word} ?"}}},
                        {"es",
                         {{"¿Cuál de estas palabras es lo contrario de {word}: {words}?",
                           "{words}. Al revés de {word}:",
                           "¿Qué no es {word}? Elige una palabra de {words}.",
                           "Une {word} con la que dice lo opuesto: {words}"},
                          {"Encuentra lo contrario de {word} en {words}.",
                           "{words}. ¿Qué palabra se opone a {word}?"}}},
                        {"it",
                         {{"Quale di queste parole è il contrario di {word}: {words}?",
                           "{words}. All'opposto di {word}:",
                           "Che cosa non è {word}? Scegli una parola da {words}.",
                           "Abbina a {word} quella che dice l'inverso: {words}"},
                          {"Trova il contrario di {word} in {words}.",
                           "{words}. Quale parola si oppone a {word}?"}}},
                        {"nl",
                         {{"Welk van deze woorden is het tegendeel van {word}: {words}?",
                           "{words}. In tegenstelling tot {word}:",
                           "Wat is niet {word}? Kies een woord uit {words}.",
                           "Zoek bij {word} wat het omgekeerde zegt: {words}"},
                          {"Vind het tegendeel van {word} in {words}.",
                           "{words}. Welk woord staat tegenover {word}?"}}}}},
      {.name = "repeat_phrase",
       .cluster = cluster,
       .description = "a phrase written several times",
       .draw = draw_repeat_phrase,
       .templates = {"Write {count} times: {phrase}", "{count} x {phrase} =",
                     "Repeat the words {phrase} until they stand there {count} times.",
                     "An echo gives back {phrase}, {count} in all:"},
       .unseen_templates = {"Say {phrase} {count} times.", "Put down {phrase} {count} times."},
       .level_changes = "number of repetitions",
       .translations = {{"de",
                         {{"Schreibe {count} Mal: {phrase}", "{count} x {phrase} =",
                           "Wiederhole die Wörter {phrase}, bis sie {count} Mal dastehen.",
                           "Ein Echo ruft {phrase}, insgesamt {count} Mal:"},
                          {"Sage {phrase} {count} Mal.", "Notiere {phrase} {count} Mal."}}},
                        {"fr",
                         {{"Écris {count} fois : {phrase}", "{count} x {phrase} =",
                           "Répète les mots {phrase} jusqu'à les avoir {count} fois.",
                           "Un écho renvoie {phrase}, {count} fois en tout :"},
                          {"Dis {phrase} {count} fois.", "Note {phrase} {count} fois."}}},
                        {"es",
                         {{"Escribe {count} veces: {phrase}", "{count} x {phrase} =",
                           "Repite las palabras {phrase} hasta tenerlas {count} veces.",
                           "Un eco devuelve {phrase}, {count} veces en total:"},
                          {"Di {phrase} {count} veces.", "Anota {phrase} {count} veces."}}},
                        {"it",
                         {{"Scrivi {count} volte: {phrase}", "{count} x {phrase} =",
                           "Ripeti le parole {phrase} fino ad averle {count} volte.",
                           "Un'eco rimanda {phrase}, {count} volte in tutto:"},
                          {"Di' {phrase} {count} volte.", "Annota {phrase} {count} volte."}}},
                        {"nl",
                         {{"Schrijf {count} keer: {phrase}", "{count} x {phrase} =",
                           "Herhaal de woorden {phrase} tot ze er {count} keer staan.",
                           "Een echo roept {phrase}, in totaal {count} keer:"},
                          {"Zeg {phrase} {count} keer.", "Noteer {phrase} {count} keer."}}}}},
  };
}

}  // namespace flanmoe::data::builtin
