#include "data/builtin/descriptions.h"

namespace flanmoe::data::builtin {

const Descriptions& kind_descriptions() {
  static const Descriptions all = {
      "It",
      {{"animal",
        {"has fur", "runs on four legs", "sleeps in a den", "feeds its young",
         "growls when it is hungry", "wags its tail"}},
       {"meal",
        {"tastes sweet", "is baked in an oven", "is eaten with a fork", "smells of cinnamon",
         "is served on a plate", "is cut into slices for lunch"}},
       {"tool",
        {"has a sharp blade", "hangs in the workshop", "drives nails into boards",
         "is used by carpenters", "needs a firm grip", "helps to repair a fence"}},
       {"garment",
        {"has long sleeves", "is sewn from wool", "keeps the body warm", "is buttoned at the front",
         "is washed and ironed", "has two pockets"}},
       {"vehicle",
        {"runs on wheels", "carries passengers", "has an engine", "stops at every station",
         "needs fuel", "is steered by a driver"}},
       {"plant",
        {"has green leaves", "grows from a seed", "is watered every week", "blossoms in May",
         "has deep roots", "turns towards the sun"}}},
      {"is older than it looks", "was seen last week", "belongs to my neighbour",
       "is known everywhere", "has a funny name", "was a present", "cost a lot of money",
       "is talked about"}};
  return all;
}

const Descriptions& job_descriptions() {
  static const Descriptions all = {
      "This person",
      {{"baker",
        {"gets up at three to heat the oven", "kneads dough", "sells rolls and buns",
         "has flour on both arms", "shapes loaves"}},
       {"sailor",
        {"sleeps in a cabin", "ties knots all day", "hoists the sails",
         "knows every port of the coast", "fears only storms at sea"}},
       {"teacher",
        {"writes on the board", "corrects homework", "explains grammar to pupils",
         "stands before a class", "gives marks"}},
       {"doctor",
        {"listens to hearts", "looks after patients", "prescribes pills", "cures fevers",
         "bandages wounds"}},
       {"farmer",
        {"milks the cows", "ploughs the fields", "brings in the harvest", "feeds the hens",
         "drives a tractor"}},
       {"tailor",
        {"measures sleeves", "threads needles", "shortens trousers", "sews on buttons",
         "cuts cloth"}}},
      {"likes to sing", "has two children", "lives next door", "was on holiday in June",
       "reads a newspaper", "never complains", "walks to work", "drinks tea"}};
  return all;
}

const Descriptions& season_descriptions() {
  static const Descriptions all = {
      "Outside it",
      {{"spring",
        {"thaws, and buds open", "is the time when the swallows return",
         "smells of the first violets", "is getting milder, and lambs are born",
         "is time to sow the garden"}},
       {"summer",
        {"is so hot that children swim in the lake", "stays light until late, and crickets chirp",
         "smells of hay and sun cream", "is holiday time, and ice cream melts",
         "has not rained for weeks, and tents stand by the beach"}},
       {"autumn",
        {"is foggy, and leaves turn brown", "is time to pick grapes and pumpkins",
         "smells of mushrooms and wet leaves", "gets dark earlier, and cranes fly south",
         "is windy enough for kites over the stubble"}},
       {"winter",
        {"snows, and the pond is frozen", "is dark at five, and icicles hang from the roof",
         "freezes, and sledges are brought out", "smells of snow, and stoves are lit",
         "is so cold that skates are sharpened"}}},
      {"is quiet today", "is Sunday", "looks lovely", "is noon", "seems calm", "is a working day"}};
  return all;
}

const Descriptions& scene_descriptions() {
  static const Descriptions all = {
      "One",
      {{"harbour",
        {"sees masts and cranes", "hears gulls and ship horns", "smells tar and fish",
         "watches ferries dock"}},
       {"classroom",
        {"sees desks and a blackboard", "hears chalk squeak", "raises a hand before speaking",
         "waits for the bell to ring"}},
       {"forest",
        {"walks under pines", "hears a woodpecker", "steps on moss and twigs",
         "finds the track of a deer"}},
       {"library",
        {"whispers between shelves", "borrows novels", "shows a reader card",
         "hears only pages turn"}},
       {"stable",
        {"smells straw and horses", "hears neighing", "hangs up a saddle", "fills a manger"}}},
      {"feels at home", "stays for an hour", "meets old friends", "forgets the time",
       "comes back every week", "thinks of nothing else"}};
  return all;
}

}  // namespace flanmoe::data::builtin
