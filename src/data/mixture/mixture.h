// A mixture of tasks: what is drawn at every position of an endless stream of examples.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/mixture/config.h"
#include "data/mixture/hold_out.h"
#include "data/mixture/prompter.h"
#include "data/mixture/stream_order.h"
#include "data/source.h"

namespace flanmoe::data {

// One task of a mixture with the share of the stream that it is asked to have.
struct MixtureTask {
  std::shared_ptr<const Source> source;
  std::string collection;
  TaskIdentity identity;
  double rate = 0;           // of the stream; all of them sum to one
  int64_t num_examples = 0;  // distinct ones that are drawn; < 0: endless
  std::shared_ptr<const Prompter> prompter;

  const std::string& name() const { return identity.name; }
  const std::string& cluster() const { return identity.cluster; }
};

// A source that a mixture names and that is not there.
struct MissingSource {
  std::string collection;
  std::string path;
  std::string obtain;
  double asked = 0;  // share of the whole collection, where collections have weights
};

// "flan2021 (46 % asked): my-data/flan2021, from TFDS".
std::string describe(const MissingSource& source);

class Mixture {
 public:
  // `rate` in any unit. Throws InvalidArgument where there are no tasks or one is empty.
  Mixture(std::vector<MixtureTask> tasks, uint64_t seed);

  // What opening it left out.
  std::vector<MissingSource> missing;
  std::vector<std::string> held_out;  // names of tasks
  int64_t num_skipped = 0;            // bad rows

  struct Draw {
    size_t task;
    uint64_t index;
    uint64_t epoch;
  };
  // Position -> example, in constant time.
  Draw locate(uint64_t position) const;
  // The example at `position` under the template and form that it has there. Where no template
  // applies to it, the next example of its source that one applies to. Throws InvalidArgument where
  // there is none among the next 1000. Safe to call from several threads.
  PromptedExample get(uint64_t position) const { return get(locate(position)); }
  PromptedExample get(const Draw& draw) const;
  // As text, with the exemplars that fit the task's longest prompt.
  PromptText text(const Draw& draw, const text::Tokenizer& tokenizer) const;

  const std::vector<MixtureTask>& tasks() const { return tasks_; }

 private:
  std::vector<MixtureTask> tasks_;
  StreamOrder order_;
};

// What a user names, separated by commas: mixture files (.toml), builtin:NAME, files and folders of
// examples; those without a mixture file make one collection. Throws NotFound where a source is
// missing and config.allows_missing is not set, with what is missing and how to get it;
// InvalidConfig, CorruptFile.
Mixture open_mixture(const std::string& specs, const MixtureConfig& config, uint64_t seed);

// What can be found wrong without reading the examples. Throws as open_mixture does.
void check_mixture(const std::string& specs, const MixtureConfig& config);

// Files and folders that a spec reads besides itself: those that a mixture file names and that are
// there, its templates included.
std::vector<std::string> mixture_inputs(const std::string& spec, const MixtureConfig& config);

}  // namespace flanmoe::data
