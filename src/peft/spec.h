// An adapter as it is written on a command line.
#pragma once

#include <string>
#include <vector>

#include "peft/config.h"

namespace flanmoe::peft {

// "KIND[,key=value...]": "mov,num_experts=10", "molora,sites=wi_0|wo,rank=4". Keys are those of
// ComponentConfig; several sites have | between them, inside /regex/ commas and | are its own.
// Throws InvalidConfig naming `place` and the key, with the nearest valid name; the numbers are not
// judged (validate()).
ComponentConfig parse_component(const std::string& text, const std::string& place = "--adapter");
// One component a text, validated.
Config parse_components(const std::vector<std::string>& texts,
                        const std::string& place = "--adapter");

// The other way round: what differs from the defaults.
std::string to_spec(const ComponentConfig& component);
std::string to_spec(const Config& config);  // components with " + " between them

}  // namespace flanmoe::peft
