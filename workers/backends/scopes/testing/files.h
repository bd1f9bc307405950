// Builds recorders' files for the tests and the fuzzer's seeds.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "client/include/sextant/detail/scopes_format.h"

namespace sextant::backends::scopes::testing {

using Bytes = std::vector<uint8_t>;

struct Record {
  uint32_t tag;
  uint32_t clock;
};

inline Record Make(uint32_t kind, const char* name, uint32_t slot, uint32_t clock) {
  return {sextant_scopes_id(name) << 11 | slot << 3 | kind, clock};
}
inline Record Begin(const char* name, uint32_t clock) {
  return Make(SEXTANT_SCOPES_BEGIN, name, 0, clock);
}
inline Record End(const char* name, uint32_t clock) {
  return Make(SEXTANT_SCOPES_END, name, 0, clock);
}
inline Record WaitBegin(const char* name, uint32_t slot, uint32_t clock) {
  return Make(SEXTANT_SCOPES_WAIT_BEGIN, name, slot, clock);
}
inline Record WaitEnd(const char* name, uint32_t slot, uint32_t clock) {
  return Make(SEXTANT_SCOPES_WAIT_END, name, slot, clock);
}
inline Record Arrive(const char* name, uint32_t slot, uint32_t clock) {
  return Make(SEXTANT_SCOPES_SIGNAL, name, slot, clock);
}

// A warp and what its ring has, in the ring's order.
struct TestWarp {
  uint64_t grid = 1;
  uint32_t cta = 0;
  uint16_t warp = 0;
  uint16_t sm = 0;
  const char* role = "";
  const char* kernel = "void gemm(float *)";
  uint64_t begin_timer = 1'000'000;
  uint32_t begin_clock = 0;
  uint64_t end_timer = 1'010'000;  // 0: did not end
  uint32_t end_clock = 15'000;     // 1.5 GHz
  uint32_t count = UINT32_MAX;     // UINT32_MAX: as many as there are records
  std::vector<Record> records;
};

struct TestFile {
  uint32_t ring_records = 16;
  bool packed = true;
  uint64_t claimed = UINT64_MAX;  // UINT64_MAX: as many as there are warps
  uint32_t slots = 1024;
  uint32_t ended = 1;
  const char* error = "";
  uint32_t pid = 7;
  // %globaltimer and CLOCK_MONOTONIC: 500,000 apart.
  sextant_scopes_clock first = {1'000'000, 1'500'000, 100};
  sextant_scopes_clock last = {101'000'000, 101'500'000, 100};
  std::vector<std::string> names = {"load", "mma", "full", "empty", "producer", "consumer",
                                    "void gemm(float *)"};
  std::vector<TestWarp> warps;

  Bytes Write() const {
    Bytes bytes(SEXTANT_SCOPES_SLOTS_AT);
    sextant_scopes_file header = {};
    std::memcpy(header.magic, SEXTANT_SCOPES_MAGIC, sizeof(header.magic));
    header.version = SEXTANT_SCOPES_VERSION;
    header.pid = pid;
    header.packed = packed;
    header.started_ns = 1'400'000;
    header.first = first;
    header.last = last;
    header.ring_records = ring_records;
    header.slots = slots;
    header.claimed = claimed == UINT64_MAX ? warps.size() : claimed;
    header.slots_in_file = static_cast<uint32_t>(warps.size());
    header.clock_khz = 1'500'000;
    header.cta_period = 1;
    header.ended = ended;
    std::strncpy(header.error, error, sizeof(header.error) - 1);
    size_t at = SEXTANT_SCOPES_NAMES_AT;
    for (const std::string& name : names) {
      const uint16_t length = static_cast<uint16_t>(name.size());
      std::memcpy(bytes.data() + at, &length, sizeof(length));
      std::memcpy(bytes.data() + at + sizeof(length), name.data(), name.size());
      at += sizeof(length) + name.size();
    }
    header.names_bytes = static_cast<uint32_t>(at - SEXTANT_SCOPES_NAMES_AT);
    header.records_at = SEXTANT_SCOPES_SLOTS_AT +
                        (packed ? warps.size() : slots) * sizeof(sextant_scopes_slot);
    std::memcpy(bytes.data(), &header, sizeof(header));
    bytes.resize(header.records_at);
    for (size_t i = 0; i < warps.size(); ++i) {
      const TestWarp& warp = warps[i];
      sextant_scopes_slot slot = {};
      slot.grid = warp.grid;
      slot.begin_timer = warp.begin_timer;
      slot.begin_clock = warp.begin_clock;
      slot.kernel = sextant_scopes_hash(warp.kernel);
      slot.cta = warp.cta;
      slot.ctas = 8;
      slot.warp = warp.warp;
      slot.sm = warp.sm;
      slot.role = *warp.role == 0 ? 0 : sextant_scopes_id(warp.role);
      slot.count = warp.end_timer == 0   ? 0
                   : warp.count == UINT32_MAX ? static_cast<uint32_t>(warp.records.size())
                                              : warp.count;
      slot.end_clock = warp.end_clock;
      slot.end_timer = warp.end_timer;
      std::memcpy(bytes.data() + SEXTANT_SCOPES_SLOTS_AT + i * sizeof(slot), &slot, sizeof(slot));
      const size_t begin = bytes.size();
      for (const Record& record : warp.records) {
        const auto* const from = reinterpret_cast<const uint8_t*>(&record);
        bytes.insert(bytes.end(), from, from + sizeof(record));
      }
      if (!packed || warp.end_timer == 0) bytes.resize(begin + size_t{8} * ring_records);
    }
    return bytes;
  }
};

}  // namespace sextant::backends::scopes::testing
