#include "study/data_spec.h"

#include <cctype>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/builtin.h"
#include "data/jsonl.h"

namespace flanmoe::study {

namespace {

constexpr std::string_view kBuiltin = "builtin:";

std::string trim(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

// "data/eval/arc.jsonl.gz" -> "arc", "data/eval/" -> "eval"
std::string stem(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  path = path.substr(path.rfind('/') + 1);
  for (const std::string suffix : {".gz", ".jsonl", ".json", ".txt"})
    if (path.size() > suffix.size() && path.ends_with(suffix))
      path.resize(path.size() - suffix.size());
  return path;
}

std::string make_fingerprint() {
  using namespace data::builtin;
  Hasher hasher;
  hasher.add(held_out_cluster());
  for (uint64_t index : {0, 1, 2, 97, 1000}) {
    hasher.add(make_document(7, index));
    for (const auto& task : tasks())
      for (Split split : {Split::Train, Split::Evaluation})
        for (TemplateSet set : {TemplateSet::Seen, TemplateSet::Unseen})
          if (set == TemplateSet::Seen || task.num_unseen_templates > 0)
            hasher.add(data::to_json(make_example(task.name, split, set, 7, index)).dump());
  }
  return hasher.hex();
}

}  // namespace

std::vector<std::string> split_specs(const std::string& specs) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= specs.size()) {
    const size_t end = std::min(specs.find(',', begin), specs.size());
    if (std::string part = trim(specs.substr(begin, end - begin)); !part.empty())
      parts.push_back(std::move(part));
    begin = end + 1;
  }
  return parts;
}

bool is_builtin(const std::string& spec) {
  return spec.starts_with(kBuiltin);
}

void check_paths_exist(const std::string& specs, const std::string& place) {
  for (const auto& spec : split_specs(specs))
    if (!is_builtin(spec) && !is_file(spec) && !is_folder(spec))
      fail(ErrorCode::NotFound, "[{}] no such file or folder: {}", place, spec);
}

std::string builtin_fingerprint() {
  static const std::string fingerprint = make_fingerprint();
  return fingerprint;
}

std::string hash_specs(const std::string& specs) {
  Hasher hasher;
  for (const auto& spec : split_specs(specs))
    hasher.add(is_builtin(spec) ? spec + "\n" + builtin_fingerprint() : hash_path(spec)).add("\n");
  return hasher.hex();
}

std::string title_of_spec(const std::string& spec) {
  if (spec == "builtin:seen") return "seen tasks";
  if (spec == "builtin:unseen-templates") return "unseen templates";
  if (spec == "builtin:held-out") return "held-out cluster";
  return is_builtin(spec) ? spec.substr(kBuiltin.size()) : stem(spec);
}

std::string slug_of_spec(const std::string& spec) {
  std::string slug = is_builtin(spec) ? spec.substr(kBuiltin.size()) : stem(spec);
  for (char& c : slug)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '-';
  return slug.empty() ? "suite" : slug;
}

}  // namespace flanmoe::study
