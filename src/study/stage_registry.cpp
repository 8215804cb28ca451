#include "study/stage.h"
#include "study/stages/stages.h"

namespace flanmoe::study {

void StageRun::add_output(const std::string& path_below_run_folder) {
  record->outputs.push_back(
      {path_below_run_folder, count_bytes(run_folder + "/" + path_below_run_folder)});
}

const Registry<MakeStage>& stage_registry() {
  static const Registry<MakeStage> registry = [] {
    Registry<MakeStage> stages("stage kind");
    stages.add("vocabulary", make_vocabulary_stage);
    stages.add("init", make_init_stage);
    stages.add("pretrain", make_pretrain_stage);
    stages.add("adapt", make_adapt_stage);
    stages.add("upcycle", make_upcycle_stage);
    stages.add("tune", make_tune_stage);
    stages.add("finetune", make_finetune_stage);
    stages.add("evaluate", make_evaluate_stage);
    stages.add("routing", make_routing_stage);
    return stages;
  }();
  return registry;
}

}  // namespace flanmoe::study
