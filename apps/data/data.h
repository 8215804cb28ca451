// What the parts of `flanmoe data` share.
#pragma once

#include <memory>
#include <string>

#include "common.h"
#include "data/mixture/mixture.h"
#include "text/tokenizer.h"
#include "verbs.h"

namespace flanmoe::apps {

struct DataSettings {
  std::string data = "builtin:train";
  data::MixtureConfig mixture;
  int64_t seed = 0;
  bool is_json = false;

  // --data, --seed, --json and the keys of data.mixture.
  void add_to(Options& options);
  // Sources that are missing are warned of, so that one can look at the rest.
  data::Mixture open() const;
};

// `name`: TASK or COLLECTION/TASK. Throws NotFound with the nearest name.
const data::MixtureTask& find_task(const data::Mixture& mixture, const std::string& name);

// Throws InvalidArgument where the task has no example of this number.
void check_index(const data::MixtureTask& task, int64_t index);

std::string percent(double share);

// Rows of cells, columns aligned: the first to the left, the others to the right.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

Verb add_data_list(Options options);
Verb add_data_show(Options options);
Verb add_data_render(Options options);
Verb add_data_stats(Options options);
Verb add_data_check(Options options);

}  // namespace flanmoe::apps
