// The kernels of a cubin, which is an ELF file. Every byte is taken for hostile: the worker reads
// with this what a program left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workers/inject/sha256.h"

namespace sextant::inject {

inline constexpr size_t kMaxCubinKernels = 64 * 1024;

// A kernel; views point into the cubin. A number the cubin does not tell is −1.
struct CubinKernel {
  std::string_view name;      // mangled
  uint32_t symbol = 0;        // index in the symbol table
  std::string_view code;      // its instructions: the section .text.<name>
  int32_t registers = -1;     // of a thread
  int32_t frame_bytes = -1;   // stack of a thread: local arrays and spills
  int32_t shared_bytes = -1;  // static
  int32_t max_threads = -1;   // of a block, by launch bounds

  Sha256Digest SassDigest() const { return Sha256(code.data(), code.size()); }
};

struct Cubin {
  uint32_t architecture = 0;         // 90 for sm_90; 0: not known
  std::vector<CubinKernel> kernels;  // by symbol
};

// False with `why` where it is no cubin.
bool ParseCubinUntrusted(std::string_view bytes, Cubin* cubin, std::string* why);

// Lower-case hex.
std::string Hex(const uint8_t* bytes, size_t count);

}  // namespace sextant::inject
