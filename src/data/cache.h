// What is made of data and may be made again: stores of examples, tokenised text.
//
// Entries are folders named by the content they were made of, below $FLANMOE_CACHE/data (or
// $XDG_CACHE_HOME/flanmoe/data, or ~/.cache/flanmoe/data). When a new one is made and all together
// are larger than $FLANMOE_DATA_CACHE_GB (50), those not used for the longest time are removed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"

namespace flanmoe::data {

// Not made by the call. Throws NotFound where no environment variable says where it should be.
std::string cache_folder();

// Uses the entry `name`; makes it first where there is none. `use` opens what is in the folder and
// says whether it is whole; `make` fills an empty folder. One process makes it while others wait.
// A damaged entry is made anew. Where the cache cannot be written, the entry is made in a temporary
// folder that is removed after `use`, and a line of the log says so: what `use` opened must stay
// readable then. Throws what `make` throws.
void use_cached(const std::string& name, const std::function<bool(const std::string& folder)>& use,
                const std::function<void(const std::string& folder)>& make);
// In a temporary folder in any case.
void use_temporary(const std::function<bool(const std::string& folder)>& use,
                   const std::function<void(const std::string& folder)>& make);

// A description of an entry's files, under its own hash: read_sealed_json gives nothing where there
// is no such file or its content is damaged.
void write_sealed_json(const std::string& path, const Json& json);
std::optional<Json> read_sealed_json(const std::string& path);

// hash_file(), remembered with size, inode and times of a large file, so that it is read once.
std::string hash_file_once(const std::string& path);

// Removes entries, the least recently used first, until all are at most `max_bytes`; those used
// during the last hour stay. Returns the number of bytes removed.
int64_t shrink_cache(int64_t max_bytes);

}  // namespace flanmoe::data
