// The options of SEXTANT_SCOPES, and the names of a module's strings. Host side of scope.cuh.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sextant/detail/scopes_format.h"

namespace sextant {
namespace detail {

struct ScopesOptions {
  std::string directory = ".";
  std::string scopes;  // joined by +; empty: all
  uint32_t ring_records = 1024;
  uint32_t enabled = ~0u;  // bit id % 32 of the scopes that are recorded
  uint32_t cta_period = 1;
  size_t arena_bytes = size_t{256} << 20;
  bool in_host_memory = false;
  bool shared = false;
  bool flush = true;

  // False: nothing is to be recorded; a bad option is named on stderr.
  bool FromEnvironment() {
    const char* const text = std::getenv("SEXTANT_SCOPES");
    if (text == nullptr || *text == 0 || std::strcmp(text, "0") == 0) return false;
    const char* const results = std::getenv("SEXTANT_RESULTS");
    if (results != nullptr && *results != 0) directory = results;
    if (std::strcmp(text, "1") == 0) return true;
    const std::string all = text;
    for (size_t at = 0; at < all.size();) {
      size_t end = all.find(',', at);
      if (end == std::string::npos) end = all.size();
      const std::string option = all.substr(at, end - at);
      if (!option.empty() && !Set(option)) {
        std::fprintf(stderr, "sextant: kernels are not recorded: SEXTANT_SCOPES: \"%s\" is no "
                             "option; scope.cuh lists them\n", option.c_str());
        return false;
      }
      at = end + 1;
    }
    return true;
  }

 private:
  static bool Number(const std::string& text, uint64_t least, uint64_t most, uint64_t* number) {
    char* end = nullptr;
    *number = std::strtoull(text.c_str(), &end, 10);
    return !text.empty() && *end == 0 && *number >= least && *number <= most;
  }

  bool Set(const std::string& option) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos) return false;
    const std::string name = option.substr(0, equals), value = option.substr(equals + 1);
    uint64_t number = 0;
    if (name == "records") {
      if (!Number(value, SEXTANT_SCOPES_MIN_RING, SEXTANT_SCOPES_MAX_RING, &number)) return false;
      ring_records = SEXTANT_SCOPES_MIN_RING;
      while (ring_records < number) ring_records *= 2;
    } else if (name == "scopes") {
      scopes = value;
      enabled = 0;
      for (size_t at = 0; at <= value.size();) {
        const size_t end = std::min(value.find('+', at), value.size());
        const std::string scope = value.substr(at, end - at);
        if (!scope.empty()) enabled |= 1u << (sextant_scopes_id(scope.c_str()) & 31u);
        at = end + 1;
      }
      return enabled != 0;
    } else if (name == "part") {
      // Names fall into parts by their ids, so one part may hold none.
      const size_t slash = value.find('/');
      uint64_t parts = 0;
      if (slash == std::string::npos || !Number(value.substr(slash + 1), 1, 32, &parts) ||
          !Number(value.substr(0, slash), 1, parts, &number)) {
        return false;
      }
      enabled = 0;
      for (uint32_t bit = 0; bit < 32; ++bit) {
        if (bit % parts == number - 1) enabled |= 1u << bit;
      }
    } else if (name == "ctas") {
      if (value.compare(0, 2, "1/") != 0 || !Number(value.substr(2), 1, 1u << 30, &number)) {
        return false;
      }
      cta_period = static_cast<uint32_t>(number);
    } else if (name == "arena_mb") {
      if (!Number(value, 1, 1u << 16, &number)) return false;
      arena_bytes = static_cast<size_t>(number) << 20;
    } else if (name == "memory") {
      in_host_memory = value == "host";
      return value == "host" || value == "device";
    } else if (name == "buffer") {
      shared = value == "shared";
      return value == "shared" || value == "global";
    } else if (name == "mode") {
      flush = value == "flush";
      return value == "flush" || value == "circular";
    } else {
      return false;
    }
    return true;
  }
};

// A function of the driver, which programs need not be linked with; null: it has none.
inline void* DriverEntry(const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, &entry, cudaEnableDefault, &found);
#endif
  if (error == cudaSuccess) return entry;
  cudaGetLastError();
  return nullptr;
}

// The strings among a module's variables: the names of scopes are there, each a variable that the
// driver knows by its address alone. They lie around `anchor`, a variable of it on the device, in steps of 256 bytes or without
// gaps; looking costs some milliseconds, once.
inline std::vector<std::string> ModuleNames(const void* anchor) {
  using AddressRange = CUresult(CUDAAPI*)(CUdeviceptr*, size_t*, CUdeviceptr);
  constexpr uint64_t kStep = 256, kMostGap = 64 * 1024, kMostReach = 4 << 20;
  constexpr size_t kMostNames = 8192;
  std::vector<std::string> names;
  void* const entry = DriverEntry("cuMemGetAddressRange");
  if (entry == nullptr) return names;
  const auto range = reinterpret_cast<AddressRange>(entry);
  const auto take = [&](CUdeviceptr base, size_t size) {
    char text[SEXTANT_SCOPES_MAX_NAME_BYTES + 1];
    if (size < 2 || size > sizeof(text) || names.size() >= kMostNames) return;
    if (cudaMemcpy(text, reinterpret_cast<const void*>(base), size, cudaMemcpyDeviceToHost) !=
        cudaSuccess) {
      cudaGetLastError();
      return;
    }
    if (text[size - 1] != 0 || std::strlen(text) + 1 != size) return;
    for (size_t i = 0; i + 1 < size; ++i) {
      if (static_cast<unsigned char>(text[i]) < 0x20) return;
    }
    names.emplace_back(text);
  };
  const uint64_t start = reinterpret_cast<uint64_t>(anchor);
  uint64_t last = start;
  for (uint64_t at = start; at - last <= kMostGap && at - start <= kMostReach;) {
    CUdeviceptr base = 0;
    size_t size = 0;
    if (range(&base, &size, at) != CUDA_SUCCESS) {
      at = (at / kStep + 1) * kStep;
      continue;
    }
    take(base, size);
    last = at = base + (size > 0 ? size : 1);
  }
  last = start;
  for (uint64_t at = start - 1; last - at <= kMostGap && start - at <= kMostReach;) {
    CUdeviceptr base = 0;
    size_t size = 0;
    if (range(&base, &size, at) != CUDA_SUCCESS) {
      at = (at - 1) / kStep * kStep;
      continue;
    }
    take(base, size);
    last = base;
    at = base - 1;
  }
  return names;
}

}  // namespace detail
}  // namespace sextant
