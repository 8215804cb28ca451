// Cluster `tables`, held out: looking things up in a small table. The tables, the questions and the
// rules are its own.
#include <fmt/format.h>

#include "data/builtin/draw.h"
#include "data/builtin/lexicon.h"
#include "data/builtin/task.h"

namespace flanmoe::data::builtin {
namespace {

// No number comes twice in a table.
struct Table {
  std::vector<std::string> rows, columns;
  std::vector<std::vector<int64_t>> cells;  // [row][column]
  std::string text;
};

const std::vector<std::string>& goods() {
  static const std::vector<std::string> words = {"lemons", "onions", "candles", "barrels",
                                                 "nails",  "ropes",  "jars",    "bricks"};
  return words;
}

Table draw_table(RandomStream& random, int64_t level) {
  Table table;
  table.rows = draw_some(random, person_names(),
                         static_cast<size_t>(at_level<int64_t>(level, {4, 4, 4, 5, 6})));
  table.columns =
      draw_some(random, goods(), static_cast<size_t>(at_level<int64_t>(level, {2, 3, 3, 4, 4})));
  std::vector<int64_t> used;
  table.text = "name";
  for (const std::string& column : table.columns) table.text += " | " + column;
  for (const std::string& row : table.rows) {
    table.text += " ; " + row;
    table.cells.emplace_back();
    for (size_t i = 0; i < table.columns.size(); ++i) {
      int64_t number = 0;
      do number = random.between(1, 30 * level);
      while (std::find(used.begin(), used.end(), number) != used.end());
      used.push_back(number);
      table.cells.back().push_back(number);
      table.text += fmt::format(" | {}", number);
    }
  }
  return table;
}

std::vector<std::string> choose(RandomStream& random, const std::string& answer, uint64_t place,
                                const std::vector<std::string>& pool) {
  std::vector<std::string> choices = draw_choices(random, answer, 4, pool);
  std::swap(*std::find(choices.begin(), choices.end(), answer), choices[place]);
  return choices;
}

Draft draw_table_cell(RandomStream& random, const Request& request) {
  const Table table = draw_table(random, request.level);
  const size_t row = random.below(table.rows.size()), column = random.below(table.columns.size());
  std::vector<std::string> pool;
  for (const auto& line : table.cells)
    for (const int64_t cell : line) pool.push_back(std::to_string(cell));
  const std::string answer = std::to_string(table.cells[row][column]);
  return {{{"table", table.text}, {"name", table.rows[row]}, {"goods", table.columns[column]}},
          choose(random, answer, request.answer_class, pool),
          answer,
          fmt::format("{} {} {}", table.text, row, column)};
}

Draft draw_table_row(RandomStream& random, const Request& request) {
  const Table table = draw_table(random, request.level);
  const size_t row = random.below(table.rows.size()), column = random.below(table.columns.size());
  const std::string& answer = table.rows[row];
  return {{{"table", table.text},
           {"number", std::to_string(table.cells[row][column])},
           {"goods", table.columns[column]}},
          choose(random, answer, request.answer_class, table.rows),
          answer,
          fmt::format("{} {} {}", table.text, row, column)};
}

Draft draw_table_most(RandomStream& random, const Request& request) {
  const Table table = draw_table(random, request.level);
  const size_t column = random.below(table.columns.size());
  size_t best = 0;
  std::string column_text;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    if (table.cells[row][column] > table.cells[best][column]) best = row;
    column_text +=
        fmt::format("{}{} {}", row > 0 ? ", " : "", table.rows[row], table.cells[row][column]);
  }
  const std::string& answer = table.rows[best];
  return {{{"table", table.text}, {"goods", table.columns[column]}},
          choose(random, answer, request.answer_class, table.rows),
          answer,
          fmt::format("{} {}", table.text, column),
          fmt::format("The column {} says: {}. The most is {}. The answer is {}.",
                      table.columns[column], column_text, table.cells[best][column], answer)};
}

Draft draw_table_column(RandomStream& random, const Request& request) {
  const Table table = draw_table(random, request.level);
  const size_t row = random.below(table.rows.size()), column = random.below(table.columns.size());
  const std::string& answer = table.columns[column];
  const bool has_enough = table.columns.size() >= 4;
  return {{{"table", table.text},
           {"name", table.rows[row]},
           {"number", std::to_string(table.cells[row][column])}},
          choose(random, answer, request.answer_class, has_enough ? table.columns : goods()),
          answer,
          fmt::format("{} {} {}", table.text, row, column),
          fmt::format("The row of {} says {} under {}. The answer is {}.", table.rows[row],
                      table.cells[row][column], answer, answer)};
}

}  // namespace

std::vector<TaskDefinition> make_tables_tasks() {
  const std::string cluster = "tables";
  const std::string level_changes = "rows and columns of the table, size of the numbers";
  return {
      {.name = "table_cell",
       .cluster = cluster,
       .description = "the number in a cell of a table",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_table_cell,
       .templates = {"Table: {table} What number of {goods} stands in the row of {name}?",
                     "{table} According to the table, {goods} of {name}:",
                     "Use the table to look up the {goods} that {name} keeps. {table}",
                     "{table} Row {name}, column {goods}. Entry?"},
       .unseen_templates = {"{table} Read off: {name}, {goods}",
                            "In the table, which entry has {name} under {goods}? {table}"},
       .level_changes = level_changes},
      {.name = "table_row",
       .cluster = cluster,
       .description = "the row of a table in which a number stands",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_table_row,
       .templates = {"Table: {table} Whose row shows {number} {goods}?",
                     "{table} According to the table, exactly {number} {goods} are with",
                     "Use the table to find the person with {number} {goods}. {table}",
                     "{table} Column {goods}, entry {number}. Row?"},
       .unseen_templates = {"{table} The entry {number} under {goods} is beside which name?",
                            "In the table, {number} {goods} stand in the row of whom? {table}"},
       .level_changes = level_changes},
      {.name = "table_most",
       .cluster = cluster,
       .description = "the row of a table with the largest number of a column",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_table_most,
       .templates = {"Table: {table} Who keeps the most {goods}?",
                     "{table} According to the table, nobody has more {goods} than",
                     "Use the table to find out who leads in {goods}. {table}",
                     "{table} Column {goods}, highest entry. Row?"},
       .unseen_templates = {"{table} The top of the column {goods} belongs to whom?",
                            "In the table, who is richest in {goods}? {table}"},
       .level_changes = level_changes},
      {.name = "table_column",
       .cluster = cluster,
       .description = "the column of a table in which a number stands",
       .num_choices = 4,
       .num_classes = 4,
       .draw = draw_table_column,
       .templates = {"Table: {table} What does {name} keep {number} of?",
                     "{table} According to the table, the {number} of {name} are",
                     "Use the table to see which goods {name} counts {number} of. {table}",
                     "{table} Row {name}, entry {number}. Column?"},
       .unseen_templates = {"{table} {name} comes to {number} under which heading?",
                            "In the table, over the {number} of {name} there stands what? {table}"},
       .level_changes = level_changes},
  };
}

}  // namespace flanmoe::data::builtin
