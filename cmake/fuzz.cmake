# fuzz/<name>.cpp becomes a program fuzz_<name> of its own, linking base, text and data compiled with libFuzzer's coverage and the sanitizers.
# fuzz/<name>.dict (words of the language) and fuzz/seeds/<name>/ (a first corpus) are used by `make fuzz` where they exist.

function(flanmoe_add_fuzz_programs)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/*.cpp)
  add_custom_target(fuzz_programs)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    set(target fuzz_${name})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE flanmoe_data)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    flanmoe_set_up_program(${target})
    add_dependencies(fuzz_programs ${target})
  endforeach()
endfunction()
