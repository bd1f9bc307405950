#include "workers/sandbox/warm_source.h"

// SEXTANT_WARM_PATH is set by the build (CMakeLists.txt).
__asm__(
    ".section .rodata\n"
    ".globl sextant_warm_begin\n"
    ".globl sextant_warm_end\n"
    "sextant_warm_begin:\n"
    ".incbin \"" SEXTANT_WARM_PATH "\"\n"
    "sextant_warm_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char sextant_warm_begin[];
extern "C" const char sextant_warm_end[];

namespace sextant::sandbox {

std::string_view WarmSource() {
  return {sextant_warm_begin, static_cast<size_t>(sextant_warm_end - sextant_warm_begin)};
}

}  // namespace sextant::sandbox
