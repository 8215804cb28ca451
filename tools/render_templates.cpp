// Renders templates for tools/check_templates. Requests come as JSONL on standard input, one answer
// a line goes out.
//   render_templates PATH   prompts of a set: {"task": "...", "template": 0, "row": {...}, "split":
//   "train", "seed": 1}
//                           -> {"inputs", "targets", "choices", "answer_index"}, {"applies": false}
//                           or {"error"}
//   render_templates        the engine alone: {"template": "...", "variables": {...}, "seed": 1,
//   "repeats": 1}
//                           -> {"text", "seconds"} or {"error"}
#include <chrono>
#include <iostream>
#include <map>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "data/prompts/prompts.h"
#include "text/jinja.h"

namespace {

using flanmoe::Json;

flanmoe::RandomKey key_of(const Json& request) {
  return {request.value("seed", uint64_t{0}), flanmoe::RandomPurpose::Template};
}

Json render_source(const Json& request) {
  const flanmoe::text::JinjaTemplate source(request.at("template").get<std::string>());
  const auto repeats = request.value("repeats", int64_t{1});
  std::string text;
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < repeats; ++i)
    text = source.render(request.at("variables"), key_of(request));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return {{"text", text}, {"seconds", seconds.count()}};
}

class PromptRenderer {
 public:
  explicit PromptRenderer(std::string path) : path_(std::move(path)) {}

  Json render(const Json& request) {
    const auto task = request.at("task").get<std::string>();
    if (!prompts_.contains(task)) prompts_[task] = flanmoe::data::open_prompts(path_, task);
    flanmoe::data::Example raw;
    raw.fields = request.at("row");
    raw.split = request.value("split", "");
    const auto& prompt = prompts_[task].at(request.at("template").get<size_t>());
    const auto example = prompt->render(raw, key_of(request));
    if (!example) return {{"applies", false}};
    return {{"inputs", example->inputs},
            {"targets", example->targets},
            {"choices", example->choices},
            {"answer_index", example->answer_index}};
  }

 private:
  std::string path_;
  std::map<std::string, flanmoe::data::Prompts> prompts_;
};

}  // namespace

int main(int count, char** arguments) {
  std::ios::sync_with_stdio(false);
  PromptRenderer renderer(count > 1 ? arguments[1] : "");
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    Json answer;
    try {
      const Json request = flanmoe::parse_json(line, "line " + std::to_string(number));
      answer = count > 1 ? renderer.render(request) : render_source(request);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << '\n';
  }
}
