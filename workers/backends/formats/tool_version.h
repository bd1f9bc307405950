// What an installed tool is, for the cache key of what it measured.
#pragma once

#include <filesystem>
#include <string>

namespace sextant::backends::formats {

// Hex digest of `what` (the backend's own version) and of the program's size and time of change:
// another installation is another tool. Reads no content: programs may be large, and files are not
// changed in place by package managers.
std::string ToolDigest(const std::string& what, const std::filesystem::path& program);

}  // namespace sextant::backends::formats
