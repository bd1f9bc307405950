# CUDA's headers and compiler, where there are any: $CUDA_HOME, /usr/local/cuda, or what
# deploy/cuda.sh put into .cache/cuda. Gives
#   SEXTANT_GPU           whether the parts that need CUDA's headers are built
#   sextant_cuda_headers  (SEXTANT_GPU only) include directories of cuda.h, cupti.h, nvml.h, nvtx3/
#   SEXTANT_NVCC          the compiler, empty without one
# Nothing links with CUDA's libraries: they are loaded at run time.
option(SEXTANT_GPU "Build the parts that need CUDA's headers, when there are any" ON)

set(_cuda_roots "$ENV{CUDA_HOME}" /usr/local/cuda ${CMAKE_SOURCE_DIR}/.cache/cuda)
set(SEXTANT_CUDA_ROOT "")
foreach(_root IN LISTS _cuda_roots)
  if(NOT _root OR NOT EXISTS ${_root}/include/cuda.h)
    continue()
  endif()
  file(STRINGS ${_root}/include/cuda.h _version REGEX "^#define CUDA_VERSION [0-9]+")
  string(REGEX REPLACE "[^0-9]" "" _version "${_version}")
  if(_version GREATER_EQUAL 13000
     AND (EXISTS ${_root}/include/cupti.h OR EXISTS ${_root}/extras/CUPTI/include/cupti.h))
    set(SEXTANT_CUDA_ROOT ${_root})
    break()
  endif()
endforeach()

# The compiler may come from another root than the headers: it is looked for in all of them.
find_program(SEXTANT_NVCC nvcc PATHS ${SEXTANT_CUDA_ROOT} ${_cuda_roots} PATH_SUFFIXES bin
             NO_DEFAULT_PATH NO_CACHE)
if(NOT SEXTANT_NVCC)
  set(SEXTANT_NVCC "")
endif()

if(NOT SEXTANT_GPU)
  message(STATUS "GPU parts: off (SEXTANT_GPU=OFF)")
elseif(NOT SEXTANT_CUDA_ROOT)
  message(STATUS "GPU parts: off, no headers of CUDA 13 with CUPTI in $CUDA_HOME, /usr/local/cuda or "
                 ".cache/cuda; deploy/cuda.sh headers installs them, then configure again")
  set(SEXTANT_GPU OFF)
else()
  add_library(sextant_cuda_headers INTERFACE)
  target_include_directories(sextant_cuda_headers SYSTEM INTERFACE ${SEXTANT_CUDA_ROOT}/include)
  if(EXISTS ${SEXTANT_CUDA_ROOT}/extras/CUPTI/include/cupti.h)
    target_include_directories(sextant_cuda_headers SYSTEM INTERFACE
                               ${SEXTANT_CUDA_ROOT}/extras/CUPTI/include)
  endif()
  if(SEXTANT_NVCC)
    message(STATUS "GPU parts: on, headers of ${SEXTANT_CUDA_ROOT}, compiler ${SEXTANT_NVCC}")
  else()
    message(STATUS "GPU parts: on, headers of ${SEXTANT_CUDA_ROOT}, no nvcc (deploy/cuda.sh nvcc)")
  endif()
endif()
