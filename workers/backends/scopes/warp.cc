#include "workers/backends/scopes/warp.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "proto/chunk/chunk.h"

namespace sextant::backends::scopes {
namespace {

constexpr uint64_t kLap = uint64_t{1} << 32;
constexpr size_t kMaxOpen = 4096;
constexpr uint64_t kMaxCycles = chunk::kMaxTime / 4;

struct Record {
  uint32_t tag;
  uint32_t clock;
};

// The records from the oldest, without places that were never written.
std::vector<Record> InOrder(const Slot& slot, uint32_t ring_records, uint64_t* lost) {
  std::vector<Record> records(slot.records.size() / sizeof(Record));
  if (records.empty()) {
    if (slot.header.end_timer != 0) *lost = slot.header.count;
    return records;
  }
  std::memcpy(records.data(), slot.records.data(), records.size() * sizeof(Record));
  size_t oldest = 0;
  const bool ended = slot.header.end_timer != 0;
  if (ended) {
    oldest = slot.header.count > ring_records ? slot.header.count % ring_records : 0;
    if (oldest >= records.size()) oldest = 0;
  } else if (records.back().tag != 0) {
    // It went round, and where it stands is not written: where the clock goes back is the seam. How
    // many times it went round is not known; once at least, if there is a seam.
    for (size_t i = 1; i < records.size(); ++i) {
      if (static_cast<int32_t>(records[i].clock - records[i - 1].clock) < 0) oldest = i;
    }
    *lost = oldest;
  }
  std::rotate(records.begin(), records.begin() + static_cast<ptrdiff_t>(oldest), records.end());
  std::erase_if(records, [](const Record& record) { return record.tag == 0; });
  // What was written and is not here: overwritten, in this ring or in one in shared memory before it.
  if (ended) *lost = slot.header.count - std::min<uint64_t>(slot.header.count, records.size());
  return records;
}

// Cycles from the warp's begin to its end: the clock's difference, and as many rounds of it as the
// timer says.
uint64_t TotalCycles(const sextant_scopes_slot& slot, double cycles_per_ns) {
  if (slot.end_timer == 0) return 0;
  const uint32_t apart = slot.end_clock - slot.begin_clock;
  if (slot.end_timer <= slot.begin_timer) return apart;
  const double expected = static_cast<double>(slot.end_timer - slot.begin_timer) * cycles_per_ns;
  const double laps = std::round((expected - apart) / static_cast<double>(kLap));
  if (!(laps > 0)) return apart;
  return std::min(apart + static_cast<uint64_t>(std::min(laps, 1e9)) * kLap, kMaxCycles);
}

class Pairing {
 public:
  explicit Pairing(Warp* out) : out_(*out) {}

  void Add(const Record& record, uint64_t at) {
    const uint32_t kind = record.tag & ((1u << SEXTANT_SCOPES_KIND_BITS) - 1);
    const uint32_t slot =
        record.tag >> SEXTANT_SCOPES_KIND_BITS & ((1u << SEXTANT_SCOPES_SLOT_BITS) - 1);
    const uint32_t id = record.tag >> (SEXTANT_SCOPES_KIND_BITS + SEXTANT_SCOPES_SLOT_BITS);
    const bool wait = kind == SEXTANT_SCOPES_WAIT_BEGIN || kind == SEXTANT_SCOPES_WAIT_END;
    switch (kind) {
      case SEXTANT_SCOPES_BEGIN:
      case SEXTANT_SCOPES_WAIT_BEGIN:
        if (out_.open.size() >= kMaxOpen) {
          ++out_.malformed;
        } else {
          out_.open.push_back({.id = id, .barrier_slot = slot, .wait = wait, .begin = at});
          ++open_of_[Key(out_.open.back())];
        }
        return;
      case SEXTANT_SCOPES_END:
      case SEXTANT_SCOPES_WAIT_END:
        return End({.id = id, .barrier_slot = slot, .wait = wait, .end = at});
      case SEXTANT_SCOPES_SIGNAL:
        out_.signals.push_back({id, slot, at});
        return;
      default:
        ++out_.malformed;
    }
  }

 private:
  static uint32_t Key(const Region& region) {
    return region.id << (SEXTANT_SCOPES_SLOT_BITS + 1) | region.barrier_slot << 1 |
           static_cast<uint32_t>(region.wait);
  }

  void Pop() {
    --open_of_[Key(out_.open.back())];
    out_.open.pop_back();
  }

  void End(Region region) {
    const auto found = open_of_.find(Key(region));
    if (found == open_of_.end() || found->second == 0) {
      if (out_.lost == 0) ++out_.ends_without_begin;
      return;
    }
    for (; Key(out_.open.back()) != Key(region); Pop()) ++out_.begins_without_end;
    region.begin = out_.open.back().begin;
    out_.regions.push_back(region);
    Pop();
  }

  Warp& out_;
  absl::flat_hash_map<uint32_t, uint32_t> open_of_;  // how often each is open
};

}  // namespace

Warp ReadWarp(const Slot& slot, uint32_t ring_records, double cycles_per_ns) {
  Warp warp;
  const std::vector<Record> records = InOrder(slot, ring_records, &warp.lost);
  warp.total = TotalCycles(slot.header, cycles_per_ns);
  // From the first record kept; a gap is taken for less than one round of the clock.
  std::vector<uint64_t> at(records.size());
  for (size_t i = 1; i < records.size(); ++i) {
    at[i] = at[i - 1] + (records[i].clock - records[i - 1].clock);
  }
  uint64_t first = 0;
  if (!records.empty()) {
    first = records.front().clock - slot.header.begin_clock;
    if (slot.header.end_timer != 0) {
      const uint64_t after = slot.header.end_clock - records.back().clock;
      const uint64_t known = at.back() + after;
      if (warp.lost > 0) {
        // What was overwritten may have taken any time: the end is where they are fixed.
        first = warp.total > known ? warp.total - known : first;
      } else if (warp.total > first + known) {
        warp.gap_unknown = true;
      }
    }
  }
  Pairing pairing(&warp);
  for (size_t i = 0; i < records.size(); ++i) {
    warp.last = std::min(first + at[i], kMaxCycles);
    pairing.Add(records[i], warp.last);
  }
  if (slot.header.end_timer != 0) {
    warp.begins_without_end += warp.open.size();
    warp.open.clear();
  }
  return warp;
}

}  // namespace sextant::backends::scopes
