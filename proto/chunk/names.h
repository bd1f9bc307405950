// Names come from users' programs: bytes of any kind.
#pragma once

#include <string>
#include <string_view>

namespace sextant::chunk {

// `name` as printable UTF-8 of at most `max_bytes`: bytes that are not UTF-8, and control
// characters, become '?'.
std::string CleanName(std::string_view name, size_t max_bytes);

}  // namespace sextant::chunk
