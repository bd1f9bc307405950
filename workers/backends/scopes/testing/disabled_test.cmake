# Nothing of scope.cuh is left in a kernel that is compiled with SEXTANT_DISABLE: its instructions are
# those of the same kernel without the lines; and without SEXTANT_DISABLE they are not.
get_filename_component(bin ${NVCC} DIRECTORY)
function(instructions out)
  execute_process(COMMAND ${NVCC} -O3 -std=c++17 -arch=sm_90 -cubin -I${ROOT}/client/include ${ARGN}
                          -o ${OUT}/disabled.cubin ${ROOT}/workers/backends/scopes/testing/disabled.cu
                  COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${bin}/cuobjdump -sass -fun _Z6kernelPfi ${OUT}/disabled.cubin
                  OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "/\\*[0-9a-f]+\\*/[^\n]*" lines "${text}")
  list(LENGTH lines count)
  if(count LESS 10)
    message(FATAL_ERROR "cuobjdump printed ${count} instructions:\n${text}")
  endif()
  set(${out} "${lines}" PARENT_SCOPE)
endfunction()
instructions(plain)
instructions(disabled -DSCOPES -DSEXTANT_DISABLE)
instructions(recorded -DSCOPES)
if(NOT plain STREQUAL disabled)
  message(FATAL_ERROR "SEXTANT_DISABLE leaves something in the kernel:\n${disabled}\nwithout scopes:\n${plain}")
endif()
if(plain STREQUAL recorded)
  message(FATAL_ERROR "the kernel with scopes has none")
endif()
