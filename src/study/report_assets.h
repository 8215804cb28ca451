// The style and the drawing code of the report.
#pragma once

#include <string_view>

namespace flanmoe::study {

extern const std::string_view kReportStyle;
extern const std::string_view kReportScript;
// plotly.min.js, put into the program by the build.
std::string_view plotly_js();

}  // namespace flanmoe::study
