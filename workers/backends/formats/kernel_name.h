// Names of kernels, the same from every tool.
#pragma once

#include <string>

namespace sextant::backends::formats {

// The C++ name of a mangled one, as every backend writes it; another name comes back as it is.
// Longer names than kMaxMangledBytes are not demangled.
inline constexpr size_t kMaxMangledBytes = 16 << 10;
std::string Demangle(const std::string& mangled);

}  // namespace sextant::backends::formats
