/* The same recorder used from C: one state with the C++ part of the program. */
#include "sextant/scope.h"

void RecordFromC(void);

void RecordFromC(void) {
  for (int i = 0; i < 3; i++) {
    SEXTANT_SCOPE("from_c");
    if (i == 1) continue; /* leaving by a jump ends the scope */
    SEXTANT_SCOPE("inner");
  }
}
