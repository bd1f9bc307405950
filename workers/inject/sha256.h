// SHA-256 without a library: the injected code may depend on none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sextant::inject {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(const void* bytes, size_t count);

}  // namespace sextant::inject
