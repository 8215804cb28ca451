// What a recipe names as data: files, folders and built-in collections, separated by commas.
#pragma once

#include <string>
#include <vector>

namespace flanmoe::study {

// "a, b" -> {"a", "b"}; blanks around are dropped, empty parts too.
std::vector<std::string> split_specs(const std::string& specs);
bool is_builtin(const std::string& spec);

// Throws NotFound naming `place` and the file or folder that is not there.
void check_paths_exist(const std::string& specs, const std::string& place);

// Hash of the content: bytes of files and folders, a fingerprint of the built-in generators.
std::string hash_specs(const std::string& specs);
// Changes when the built-in collection draws anything else than before.
std::string builtin_fingerprint();

// "builtin:seen" -> "seen tasks"; "data/eval/arc.jsonl.gz" -> "arc".
std::string title_of_spec(const std::string& spec);
// As a file name: "builtin:unseen-templates" -> "unseen-templates".
std::string slug_of_spec(const std::string& spec);

}  // namespace flanmoe::study
