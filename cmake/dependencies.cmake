# Everything from outside except libtorch. Headers are SYSTEM.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
add_library(flanmoe::cli11 ALIAS CLI11::CLI11)

# Makes flanmoe::<name> from a header and libraries; for packages without a CMake file of their own.
function(flanmoe_import name package header)
  find_path(FLANMOE_${name}_INCLUDE ${header})
  if(NOT FLANMOE_${name}_INCLUDE)
    message(FATAL_ERROR "flanmoe: <${header}> was not found. Install ${package} ('make setup' does), or add its folder to CMAKE_PREFIX_PATH.")
  endif()
  add_library(flanmoe_${name} INTERFACE)
  add_library(flanmoe::${name} ALIAS flanmoe_${name})
  target_include_directories(flanmoe_${name} SYSTEM INTERFACE ${FLANMOE_${name}_INCLUDE})
  foreach(library IN LISTS ARGN)
    find_library(FLANMOE_${library}_LIBRARY ${library})
    if(NOT FLANMOE_${library}_LIBRARY)
      message(FATAL_ERROR "flanmoe: the library ${library} was not found. Install ${package} ('make setup' does), or add its folder to CMAKE_PREFIX_PATH.")
    endif()
    target_link_libraries(flanmoe_${name} INTERFACE ${FLANMOE_${library}_LIBRARY})
  endforeach()
endfunction()

flanmoe_import(tomlplusplus libtomlplusplus-dev toml++/toml.h)
target_compile_definitions(flanmoe_tomlplusplus INTERFACE TOML_HEADER_ONLY=1)
flanmoe_import(xxhash libxxhash-dev xxhash.h xxhash)
flanmoe_import(sentencepiece libsentencepiece-dev sentencepiece_processor.h sentencepiece sentencepiece_train)

# What each folder of src/ needs from outside, beside torch.
set(FLANMOE_EXTERNAL_base nlohmann_json::nlohmann_json flanmoe::tomlplusplus fmt::fmt spdlog::spdlog ZLIB::ZLIB flanmoe::xxhash Threads::Threads)
set(FLANMOE_EXTERNAL_text flanmoe::sentencepiece)
