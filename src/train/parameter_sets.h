// Which parameters a stage trains and which it freezes.
#pragma once

#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include "nn/parameter.h"
#include "train/config.h"

namespace flanmoe::train {

// The union of sets of parameters. A set is one of
//   gate       the routers, those of adapters too
//   expert     the experts
//   moe        both
//   non-moe    all but these
//   embedding  input embedding and output matrix
//   adapter    all of an adapter
//   all
// as parameters' tags say, or /regex/ (ECMAScript), which takes the parameters in whose name it is
// found; stacked experts have one name: "encoder.block.1.layer.1.mlp.experts.wi_0.weight".
class ParameterSets {
 public:
  // `key` is where the names stand ("train.frozen"). Throws InvalidConfig naming it on an unknown
  // set, with the nearest one, and on a regular expression that is none.
  ParameterSets(const std::vector<std::string>& names, std::string key);

  bool contains(const nn::Parameter& parameter) const;
  // Throws InvalidConfig where a regular expression takes no parameter; warns where a named set is
  // empty, which a dense model beside a sparse one makes of `gate`.
  void check_matches(const nn::Parameters& parameters) const;

 private:
  struct Set {
    std::string name;
    bool (*has_tags)(const nn::ParameterTags&) = nullptr;  // null: `pattern` decides
    std::regex pattern;
    bool contains(const nn::Parameter& parameter) const;
  };
  std::vector<Set> sets_;
  std::string key_;
};

// While it lives, the parameters that `config` does not train need no gradient: those in no set of
// `trainable` or in one of `frozen`. A parameter that the caller has frozen stays so.
class Selection {
 public:
  // The sets choose from `parameters`; `fixed` are never trained, whatever the sets say. Throws
  // InvalidConfig as ParameterSets does, and where nothing is left to train.
  Selection(const nn::Parameters& parameters, const Config& config,
            const nn::Parameters& fixed = {});
  ~Selection();
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;

  const nn::Parameters& trained() const { return trained_; }
  int64_t num_trained() const { return nn::num_elements(trained_); }
  // "gate 12.3 k trained; expert 2.1 M frozen; ..." of the groups that the model has.
  std::string summary() const;

 private:
  nn::Parameters trained_, frozen_;
  nn::Parameters switched_off_;  // to be switched on again
};

// Of gate, expert, embedding, adapter and rest (every parameter is in exactly one), those that have
// trained parameters, none of which has a gradient with an element other than 0. Routers of
// adapters do not count: as long as their experts are equal, as new ones are, the choice between
// them changes nothing.
std::vector<std::string> find_groups_without_gradient(const nn::Parameters& trained);

}  // namespace flanmoe::train
