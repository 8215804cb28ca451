// What the readers of prompt files give to open_prompts().
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/prompt.h"

namespace flanmoe::data {

struct PromptSet {
  struct Task {
    std::string name;
    std::function<Prompts()> make;  // templates are read only when their task is asked for
  };
  std::vector<Task> tasks;
  std::vector<std::pair<std::string, std::string>> aliases;  // alias -> task
  std::function<Prompts()> make_for_any_task;                // templates that name no task, or none
};

PromptSet read_flan_prompts(const Json& document, const std::string& path);
PromptSet read_promptsource_json(const Json& document, const std::string& path);
PromptSet read_promptsource_yaml(const std::string& path);
PromptSet read_promptsource_folder(const std::string& path);
PromptSet read_toml_prompts(const std::string& path);

}  // namespace flanmoe::data
