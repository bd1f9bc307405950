#pragma once

#include <string_view>

namespace sextant::backends::formats {

// Calls `line` with each line of `text` without its ending ("\n", "\r\n").
template <typename Line>
void ForEachLine(std::string_view text, const Line& line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view one = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!one.empty() && one.back() == '\r') one.remove_suffix(1);
    line(one);
  }
}

}  // namespace sextant::backends::formats
