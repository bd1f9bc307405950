# A room is a folder with one library. One call says what it is made of:
#   sextant_room(NAME store SOURCES a.cc b.cc DEPS sextant_proto TESTS a_test.cc TEST_DEPS …)
# gives the library `sextant_NAME` and, when TESTS are listed, the program and ctest `NAME_test`.
# Headers are included by their path from the root of the tree ("server/store/blobs.h").
function(sextant_room)
  cmake_parse_arguments(R "" "NAME" "SOURCES;DEPS;TESTS;TEST_DEPS" ${ARGN})
  add_library(sextant_${R_NAME} STATIC ${R_SOURCES})
  target_include_directories(sextant_${R_NAME} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(sextant_${R_NAME} PUBLIC ${R_DEPS})
  if(SEXTANT_TESTS AND R_TESTS)
    sextant_test(NAME ${R_NAME}_test SOURCES ${R_TESTS} DEPS sextant_${R_NAME} ${R_TEST_DEPS})
  endif()
endfunction()

# A test program on Catch2; LABELS default to "unit".
function(sextant_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE ${T_DEPS} sextant_catch_main)
  add_test(NAME ${T_NAME} COMMAND ${T_NAME} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${T_NAME} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT})
endfunction()

if(SEXTANT_TESTS)
  add_library(sextant_catch_main STATIC ${CMAKE_SOURCE_DIR}/tests/catch_main.cc)
  target_include_directories(sextant_catch_main PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(sextant_catch_main PUBLIC Catch2::Catch2)
endif()
