// What SASS instructions do, by their mnemonics: the classes of the table `sass_metrics` and of analyses' mixes.
#pragma once

#include <string_view>

namespace sextant::opcode {

// "fp32", "fp16", "fp64", "tensor", "integer", "conversion", "special", "move", "global", "shared", "local",
// "constant", "texture", "copy" (asynchronous copies), "atomic", "control", "barrier", "warp", "uniform", "other"; "" for "".
std::string_view ClassOf(std::string_view opcode);

}  // namespace sextant::opcode
