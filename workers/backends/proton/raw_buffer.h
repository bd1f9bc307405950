// Proton's raw profile buffer: what one launch of an instrumented kernel left, as Proton's host
// buffer holds it (version 1). All numbers are little-endian.
//
//   file    u32 version, header_offset, header_bytes, payload_offset, payload_bytes, device type,
//           blocks, units, block_bytes, recording units, then a u32 for each recording unit: its id
//   block   u32 0xdeadbeef (else: the CTA left nothing), program id, SM, data bytes;
//           u64 start, before-final, after-final time in ns; a u32 for each unit: words it wrote;
//           then the data, divided evenly among the recording units in their order
//   record  u32 bit 31: end, bits 30…23: scope, bits 10…0: clock above 32 bits; u32 clock below
//
// A unit's part is circular: what it wrote beyond its size has overwritten its oldest records.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "workers/backends/proton/recording.h"

namespace sextant::backends::proton {

// A lower bound of the clock's rate, told from launches: a CTA's records lie between its start and its
// end in ns, so their span in cycles over that time never exceeds the rate, and comes close to it in a
// CTA that records from its begin to its end.
struct ClockEstimate {
  double cycles_per_ns = 0;     // the greatest seen; 0: no CTA was long enough

  void See(uint64_t span_cycles, uint64_t span_ns);
};

struct RawLaunch {
  std::string kernel;
  uint32_t number = 0;                    // among the launches that matter
  std::vector<std::string> scopes;        // names by scope id; missing ones become "scope_<id>"
  uint64_t first_origin_ns = 0;           // out: least start time of its CTAs, as the GPU's clock says
};

// Adds one launch to the recording. Tracks' origins are the GPU's own nanoseconds (to be shifted),
// starts of instances cycles since the first record of their CTA; where records were overwritten the
// track is anchored at its end. `clock` learns from every CTA.
// INVALID_ARGUMENT names the field: nothing was added. Blocks that were not written are skipped.
absl::Status AddRawBufferUntrusted(absl::Span<const uint8_t> file, RawLaunch& launch,
                                   ClockEstimate& clock, Recording& recording);

}  // namespace sextant::backends::proton
