// The two corpora that builtin.cpp chooses from.
#pragma once

#include <cstdint>
#include <string>

namespace flanmoe::data::builtin {

std::string make_easy_document(uint64_t seed, uint64_t index);
// Every fact of the world and every word of the generated languages is told within any
// kFullCorpusPeriod documents that follow each other.
std::string make_full_document(uint64_t seed, uint64_t index);

inline constexpr uint64_t kFullCorpusPeriod = 2880;

}  // namespace flanmoe::data::builtin
