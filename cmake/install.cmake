# What an installation and the bundle (deploy/bundle) hold. The target `sextant_installed` builds it.
#   bin/           the programs
#   lib/sextant/   what passes see as /sextant/lib: built into ${SEXTANT_INSIDE_DIR}, so that a worker
#                  finds it at the same place relative to itself in a build tree
#   include/       the recording headers
#   examples/      programs to profile
add_custom_target(sextant_installed)
set(SEXTANT_INSIDE_DIR ${CMAKE_BINARY_DIR}/lib/sextant)

# sextant_install(sextantd bin)
function(sextant_install target folder)
  install(TARGETS ${target} RUNTIME DESTINATION ${folder})
  add_dependencies(sextant_installed ${target})
endfunction()

# sextant_install_inside(TARGET): a shared library that programs load inside the sandbox, or a program
# that runs there. It may need nothing but the C library.
function(sextant_install_inside target)
  set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${SEXTANT_INSIDE_DIR}
                        RUNTIME_OUTPUT_DIRECTORY ${SEXTANT_INSIDE_DIR})
  install(TARGETS ${target} LIBRARY DESTINATION lib/sextant RUNTIME DESTINATION lib/sextant)
  add_dependencies(sextant_installed ${target})
endfunction()
