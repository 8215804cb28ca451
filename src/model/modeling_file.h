// What transformers needs to load a model that it cannot express.
#pragma once

#include <string>

namespace flanmoe::model {

// modeling_flanmoe.py, the source of the classes that config.json's auto_map names; put into the
// program by the build.
std::string modeling_file();

}  // namespace flanmoe::model
