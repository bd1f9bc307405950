#include "proto/chunk/names.h"

#include <cstdint>

namespace sextant::chunk {
namespace {

// Length of the well-formed, printable UTF-8 sequence at the front of `s`; 0: there is none.
size_t PrintableLength(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || s.size() < length) return 0;
  uint32_t point = lead & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  if (length == 2 && point < 0xa0) return 0;                                // C1 controls
  if (length == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) return 0;
  if (length == 4 && (point < 0x10000 || point > 0x10ffff)) return 0;
  return length;
}

}  // namespace

std::string CleanName(std::string_view name, size_t max_bytes) {
  std::string clean;
  while (!name.empty()) {
    const size_t length = PrintableLength(name);
    if (clean.size() + (length == 0 ? 1 : length) > max_bytes) break;
    if (length == 0) {
      clean += '?';
      name.remove_prefix(1);
    } else {
      clean += name.substr(0, length);
      name.remove_prefix(length);
    }
  }
  return clean;
}

}  // namespace sextant::chunk
