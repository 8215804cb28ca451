# Language level, warnings, optimisation, sanitizers, compiler cache.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(FLANMOE_CUDA AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # nvcc knows it, the CMake of Debian 12 does not know that
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -g0 -DNDEBUG -fno-math-errno")  # without it a loop with sqrt does not vectorise
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

# Two clones of the repository share compiled objects: paths below the source folder are hashed as relative ones.
find_program(FLANMOE_CCACHE ccache)
if(FLANMOE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${FLANMOE_CCACHE})
endif()

# What every file of ours is compiled with; third-party headers come in as SYSTEM ones.
add_library(flanmoe_options INTERFACE)
set(cxx $<COMPILE_LANGUAGE:CXX>)
target_compile_options(flanmoe_options INTERFACE "$<${cxx}:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor;-Wno-missing-field-initializers>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(flanmoe_options INTERFACE "$<${cxx}:-Wno-restrict>")  # GCC 12 objects to std::string's operator+ (GCC bug 105651)
endif()
if(FLANMOE_WERROR)
  target_compile_options(flanmoe_options INTERFACE "$<${cxx}:-Werror>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # what the optimiser guesses differs between compiler versions: shown, but no error
    foreach(guess maybe-uninitialized array-bounds stringop-overflow stringop-overread dangling-pointer free-nonheap-object)
      target_compile_options(flanmoe_options INTERFACE "$<${cxx}:-Wno-error=${guess}>")
    endforeach()
  endif()
endif()
if(FLANMOE_SANITIZE OR FLANMOE_FUZZ)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # libtorch is not instrumented: type information of its classes is not always at hand
  list(APPEND sanitizers -fno-sanitize=vptr)
  target_compile_options(flanmoe_options INTERFACE "$<${cxx}:${sanitizers}>")
  target_link_options(flanmoe_options INTERFACE ${sanitizers})
endif()
if(FLANMOE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "flanmoe: FLANMOE_FUZZ needs clang (libFuzzer is part of it), found ${CMAKE_CXX_COMPILER_ID}: use the preset 'fuzz'")
  endif()
  target_compile_options(flanmoe_options INTERFACE "$<${cxx}:-fsanitize=fuzzer-no-link>")
endif()
