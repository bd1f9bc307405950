// A library that records, linked to a program that does too, or loaded by one.
#include "sextant/scope.h"

extern "C" void RecordFromLibrary(void) { SEXTANT_SCOPE("from_library"); }
