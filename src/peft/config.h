// What an adapter is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace flanmoe::peft {

// What a merging router looks at.
enum class RouterInput {
  Site,      // what the adapter acts on, as the released code has it: for MoV the projected key or
             // value of each head, or the activated feed-forward value; for MoLoRA the projection's
             // input
  Block,     // the token representation that the sublayer was given (the paper's text)
  Sentence,  // one vector a sentence (segment)
};

}  // namespace flanmoe::peft

template <>
struct flanmoe::EnumNames<flanmoe::peft::RouterInput> {
  static constexpr std::pair<peft::RouterInput, std::string_view> values[] = {
      {peft::RouterInput::Site, "site"},
      {peft::RouterInput::Block, "block"},
      {peft::RouterInput::Sentence, "sentence"}};
};

namespace flanmoe::peft {

// One kind at its sites. Keys that a kind has no use for must be left alone.
struct ComponentConfig {
  std::string kind = "mov";        // ia3, lora, mov, molora, norm, prompt (registry.h)
  std::vector<std::string> sites;  // patterns (sites.h); empty: where its paper has it
  int64_t num_experts = 10;        // mov, molora
  int64_t rank = 4;                // lora, molora
  double alpha = 16;               // lora, molora: outputs are scaled by alpha / rank
  double dropout_rate = 0;         // lora, molora: of the input of A
  int64_t top_k = 0;               // mov, molora: weights kept, not renormalised; 0: soft, all
  RouterInput router_input = RouterInput::Site;
  double load_balance_coefficient = 0;  // alpha of alpha n sum f_i P_i; 0: none
  double router_init_std = 0.02;
  int64_t sentence_dim = 0;  // width of given sentence vectors; 0: the model's, as computed ones
  int64_t num_virtual_tokens = 20;  // prompt
  template <class Visitor>
  void visit(Visitor& v) {
    v("kind", kind, "ia3, lora, mov, molora, norm or prompt");
    v("sites", sites,
      "modules it acts on: the end of a name (\"k\", \"SelfAttention.q\") or /regex/; empty: as "
      "published");
    v("num_experts", num_experts, "experts of mov and molora");
    v("rank", rank, "of lora and molora");
    v("alpha", alpha, "lora and molora scale their output by alpha / rank");
    v("dropout_rate", dropout_rate, "of the input of lora and molora");
    v("top_k", top_k, "experts of a token whose weights are kept; 0: all (soft merging)");
    v("router_input", router_input,
      "what the router looks at: site (what the adapter acts on), block (the sublayer's input) or "
      "sentence");
    v("load_balance_coefficient", load_balance_coefficient,
      "weight of the router's load-balance loss; 0: none");
    v("router_init_std", router_init_std, "standard deviation of a new router");
    v("sentence_dim", sentence_dim,
      "width of sentence vectors that are given; 0: the model's width");
    v("num_virtual_tokens", num_virtual_tokens, "of prompt tuning");
  }
};

struct Config {
  std::vector<ComponentConfig> components;
  template <class Visitor>
  void visit(Visitor& v) {
    v("components", components, "what the adapter is made of, each kind at its sites");
  }
};

// Throws InvalidConfig naming `place` and the key ("stages.tune.adapter.components[0].rank"):
// an unknown kind, numbers out of range, top_k above num_experts, keys that the kind has no use
// for.
void validate(const Config& config, const std::string& place);

}  // namespace flanmoe::peft
