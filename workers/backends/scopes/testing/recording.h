// What recorders left on an H200, kept in testdata/ (zstd). Tests run in the root of the tree.
#pragma once

#include <zstd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/catch.h"

namespace sextant::backends::scopes::testing {

inline std::string Recording(const std::string& name) {
  std::ifstream file("workers/backends/scopes/testdata/" + name + ".bin.zst", std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(file)), {});
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  INFO(name);
  REQUIRE(size < (64u << 20));
  std::string bytes(size, 0);
  REQUIRE(ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size()) == size);
  return bytes;
}

}  // namespace sextant::backends::scopes::testing
