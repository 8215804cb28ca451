# flanmoe::arrow where Arrow C++ with Parquet is found: the optional part of src/data/sources/parquet.cpp. Found in this order: CMAKE_PREFIX_PATH
# (an Arrow installation, or the folder of the PyPI pyarrow wheel), then the cache that FLANMOE_WITH_PARQUET=1 tools/setup fills.

set(FLANMOE_ARROW_RELEASE 26.0.1)
set(arrow_cache ${FLANMOE_CACHE}/arrow-${FLANMOE_ARROW_RELEASE}/pyarrow)

# Looked up anew in every configuration, so that a build folder follows its cache.
find_path(FLANMOE_ARROW_INCLUDE parquet/arrow/reader.h PATH_SUFFIXES include pyarrow/include PATHS ${arrow_cache}
  NO_SYSTEM_ENVIRONMENT_PATH NO_CMAKE_SYSTEM_PATH NO_CACHE)
if(NOT FLANMOE_ARROW_INCLUDE)
  message(STATUS "flanmoe: no Arrow: Parquet files are refused (FLANMOE_WITH_PARQUET=1 tools/setup brings it)")
  return()
endif()
get_filename_component(FLANMOE_ARROW_INCLUDE ${FLANMOE_ARROW_INCLUDE} REALPATH)
get_filename_component(arrow_root ${FLANMOE_ARROW_INCLUDE} DIRECTORY)

add_library(flanmoe_arrow INTERFACE)
add_library(flanmoe::arrow ALIAS flanmoe_arrow)
target_include_directories(flanmoe_arrow SYSTEM INTERFACE ${FLANMOE_ARROW_INCLUDE})
target_compile_definitions(flanmoe_arrow INTERFACE FLANMOE_HAS_ARROW)
foreach(library parquet arrow)
  # the wheel has lib<name>.so.<version> alone
  file(GLOB found ${arrow_root}/lib${library}.so ${arrow_root}/lib${library}.so.* ${arrow_root}/lib/lib${library}.so
    ${arrow_root}/lib/*/lib${library}.so)
  if(NOT found)
    message(FATAL_ERROR "flanmoe: the Arrow in ${arrow_root} lacks lib${library}.so")
  endif()
  list(GET found 0 found)
  target_link_libraries(flanmoe_arrow INTERFACE ${found})
  get_filename_component(folder ${found} DIRECTORY)
  list(APPEND FLANMOE_RUN_PATH ${folder})
endforeach()
list(REMOVE_DUPLICATES FLANMOE_RUN_PATH)
list(APPEND FLANMOE_EXTERNAL_data flanmoe::arrow)
message(STATUS "flanmoe: Arrow in ${arrow_root}")
