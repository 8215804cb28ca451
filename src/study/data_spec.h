// What a recipe names as data: files, folders and built-in collections, separated by commas.
#pragma once

#include <string>
#include <vector>

#include "data/source.h"

namespace flanmoe::study {

using data::split_specs;
bool is_builtin(const std::string& spec);

// Throws NotFound naming `place` and the file or folder that is not there.
void check_paths_exist(const std::string& specs, const std::string& place);

// Hash of the content: bytes of files and folders, a fingerprint of the built-in generators, the
// text of a suite (its data files are data of their own: eval::suite_files).
std::string hash_specs(const std::string& specs);
// Changes when the built-in collection draws anything else than before.
std::string builtin_fingerprint();

// "builtin:seen" -> "seen tasks"; "data/eval/arc.jsonl.gz" -> "arc".
std::string title_of_spec(const std::string& spec);
// As a file name: "builtin:unseen-templates" -> "unseen-templates".
std::string slug_of_spec(const std::string& spec);

}  // namespace flanmoe::study
