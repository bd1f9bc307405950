#include "workers/sandbox/init_blob.h"

// SEXTANT_INIT_PATH is set by the build (CMakeLists.txt).
__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    ".globl sextant_init_begin\n"
    ".globl sextant_init_end\n"
    "sextant_init_begin:\n"
    ".incbin \"" SEXTANT_INIT_PATH "\"\n"
    "sextant_init_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char sextant_init_begin[];
extern "C" const char sextant_init_end[];

namespace sextant::sandbox {

std::string_view InitProgram() {
  return {sextant_init_begin, static_cast<size_t>(sextant_init_end - sextant_init_begin)};
}

}  // namespace sextant::sandbox
