# Programs in CUDA C++, where there is a compiler for it (cmake/cuda.cmake).
#   sextant_cuda_program(NAME gemm_ws SOURCE gemm_ws.cu   the program; target gemm_ws_cuda, in "all"
#     [ARCHITECTURES 90a]                                 default 75 and 90: machine code, and PTX of the first
#     [FLAGS -DSEXTANT_DISABLE …])
# Without a compiler, or with one that came without its runtime library, nothing is built.
set(SEXTANT_CUDA_PROGRAMS OFF)
if(SEXTANT_GPU AND SEXTANT_NVCC)
  set(SEXTANT_CUDA_PROGRAMS ON)
elseif(SEXTANT_GPU)
  message(STATUS "CUDA programs (examples/gemm_ws, …): off, no nvcc; deploy/cuda.sh nvcc installs one")
endif()

function(sextant_cuda_program)
  cmake_parse_arguments(P "" "NAME;SOURCE" "ARCHITECTURES;FLAGS" ${ARGN})
  if(NOT SEXTANT_CUDA_PROGRAMS)
    return()
  endif()
  if(NOT P_ARCHITECTURES)
    set(P_ARCHITECTURES 75 90)
  endif()
  set(targets)
  foreach(architecture ${P_ARCHITECTURES})
    list(APPEND targets -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET P_ARCHITECTURES 0 first)
  if(first MATCHES "^[0-9]+$")
    list(APPEND targets -gencode=arch=compute_${first},code=compute_${first})
  endif()
  get_filename_component(source ${P_SOURCE} ABSOLUTE)
  set(program ${CMAKE_CURRENT_BINARY_DIR}/${P_NAME})
  add_custom_command(OUTPUT ${program}
    COMMAND ${SEXTANT_NVCC} -O3 -std=c++17 ${targets} -I${CMAKE_SOURCE_DIR}
            -I${CMAKE_SOURCE_DIR}/client/include -Xcompiler -Wall,-Wextra ${P_FLAGS}
            -MD -MF ${program}.d -o ${program} ${source}
    DEPENDS ${source} DEPFILE ${program}.d COMMENT "Compiling CUDA program ${P_NAME}" VERBATIM)
  add_custom_target(${P_NAME}_cuda ALL DEPENDS ${program})
endfunction()
