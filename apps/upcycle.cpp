#include <memory>

#include "base/memory.h"
#include "common.h"
#include "convert/upcycle.h"
#include "model/accounting.h"
#include "model/describe.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_upcycle(Options options) {
  struct State {
    Common common;
    std::string model, out;
    convert::UpcycleConfig config;
  };
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model, "folder of a dense T5");
  options.option("out", state->out, "folder to write", true);
  options.fields(state->config, {{"moe", ""}, {"decoder_moe", "decoder"}},
                 {{"num-experts", "experts"}});
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  flanmoe upcycle flan-t5-small --out flan-t5-small-moe --experts 8 --router "
      "top-2 --every 2");
  return [state] {
    state->common.apply();
    const model::ModelConfig config = convert::upcycle_folder(
        state->model, state->out, state->config, {.dtype = state->common.scalar_type()});
    const model::ParameterCounts counts = model::count_parameters(config);
    if (state->common.is_json)
      print_json({{"out", state->out},
                  {"num_parameters", counts.total},
                  {"num_active_parameters", counts.active},
                  {"num_experts", config.moe.num_experts},
                  {"router", config.moe.router},
                  {"encoder_sparse_layers", config.encoder_sparse_layers},
                  {"decoder_sparse_layers", config.decoder_sparse_layers},
                  {"peak_memory_bytes", peak_memory_bytes()}});
    else
      print(fmt::format(
          "{}: {} experts in {} encoder and {} decoder layers, router {}; {} parameters, {} active "
          "a token\n",
          state->out, config.moe.num_experts, config.encoder_sparse_layers.size(),
          config.decoder_sparse_layers.size(), model::describe_routers(config), counts.total,
          counts.active));
  };
}

}  // namespace flanmoe::apps
