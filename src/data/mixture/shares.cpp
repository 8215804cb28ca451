#include "data/mixture/shares.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace flanmoe::data {
namespace {

void add(Share& sum, const Share& part) {
  sum.asked += part.asked;
  sum.realised += part.realised;
  sum.num_tasks += part.num_tasks;
  sum.num_examples =
      sum.num_examples < 0 || part.num_examples < 0 ? -1 : sum.num_examples + part.num_examples;
}

std::vector<Share> group(const std::vector<Share>& tasks, std::string Share::*key) {
  std::vector<Share> groups;
  for (const Share& task : tasks) {
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const Share& g) { return g.name == task.*key; });
    if (found == groups.end()) {
      groups.push_back({task.*key, task.collection, "", 0, 0, 0, 0});
      found = groups.end() - 1;
    }
    add(*found, task);
  }
  return groups;
}

}  // namespace

Shares measure_shares(const Mixture& mixture, uint64_t num_draws, uint64_t num_rendered) {
  Shares shares;
  shares.num_draws = num_draws;
  shares.num_rendered = std::min(num_draws, num_rendered);
  for (const MixtureTask& task : mixture.tasks())
    shares.tasks.push_back(
        {task.name(), task.collection, task.cluster(), task.rate, 0, 1, task.num_examples});
  const double unit = 1 / static_cast<double>(num_draws);
  const auto form_share = [&](const std::string& name) -> Share& {
    auto found = std::find_if(shares.forms.begin(), shares.forms.end(),
                              [&](const Share& form) { return form.name == name; });
    if (found != shares.forms.end()) return *found;
    shares.forms.push_back({name, "", "", 0, 0, 0, 0});
    return shares.forms.back();
  };
  // The forms of every task, found once.
  std::vector<std::vector<std::string>> form_names;
  for (const MixtureTask& task : mixture.tasks()) {
    double total = 0;
    for (const FormConfig& form : task.prompter->forms()) total += form.share;
    form_names.emplace_back();
    for (const FormConfig& form : task.prompter->forms()) {
      form_names.back().push_back(describe(form));
      Share& share = form_share(form_names.back().back());
      share.asked += task.rate * form.share / total;
      ++share.num_tasks;
    }
  }
  for (uint64_t position = 0; position < num_draws; ++position) {
    const Mixture::Draw draw = mixture.locate(position);
    shares.tasks[draw.task].realised += unit;
    if (position >= shares.num_rendered) continue;
    const size_t form = mixture.get(draw).form;
    form_share(form_names[draw.task][form]).realised +=
        1 / static_cast<double>(shares.num_rendered);
  }
  shares.clusters = group(shares.tasks, &Share::cluster);
  shares.collections = group(shares.tasks, &Share::collection);
  for (const auto* level : {&shares.tasks, &shares.clusters, &shares.collections})
    for (const Share& share : *level)
      shares.largest_difference =
          std::max(shares.largest_difference, std::abs(share.realised - share.asked));
  return shares;
}

}  // namespace flanmoe::data
