// The report of a run: one HTML file that needs nothing beside it.
#pragma once

#include <string>

namespace flanmoe::study {

// Writes RUN/report/index.html from what the run folder holds (an unfinished run gives what there
// is) and returns its path. Throws as load_results().
std::string write_report(const std::string& run_folder);

}  // namespace flanmoe::study
