# flanmoe::torch: libtorch as an imported target of our own. The wheel's find_package(Torch) wants a CUDA toolkit even where only the CPU
# is used. Found in this order: CMAKE_PREFIX_PATH (any libtorch), then the cache that tools/setup fills.

set(FLANMOE_MINIMUM_TORCH 2.11)
set(FLANMOE_TORCH_RELEASE 2.15.0)

if(DEFINED ENV{FLANMOE_CACHE})
  set(FLANMOE_CACHE $ENV{FLANMOE_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(FLANMOE_CACHE $ENV{XDG_CACHE_HOME}/flanmoe)
else()
  set(FLANMOE_CACHE $ENV{HOME}/.cache/flanmoe)
endif()
set(torch_cache ${FLANMOE_CACHE}/torch-${FLANMOE_TORCH_RELEASE}/torch)

# Looked up anew in every configuration, so that a build folder follows its cache. A system-wide libtorch (Debian's is too old) is no candidate.
# A prefix may be a libtorch folder, a folder with torch/ in it, or the share/cmake that Python's torch.utils.cmake_prefix_path names.
find_path(FLANMOE_TORCH_INCLUDE torch/csrc/api/include/torch/version.h PATH_SUFFIXES include torch/include ../../include
  PATHS ${torch_cache} NO_SYSTEM_ENVIRONMENT_PATH NO_CMAKE_SYSTEM_PATH NO_CACHE)
if(NOT FLANMOE_TORCH_INCLUDE)
  message(FATAL_ERROR "flanmoe: no libtorch. Run 'make setup' to get one, or give CMAKE_PREFIX_PATH a libtorch folder (the one with include/ and lib/).")
endif()
get_filename_component(FLANMOE_TORCH_INCLUDE ${FLANMOE_TORCH_INCLUDE} REALPATH)
get_filename_component(torch_root ${FLANMOE_TORCH_INCLUDE} DIRECTORY)

# The version stands in a header whose place has moved over the releases.
set(torch_version)
foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
  if(NOT torch_version AND EXISTS ${FLANMOE_TORCH_INCLUDE}/${header})
    file(STRINGS ${FLANMOE_TORCH_INCLUDE}/${header} lines REGEX "define +TORCH_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
    string(REGEX REPLACE "[^;0-9]+" "" numbers "${lines}")
    string(REPLACE ";" "." torch_version "${numbers}")
  endif()
endforeach()
if(NOT torch_version)
  message(FATAL_ERROR "flanmoe: cannot read the version of the libtorch in ${torch_root}")
elseif(torch_version VERSION_LESS FLANMOE_MINIMUM_TORCH)
  message(FATAL_ERROR "flanmoe: the libtorch in ${torch_root} is ${torch_version}; ${FLANMOE_MINIMUM_TORCH} or later is needed. "
                      "Take that folder out of CMAKE_PREFIX_PATH to use the one of 'make setup', or name a later one.")
endif()
message(STATUS "flanmoe: libtorch ${torch_version} in ${torch_root}")

foreach(library torch_cpu c10)
  find_library(FLANMOE_TORCH_${library}_LIBRARY ${library} PATHS ${torch_root}/lib NO_DEFAULT_PATH NO_CACHE)
  if(NOT FLANMOE_TORCH_${library}_LIBRARY)
    message(FATAL_ERROR "flanmoe: the libtorch in ${torch_root} lacks lib/lib${library}.so")
  endif()
endforeach()

add_library(flanmoe_torch INTERFACE)
add_library(flanmoe::torch ALIAS flanmoe_torch)

# libtorch carries an {fmt} of its own among its headers, of another version than the library we link: ours is put in front.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
list(GET fmt_include 0 fmt_include)
set(first_include ${CMAKE_BINARY_DIR}/include-first)
file(MAKE_DIRECTORY ${first_include})
file(CREATE_LINK ${fmt_include}/fmt ${first_include}/fmt SYMBOLIC)
target_include_directories(flanmoe_torch SYSTEM INTERFACE
  ${first_include} ${FLANMOE_TORCH_INCLUDE} ${FLANMOE_TORCH_INCLUDE}/torch/csrc/api/include)

# at::parallel_for is OpenMP code in headers. Linked is the very libgomp that libtorch_cpu loads, so that there is only one in the process.
file(GLOB torch_gomp ${torch_root}/lib/libgomp*.so*)
target_compile_options(flanmoe_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
if(torch_gomp)
  list(GET torch_gomp 0 torch_gomp)
  target_link_libraries(flanmoe_torch INTERFACE ${torch_gomp})
else()
  target_link_options(flanmoe_torch INTERFACE -fopenmp)
endif()
target_link_libraries(flanmoe_torch INTERFACE ${FLANMOE_TORCH_torch_cpu_LIBRARY} ${FLANMOE_TORCH_c10_LIBRARY})

# What libtorch_cpu itself needs (libcudart, libcupti) is found through its own run path, not at our link.
target_link_options(flanmoe_torch INTERFACE LINKER:--allow-shlib-undefined)
set(FLANMOE_RUN_PATH ${torch_root}/lib)

if(FLANMOE_CUDA)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that libtorch loads
  list(APPEND FLANMOE_RUN_PATH ${torch_root}/../nvidia/cu13/lib)
  find_library(FLANMOE_TORCH_CUDA_LIBRARY torch_cuda PATHS ${torch_root}/lib NO_DEFAULT_PATH NO_CACHE)
  find_library(FLANMOE_C10_CUDA_LIBRARY c10_cuda PATHS ${torch_root}/lib NO_DEFAULT_PATH NO_CACHE)
  if(FLANMOE_TORCH_CUDA_LIBRARY)
    # its kernels register themselves when it is loaded: the linker must not drop it as unused
    target_link_libraries(flanmoe_torch INTERFACE
      -Wl,--push-state,--no-as-needed ${FLANMOE_TORCH_CUDA_LIBRARY} ${FLANMOE_C10_CUDA_LIBRARY} -Wl,--pop-state)
  endif()
endif()
