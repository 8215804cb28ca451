#include <memory>

#include "base/memory.h"
#include "common.h"
#include "convert/merge_adapter.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_merge(Options options) {
  struct State {
    Common common;
    std::string adapter, out;
    model::LoadOptions load;
  };
  auto state = std::make_shared<State>();
  options.positional("ADAPTER", state->adapter, "an adapter's folder");
  options.option("out", state->out, "folder to write", true);
  options.option("base", state->load.base, "this model, not the one that the adapter names");
  options.flag("ignore-base-hash", state->load.ignores_base_hash,
               "merge into a base of other weights than it was made for");
  state->common.add_to(options, false);
  options.footer(
      "Example:\n  flanmoe merge runs/lora/adapter --out flan-t5-small-lora\n\n"
      "LoRA, (IA)3 and tuned norms become part of the weights. Mixtures (mov, molora) and prompts "
      "cannot: what they do to a weight is another thing for every token.");
  return [state] {
    state->common.apply();
    const convert::MergeResult merged =
        convert::merge_folder(state->adapter, state->out, state->common.scalar_type(), state->load);
    if (state->common.is_json)
      print_json({{"out", state->out},
                  {"num_sites", merged.num_weights},
                  {"peak_memory_bytes", peak_memory_bytes()}});
    else
      print(fmt::format("{}: a whole model, the adapter is in {} of its weights\n", state->out,
                        merged.num_weights));
  };
}

}  // namespace flanmoe::apps
