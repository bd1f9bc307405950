/* Compiled twice by disabled_test.cmake, with the header switched off and with hand-written nothing,
 * as C and as C++: the code must be the same. */
#ifdef BY_HAND
#define SEXTANT_SCOPE(name) ((void)0)
#define sextant_role(name) ((void)0)
#define sextant_region(name) 0u
#define sextant_scope_begin(region) ((void)0)
#define sextant_scope_end(region) ((void)0)
#else
#define SEXTANT_DISABLE
#include "sextant/scope.h"
#endif

int Sum(const int* values, int count);

int Sum(const int* values, int count) {
  int sum = 0;
  sextant_role("adder");
  SEXTANT_SCOPE("sum");
  for (int i = 0; i < count; i++) {
    SEXTANT_SCOPE("add");
    sextant_scope_begin(sextant_region("one"));
    sum += values[i];
    sextant_scope_end(sextant_region("one"));
  }
  return sum;
}
