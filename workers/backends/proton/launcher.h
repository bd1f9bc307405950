// proton_launch.py, carried inside the worker.
#pragma once

#include <string_view>

namespace sextant::backends::proton {

// Its source, to be given to Python as -c: so nothing needs to be installed where passes run.
std::string_view LauncherSource();

}  // namespace sextant::backends::proton
