// Which instructions belong to which region of a kernel: found from the clock reads that the records of its scopes leave
// in the code.
//
// A record of scope.cuh stores two words, a tag and the clock; the tag's scope id and kind (begin, end) are constants of
// the program, and so they stand in the code (client/include/sextant/detail/scopes_format.h). A record of Proton
// stores a word with the end bit in bit 31, the scope id in bits 30..23 and the high bits of the clock, and then the
// low word. A region begins and ends where the clock is read, because that is where its time begins and ends.
//
// From there the stack of open regions is carried along the control flow. Where paths that meet disagree, what
// follows belongs to the regions that all agree on, and counts as doubtful for the others.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/analysis/sass.h"
#include "server/analysis/sass_flow.h"

namespace sextant::analysis {

enum class RecordFormat { kScopes, kProton };

// A clock read that begins or ends a region.
struct ClockRecord {
  uint32_t clock = 0;        // instruction that reads the clock
  uint32_t store = 0;        // instruction that stores the record
  bool begin = false;
  bool signal = false;       // neither begins nor ends: an arrival at a barrier
  bool wait = false;
  uint32_t id = 0;           // scopes: sextant_scopes_id of the name; Proton: the scope id
  RecordFormat format = RecordFormat::kScopes;
};

// All records of the code, in order of their clock reads.
std::vector<ClockRecord> FindRecords(const SassFunction& function, const SassFlow& flow);

// A region as the code has it: under a chain of enclosing ones.
struct CodeRegion {
  uint32_t id = 0;
  bool wait = false;
  int32_t parent = -1;                 // index into RegionCode.regions; −1: outermost
  std::vector<uint32_t> begins;        // clock reads; none: no way through the code opens it
  std::vector<uint32_t> ends;
};

struct RegionCode {
  RecordFormat format = RecordFormat::kScopes;
  std::vector<CodeRegion> regions;     // parents before children
  // [instructions]: the innermost region the instruction surely belongs to; −1: none, or never reached.
  std::vector<int32_t> innermost;
  // [instructions]: regions (indices) that it may belong to beside; mostly empty.
  std::vector<std::vector<int32_t>> doubtful;
  // [instructions]: whether it is part of a record: the clock read, the tag, the store.
  std::vector<bool> recording;
  std::vector<std::string> notes;      // ends without begin, code shared between regions, …

  // Whether region `inner` is `outer` or nested in it.
  bool IsWithin(int32_t inner, int32_t outer) const;
  // By region: "0x120-0x2f0" of all its instructions and of those nested in it; an end is the last instruction's
  // address. At most `most` ranges, then "…".
  std::vector<std::vector<std::string>> Ranges(const SassFunction& function, size_t most = 16) const;
};

// Empty `regions` where the code has no records.
RegionCode FindRegionCode(const SassFunction& function, const SassFlow& flow);

// Finds the name of an id among names that the trace knows; "" where none has it. Waits are "wait NAME".
std::string NameOfScopeId(uint32_t id, bool wait, absl::Span<const std::string> names);

}  // namespace sextant::analysis
