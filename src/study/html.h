// Text into HTML.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace flanmoe::study {

// & < > " and ' as entities: safe as text and inside quoted attributes.
std::string escape_html(std::string_view text);
// JSON that may stand inside a <script>: no '<', no line separators. Bytes that are not UTF-8 are
// replaced.
std::string to_script_json(const Json& json);
// The first row is the header, the first cell of every other row is one too. Everything is escaped.
std::string to_html_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace flanmoe::study
