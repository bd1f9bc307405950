// LEB128 varints and zig-zag, as the columns hold them. Writers are given room by the caller;
// readers check every byte.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace sextant::chunk {

inline constexpr int kMaxVarint = 10;

inline uint64_t ZigZag(uint64_t now, uint64_t before) {
  const int64_t delta = static_cast<int64_t>(now - before);
  return (static_cast<uint64_t>(delta) << 1) ^ static_cast<uint64_t>(delta >> 63);
}

inline uint64_t UnZigZag(uint64_t coded, uint64_t before) {
  return before + ((coded >> 1) ^ (~(coded & 1) + 1));
}

// Writes `v` at `out` and returns the byte behind it. May write, but not count, up to kMaxVarint
// bytes: the room behind must be there.
inline uint8_t* PutVarint(uint8_t* out, uint64_t v) {
  if (v < 0x80) {
    *out = static_cast<uint8_t>(v);
    return out + 1;
  }
  if constexpr (std::endian::native == std::endian::little) {
    if (v < (uint64_t{1} << 28)) {  // up to four bytes without a branch on the length
      const uint32_t x = static_cast<uint32_t>(v);
      uint32_t groups = (x & 0x7f) | (x & 0x3f80) << 1 | (x & 0x1fc000) << 2 | (x & 0xfe00000) << 3;
      const int length = (std::bit_width(x) + 6) / 7;
      groups |= 0x00808080u & ((uint32_t{1} << (8 * (length - 1))) - 1);
      std::memcpy(out, &groups, 4);
      return out + length;
    }
  }
  while (v >= 0x80) {
    *out++ = static_cast<uint8_t>(v | 0x80);
    v >>= 7;
  }
  *out = static_cast<uint8_t>(v);
  return out + 1;
}

// Reads forward through bytes that are not trusted. After a failure everything reads 0.
class VarintReader {
 public:
  VarintReader(const uint8_t* begin, const uint8_t* end) : at_(begin), end_(end) {}

  uint64_t Next() {
    if (at_ < end_ && *at_ < 0x80) [[likely]] return *at_++;
    return Long();
  }
  // The next n bytes as they are; null: there are not so many.
  const uint8_t* Bytes(size_t n) {
    if (n > static_cast<size_t>(end_ - at_)) {
      ok_ = false;
      at_ = end_;
      return nullptr;
    }
    at_ += n;
    return at_ - n;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  const uint8_t* at() const { return at_; }

 private:
  uint64_t Long() {
    uint64_t v = 0;
    for (int shift = 0; shift < 70 && at_ < end_; shift += 7) {
      const uint8_t byte = *at_++;
      if (shift == 63 && byte > 1) break;  // more than 64 bits
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) break;  // not the shortest form
        return v;
      }
    }
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

}  // namespace sextant::chunk
