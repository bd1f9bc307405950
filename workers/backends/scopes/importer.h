// What recorders left of CUDA kernels, turned into a trace and tables. Pure: bytes in, messages out;
// every byte is taken for hostile. The library behind the `scopes` backend, and for files that a
// program wrote without the service.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "proto/chunk/encoder.h"
#include "proto/table/table.h"
#include "workers/backends/scopes/file.h"
#include "workers/backends/scopes/tables.h"
#include "workers/backends/scopes/warp.h"

namespace sextant::backends::scopes {

// What a pass may hold; more is counted and left out.
struct ImportLimits {
  size_t max_files = 4096;
  size_t max_tracks = 1024 * 1024;
  size_t max_regions = 4096;  // distinct names; roles as many
  uint64_t max_instances = 16 * 1024 * 1024;
  uint64_t max_barrier_rows = table::kMaxRows;
  size_t max_open_rows = 256 * 1024;
  size_t max_notes = 32;
  size_t max_open_named = 8;  // regions that warps were inside, in the notes
};

// A launch that another instrument of the same pass saw: what its number is, and when it was.
struct KnownLaunch {
  uint32_t launch = 0;
  std::string kernel;     // demangled
  uint64_t start_ns = 0;  // since the pass began
};

struct Imported {
  chunk::TraceInfo trace;                   // in cycles
  std::vector<chunk::Instance> instances;   // in no order
  std::vector<v1::DataTable> tables;        // barriers, open_scopes, launches (docs/tables.md)
  uint64_t dropped = 0;                     // records overwritten, warps without a ring, left out
  double clock_hz = 0;                      // of the SMs, as measured; 0: it could not be
  size_t files = 0;
  uint64_t warps = 0;                       // that had a ring
  uint64_t open_scopes = 0;                 // that warps were inside when the process died
  bool unfinished = false;                  // a recorder did not come to its end
  std::vector<std::string> errors;          // of recorders: why they could not fetch what was there
  std::vector<std::string> notes;
};

class ScopesImporter {
 public:
  // Times are ns since `began_ns` of CLOCK_MONOTONIC; 0: since the first recorder was made. `known`:
  // launches of the same process, in order; empty: numbered by what is here.
  explicit ScopesImporter(uint64_t began_ns, std::vector<KnownLaunch> known = {},
                          ImportLimits limits = {});

  // Takes one whole file. A status other than OK: it is not what a recorder writes, and nothing of it
  // was taken; the others stay usable.
  absl::Status Add(absl::Span<const uint8_t> file);

  // Adds a sentence to the notes, at most max_notes.
  void Note(std::string sentence);

  // Call once, last.
  Imported Finish();

 private:
  // A warp, before it is known which launch of the pass its was.
  struct Pending {
    sextant_scopes_slot slot;
    size_t file = 0;
    uint32_t occurrence = 0;  // how many runs of the same graph node came before
    uint32_t launch = 0;
    uint64_t begin_ns = 0;  // since the pass began
    uint64_t end_ns = 0;    // 0: did not end
    Warp warp;
  };
  struct FileClock {
    uint64_t timer = 0;
    uint64_t ns = 0;
    double ns_per_tick = 1;
  };
  struct Source {
    uint32_t pid = 0;
    uint32_t device = 0;
    FileClock clock;
    absl::flat_hash_map<uint32_t, std::string> names;
    absl::flat_hash_map<uint32_t, std::string> kernels;
    std::string program;
  };
  struct Launch {
    size_t file = 0;
    uint32_t kernel = 0;
    uint64_t grid = 0;
    uint64_t start_ns = UINT64_MAX;
    uint64_t end_ns = 0;
    bool running = false;  // a warp of it did not end
    uint32_t ctas = 0;
    uint64_t ctas_recorded = 0;
    uint32_t number = 0;
  };

  void SetClock(const sextant_scopes_file& header, const std::vector<Slot>& slots, Source* source);
  uint64_t ToNs(const FileClock& clock, uint64_t timer) const;
  std::string NameOf(const Source& source, uint32_t id) const;
  std::string RegionName(const Source& source, const Region& region) const;
  std::string KernelOf(const Source& source, uint32_t hash) const;
  uint32_t Intern(absl::flat_hash_map<std::string, uint32_t>* ids, std::vector<std::string>* names,
                  std::string name) const;

  void FindLaunches();
  void NumberLaunches();
  void MatchKnown(const std::vector<uint32_t>& order);
  void MakeTracks();
  void MakeTrack(const Pending& pending, uint64_t origin_ns, uint64_t offset);
  void AddBarriers(const Pending& pending, uint64_t offset);
  void NoteOpen(const Pending& pending, const std::string& role);
  void MakeLaunchTable();
  void FinishNotes();

  uint64_t began_ns_;
  const std::vector<KnownLaunch> known_;
  const ImportLimits limits_;
  Imported out_;
  std::vector<Source> sources_;
  std::vector<Pending> pending_;
  std::vector<Launch> launches_;
  absl::flat_hash_map<std::string, uint32_t> region_ids_;
  absl::flat_hash_map<std::string, uint32_t> role_ids_;
  std::map<std::string, uint64_t> instances_of_kernel_;

  BarrierTable barriers_;
  OpenTable open_;

  double stated_cycles_per_ns_ = 0;  // where no warp ended that could tell
  double ticks_sum_ = 0;   // ns that warps took …
  double cycles_sum_ = 0;  // … and their cycles
  uint64_t lost_ = 0;
  uint64_t without_ring_ = 0;
  uint64_t over_limit_ = 0;
  uint64_t ends_without_begin_ = 0;
  uint64_t begins_without_end_ = 0;
  uint64_t malformed_ = 0;
  uint64_t unknown_gaps_ = 0;
  uint64_t cut_slots_ = 0;
  uint64_t unmatched_launches_ = 0;
  uint64_t open_warps_ = 0;
  uint64_t unended_ = 0;
};

}  // namespace sextant::backends::scopes
