# cmake -DCC=… -DCXX=… -DROOT=… -DOUT=… -P disabled_test.cmake
# With SEXTANT_DISABLE the header leaves nothing in the compiled code.
foreach(language c c++)
  if(language STREQUAL "c")
    set(compiler ${CC} -std=c99 -x c)
  else()
    set(compiler ${CXX} -std=c++17 -x c++)
  endif()
  foreach(variant header by_hand)
    set(define)
    if(variant STREQUAL "by_hand")
      set(define -DBY_HAND)
    endif()
    execute_process(COMMAND ${compiler} -O0 ${define} -I${ROOT}/client/include -S
        -o ${OUT}/disabled_${variant}.s ${ROOT}/workers/backends/host/testing/disabled.c
      COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files
      ${OUT}/disabled_header.s ${OUT}/disabled_by_hand.s
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
