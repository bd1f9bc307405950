// The records of a pass, turned into its host-side trace, tables and counters. Pure: frames in,
// messages out.
//
// Tracks of the trace, with their roles; a track's `launch` is its process, in order of begin:
//   stream N           kernels by their names, copies and memsets ("copy HtoD", "memset")
//   api thread N       calls of the runtime and the driver, by their names
//   nvtx thread N      push/pop ranges and marks of that thread
//   nvtx               ranges that may begin and end on different threads
//   waiting            waits for a context, stream or event
// Streams of a process with several contexts are named "context C stream N". Threads are numbered
// in order of their ids.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proto/chunk/encoder.h"
#include "sextant/v1/table.pb.h"
#include "sextant/v1/types.pb.h"
#include "workers/backends/injected/launches.h"
#include "workers/backends/injected/reader.h"

namespace sextant::backends::activity {

struct ImportLimits {
  uint64_t max_instances = 16 * 1024 * 1024;
  size_t max_tracks = 64 * 1024;
  size_t max_regions = 4096;  // roles as many
  size_t max_counters = 4096;
  size_t max_running_named = 8;
};

struct Imported {
  chunk::TraceInfo trace;
  std::vector<chunk::Instance> instances;
  std::vector<v1::Counter> counters;
  std::vector<v1::DataTable> tables;
  uint64_t kernels = 0;  // launches recorded, whether they match or not
  uint64_t dropped = 0;  // records left out
  std::vector<std::string> notes;
  std::string nothing;  // why no launch is in the tables; "" where there is one
};

class Importer {
 public:
  // `kernels` is workload.kernels. Times are ns since `began_ns` of CLOCK_MONOTONIC.
  Importer(const std::string& kernels, uint64_t began_ns, ImportLimits limits = {});

  // As FrameSink, for one process after the other; EndProcess after the last frame of each.
  void Take(const injected::Process& process, uint32_t type, std::string_view payload);
  void EndProcess(const injected::Process& process);

  // Call once, last.
  Imported Finish();

 private:
  enum class Kind { kStream, kApi, kNvtxThread, kNvtx, kWaiting };
  // Process (order of taking), kind, context, stream or thread.
  using TrackKey = std::tuple<uint32_t, Kind, uint32_t, uint32_t>;
  struct Range {
    uint64_t begin_ns;
    uint32_t name;
    uint32_t thread;
  };
  struct Began {
    uint64_t opened_ns;
    uint32_t pid;
    std::string program;
  };
  struct Copy {
    inject::CopyRecord record;
    uint32_t process;
  };

  void Add(Kind kind, uint32_t context, uint32_t id, std::string_view region, uint64_t start_ns,
           uint64_t end_ns);
  void TakeMarker(const injected::Process& process, const inject::MarkerRecord& record);
  uint32_t RegionOf(std::string_view name);
  void NumberTracks(Imported* out);
  std::vector<uint32_t> ProcessOrder() const;
  v1::DataTable CopyTable(const std::vector<uint32_t>& order) const;
  void Count(Imported* out) const;
  void Explain(Imported* out) const;

  const uint64_t began_ns_;
  const ImportLimits limits_;
  injected::Launches launches_;
  Imported out_;
  uint32_t process_ = 0;  // index of the process whose frames are being taken
  std::vector<Began> processes_;
  std::map<TrackKey, uint32_t> tracks_;  // → number in order of appearance
  absl::flat_hash_map<std::string, uint32_t> regions_;
  std::vector<Copy> copies_;
  // Of the process being taken:
  std::vector<inject::MarkerRecord> markers_;
  absl::flat_hash_map<uint32_t, Range> ranges_;       // NVTX, open, by id
  absl::flat_hash_map<uint32_t, std::string> names_;  // demangled, by text id

  std::map<std::pair<uint32_t, uint32_t>, uint64_t> launched_ns_;  // process, correlation
  uint64_t over_limit_ = 0;
  uint64_t malformed_ = 0;
  uint64_t before_begin_ = 0;
  uint64_t open_ranges_ = 0;
};

}  // namespace sextant::backends::activity
