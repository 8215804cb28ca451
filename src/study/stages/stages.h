// The makers of every kind of stage, for stage_registry.cpp.
#pragma once

#include <memory>
#include <string>

#include "study/stage.h"

namespace flanmoe::study {

std::unique_ptr<Stage> make_vocabulary_stage(const std::string& name, const ConfigNode& table,
                                             const Sections& sections);
std::unique_ptr<Stage> make_init_stage(const std::string& name, const ConfigNode& table,
                                       const Sections& sections);
std::unique_ptr<Stage> make_pretrain_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections);
std::unique_ptr<Stage> make_adapt_stage(const std::string& name, const ConfigNode& table,
                                        const Sections& sections);
std::unique_ptr<Stage> make_finetune_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections);
std::unique_ptr<Stage> make_upcycle_stage(const std::string& name, const ConfigNode& table,
                                          const Sections& sections);
std::unique_ptr<Stage> make_tune_stage(const std::string& name, const ConfigNode& table,
                                       const Sections& sections);
std::unique_ptr<Stage> make_routing_stage(const std::string& name, const ConfigNode& table,
                                          const Sections& sections);
std::unique_ptr<Stage> make_evaluate_stage(const std::string& name, const ConfigNode& table,
                                           const Sections& sections);

}  // namespace flanmoe::study
