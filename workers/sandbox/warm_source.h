// warm.py, carried inside the worker.
#pragma once

#include <string_view>

namespace sextant::sandbox {

std::string_view WarmSource();

// What Python is given as -c, with the source as its first argument.
inline constexpr char kWarmBoot[] =
    "import sys; exec(compile(sys.argv.pop(1), '<sextant>', 'exec'))";

}  // namespace sextant::sandbox
