// The records of one warp in the order they were made, paired into regions.
#pragma once

#include <cstdint>
#include <vector>

#include "workers/backends/scopes/file.h"

namespace sextant::backends::scopes {

// A begin and its end; cycles since the warp came.
struct Region {
  uint32_t id = 0;
  uint32_t barrier_slot = 0;
  bool wait = false;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Signal {
  uint32_t id = 0;
  uint32_t barrier_slot = 0;
  uint64_t at = 0;
};

// What one warp did.
struct Warp {
  std::vector<Region> regions;  // in the order of their ends
  std::vector<Signal> signals;
  std::vector<Region> open;     // what it was inside at the end, outermost first; `end` is 0
  uint64_t last = 0;            // cycles of the last record
  uint64_t total = 0;           // cycles until the warp left; 0: it did not
  uint64_t lost = 0;            // records overwritten
  uint64_t ends_without_begin = 0;
  uint64_t begins_without_end = 0;
  uint64_t malformed = 0;
  bool gap_unknown = false;     // between two records %clock went round more than once
};

// Reads a slot in O(records). `cycles_per_ns` only tells how often a 32-bit clock went round.
Warp ReadWarp(const Slot& slot, uint32_t ring_records, double cycles_per_ns);

}  // namespace sextant::backends::scopes
