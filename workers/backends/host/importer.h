// What a recording process left, turned into a trace. Pure: bytes in, messages out; every byte is
// taken for hostile. Files may come in any order as long as process files come first.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/chunk/encoder.h"
#include "sextant/v1/types.pb.h"
#include "workers/backends/host/clock.h"
#include "workers/backends/host/records.h"

namespace sextant::backends::host {

// What a pass may hold; more is counted and left out.
struct ImportLimits {
  size_t max_processes = 4096;
  size_t max_tracks = 64 * 1024;
  size_t max_regions = 4096;  // distinct names over all processes; roles as many
  uint64_t max_instances = 16 * 1024 * 1024;
  size_t max_counters = 16 * 1024;
  size_t max_notes = 32;
  size_t max_open_named = 8;  // regions that threads died in, in the notes
};

struct Imported {
  chunk::TraceInfo trace;
  std::vector<chunk::Instance> instances;  // in no order
  std::vector<v1::Counter> counters;
  uint64_t dropped = 0;  // records overwritten, and instances above the limits
  double clock_hz = 0;   // ticks a second of the recorders' counter
  size_t processes = 0;
  size_t threads = 0;        // that recorded anything
  uint64_t open_scopes = 0;  // begun, and the process died inside
  std::vector<std::string> notes;
};

class HostImporter {
 public:
  // Times are ns since `began_ns` of CLOCK_MONOTONIC. Without a reference for a process's clock its
  // own last reading is used.
  HostImporter(uint64_t began_ns, std::vector<ClockReference> references, ImportLimits limits = {});

  // Each takes one whole file. INVALID_ARGUMENT: it is not what a recorder writes, and nothing of
  // it was taken; the other files stay usable.
  absl::Status AddProcess(absl::Span<const uint8_t> file);
  absl::Status AddThread(absl::Span<const uint8_t> file);
  absl::Status AddCounters(absl::Span<const uint8_t> file);

  // Adds a sentence to the notes, at most max_notes.
  void Note(std::string sentence);

  // Call once, last.
  Imported Finish();

 private:
  struct Process {
    uint32_t pid = 0;
    uint32_t file_index = 0;
    uint64_t image = 0;
    uint64_t first_ticks = 0;
    uint64_t first_ns = 0;
    double ns_per_tick = 0;
    std::string program;
    std::vector<uint32_t> regions;   // name id → region of the trace; kUnknown: not asked for yet
    std::vector<std::string> names;  // name id → name, [0] is empty
  };
  struct PendingTrack {
    size_t process = 0;
    uint32_t thread = kUnknown;
    uint32_t tid = kUnknown;
    chunk::Track track;
  };
  struct CounterSum {
    double value = 0;
    uint64_t instances = 0;
  };
  struct CounterHealth {
    bool counted = false;
    std::map<int, uint32_t> refusals;  // errno → threads
  };

  absl::StatusOr<size_t> FindProcess(uint32_t pid, uint32_t file_index) const;
  absl::Status SetClock(const void* header, Process* process);
  uint64_t ToNs(const Process& process, uint64_t ticks) const;
  uint32_t RegionOf(Process* process, uint32_t name_id);
  uint32_t RoleOf(const Process& process, uint32_t name_id);
  void NoteOpen(const Process& process, const Stretch& stretch);
  void NumberTracks(Imported* out);
  void FinishCounters(Imported* out);

  const uint64_t began_ns_;
  const std::vector<ClockReference> references_;
  const ImportLimits limits_;
  Imported out_;
  std::vector<Process> processes_;
  std::map<std::pair<uint32_t, uint32_t>, size_t> process_index_;  // by pid and file index
  std::vector<PendingTrack> tracks_;
  absl::flat_hash_map<std::string, uint32_t> region_ids_;
  absl::flat_hash_map<std::string, uint32_t> role_ids_;
  std::map<std::string, CounterHealth> counter_health_;
  // By counter, role, region.
  std::map<std::pair<std::string, std::pair<std::string, std::string>>, CounterSum> counter_sums_;
  uint64_t ends_without_begin_ = 0;
  uint64_t begins_without_end_ = 0;
  uint64_t malformed_ = 0;
  uint64_t backwards_ = 0;   // scopes whose clock went back
  uint64_t over_limit_ = 0;  // instances left out
  uint64_t unrecorded_ = 0;  // threads without a buffer
  uint64_t names_refused_ = 0;
  uint64_t open_named_ = 0;
  bool short_of_disk_ = false;
};

}  // namespace sextant::backends::host
