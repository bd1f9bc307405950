// A recorder's file (client/include/sextant/detail/scopes_format.h), read as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/include/sextant/detail/scopes_format.h"

namespace sextant::backends::scopes {

// What a warp left. `records` are 8 bytes each, in the order of the ring.
struct Slot {
  sextant_scopes_slot header;
  absl::Span<const uint8_t> records;
};

// Borrows the bytes it was read from.
struct File {
  sextant_scopes_file header;
  absl::flat_hash_map<uint32_t, std::string> names;    // of scopes, barriers and roles, by id
  absl::flat_hash_map<uint32_t, std::string> kernels;  // by hash
  std::vector<Slot> slots;                             // without those that were never written
  uint64_t cut_slots = 0;  // their records are not in the file any more: it was cut
};

// INVALID_ARGUMENT: it is no such file, of another version, or its header contradicts itself. A file
// that ends early gives the slots that are whole.
absl::StatusOr<File> ReadFileUntrusted(absl::Span<const uint8_t> bytes);

// The text of a field of fixed size.
template <size_t N>
std::string FixedText(const char (&text)[N]);

// "gemm" of "void gemm<Stages>(const half *, int) [with int Stages=4]", and of a demangled name.
std::string KernelBaseName(const std::string& signature);

}  // namespace sextant::backends::scopes
