// The static program of init.c as bytes, so that nothing beside the worker need be installed.
#pragma once

#include <string_view>

namespace sextant::sandbox {

std::string_view InitProgram();

}  // namespace sextant::sandbox
