// Files of a recorder made by hand, for tests and as seeds for fuzzing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "client/include/sextant/detail/format.h"

namespace sextant::backends::host::testing {

using Bytes = std::vector<uint8_t>;

// A process file on CLOCK_MONOTONIC that began at 1,000 ns.
inline Bytes ProcessFile(const std::vector<std::string>& names, uint32_t pid = 7) {
  sextant_process_file header = {};
  std::memcpy(header.magic, SEXTANT_PROCESS_MAGIC, sizeof(header.magic));
  header.version = SEXTANT_FORMAT_VERSION;
  header.clock = SEXTANT_CLOCK_MONOTONIC;
  header.pid = pid;
  header.first_ticks = header.first_ns = 1000;
  std::strcpy(header.program, "by_hand");
  Bytes file(SEXTANT_HEADER_BYTES);
  for (const std::string& name : names) {
    file.push_back(static_cast<uint8_t>(name.size()));
    file.push_back(static_cast<uint8_t>(name.size() >> 8));
    file.insert(file.end(), name.begin(), name.end());
  }
  header.names = static_cast<uint32_t>(names.size());
  header.names_bytes = static_cast<uint32_t>(file.size() - SEXTANT_HEADER_BYTES);
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

inline uint64_t Begin(uint64_t name, uint64_t ticks) { return ticks << 16 | name << 1; }
inline uint64_t End(uint64_t name, uint64_t ticks) { return ticks << 16 | name << 1 | 1; }
inline uint64_t ThreadStart(uint64_t thread, uint64_t tid) {
  return Begin(SEXTANT_MARK_ID, thread << 28 | tid);
}
inline uint64_t ThreadEnd(uint64_t thread, uint64_t role, uint64_t cpu) {
  return End(SEXTANT_MARK_ID, thread << 28 | role << 14 | cpu);
}

// A thread file whose buffer holds `records` as they lie there; `laps` times it was full before.
inline Bytes ThreadFile(const std::vector<uint64_t>& records, uint64_t laps = 0, uint64_t next = 0,
                        uint32_t pid = 7) {
  sextant_thread_file header = {};
  std::memcpy(header.magic, SEXTANT_THREAD_MAGIC, sizeof(header.magic));
  header.version = SEXTANT_FORMAT_VERSION;
  header.pid = pid;
  header.capacity = static_cast<uint32_t>(records.empty() ? 1 : records.size());
  header.position = laps << 32 | (laps > 0 ? next : records.size());
  Bytes file(SEXTANT_HEADER_BYTES + records.size() * sizeof(uint64_t));
  std::memcpy(file.data(), &header, sizeof(header));
  if (!records.empty()) {
    std::memcpy(file.data() + SEXTANT_HEADER_BYTES, records.data(),
                records.size() * sizeof(uint64_t));
  }
  return file;
}

inline Bytes CounterFile(const std::vector<sextant_counter_slot>& slots,
                         const std::vector<std::string>& names, uint32_t pid = 7) {
  sextant_counter_file header = {};
  std::memcpy(header.magic, SEXTANT_COUNTERS_MAGIC, sizeof(header.magic));
  header.version = SEXTANT_FORMAT_VERSION;
  header.pid = pid;
  header.counters = static_cast<uint32_t>(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    std::memcpy(header.names[i], names[i].data(), names[i].size());
  }
  Bytes file(SEXTANT_HEADER_BYTES + slots.size() * sizeof(sextant_counter_slot));
  std::memcpy(file.data(), &header, sizeof(header));
  if (!slots.empty()) {
    std::memcpy(file.data() + SEXTANT_HEADER_BYTES, slots.data(),
                slots.size() * sizeof(sextant_counter_slot));
  }
  return file;
}

}  // namespace sextant::backends::host::testing
