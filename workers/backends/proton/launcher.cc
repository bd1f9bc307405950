#include "workers/backends/proton/launcher.h"

// SEXTANT_PROTON_LAUNCHER is set by the build (CMakeLists.txt).
__asm__(
    ".section .rodata\n"
    ".globl sextant_proton_launcher_begin\n"
    ".globl sextant_proton_launcher_end\n"
    "sextant_proton_launcher_begin:\n"
    ".incbin \"" SEXTANT_PROTON_LAUNCHER "\"\n"
    "sextant_proton_launcher_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char sextant_proton_launcher_begin[];
extern "C" const char sextant_proton_launcher_end[];

namespace sextant::backends::proton {

std::string_view LauncherSource() {
  return {sextant_proton_launcher_begin,
          static_cast<size_t>(sextant_proton_launcher_end - sextant_proton_launcher_begin)};
}

}  // namespace sextant::backends::proton
