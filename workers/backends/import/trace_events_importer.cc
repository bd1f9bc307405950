#include "workers/backends/import/trace_events_importer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/encoder.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "workers/backends/formats/kernel_name.h"
#include "workers/backends/formats/trace_events.h"

namespace sextant::backends::import {
namespace {

using formats::TraceEvent;
using formats::TraceEventArg;

constexpr size_t kMaxNameBytes = 1024;
constexpr char kMoreNames[] = "(more names)";

// What PyTorch's profiler notes of kernels and copies; "name" and "labels" of metadata.
enum Arg {
  kDevice,
  kContext,
  kStream,
  kCorrelation,
  kRegisters,
  kShared,
  kGrid,
  kBlock,
  kOccupancy,
  kBytes,
  kName,
  kArgs,
};
constexpr std::string_view kArgNames[kArgs] = {
    "device", "context", "stream", "correlation", "registers per thread",     "shared memory",
    "grid",   "block",   "est. achieved occupancy %", "bytes", "name"};

int64_t Whole(const TraceEventArg& arg) {
  return arg.there && std::abs(arg.number) < 1e18 ? static_cast<int64_t>(arg.number) : 0;
}
int64_t Of(const TraceEventArg& arg, int axis) {
  return std::abs(arg.list[axis]) < 1e18 ? static_cast<int64_t>(arg.list[axis]) : 0;
}

// A span of one thread. Times are in the file's own ns until all are known.
struct Span {
  uint32_t track;
  uint32_t region;
  int64_t start_ns;
  int64_t duration_ns;
};

struct Thread {
  uint32_t process;
  std::string name;    // given by metadata
  std::string shown;   // tid as written
  std::vector<std::pair<uint32_t, int64_t>> begun;   // region and time of "B" without its "E"
};

struct Kernel {
  std::string mangled;
  uint32_t process;
  int64_t device, context, stream, correlation, start_ns, duration_ns;
  int64_t grid[3], block[3];
  int64_t registers, shared_bytes;
  double occupancy_pct;
};
struct Copy {
  std::string kind;
  uint32_t process;
  int64_t device, context, stream, correlation, start_ns, duration_ns, size_bytes;
};

// "Memcpy HtoD (Pinned -> Device)" → HtoD; "Memset (Device)" → memset.
std::string CopyKind(const std::string& name) {
  if (absl::StartsWith(name, "Memset")) return "memset";
  for (const char* kind : {"HtoD", "DtoH", "DtoD", "HtoH", "PtoP"}) {
    if (absl::StrContains(name, kind)) return kind;
  }
  return name;
}

class Importer {
 public:
  explicit Importer(const TraceEventsLimits& limits) : limits_(limits) {}

  void Take(const TraceEvent& event) {
    ++events_;
    if (event.phase == "M") return TakeMetadata(event);
    if (event.phase == "X") return TakeComplete(event);
    if (event.phase == "B" || event.phase == "E") return TakeHalf(event);
    if (event.phase.empty()) return;
    const std::string phase = event.phase.substr(0, 8);
    if (other_phases_.size() < kMaxNotes || other_phases_.contains(phase)) ++other_phases_[phase];
  }

  const absl::Status& wrong() const { return wrong_; }

  absl::StatusOr<TraceEventsImport> Finish(const formats::TraceEventsFile& file) {
    RETURN_IF_ERROR(wrong_);
    if (spans_.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the trace has no complete event (\"ph\": \"X\") and no pair of B and E among its ", events_,
          " events"));
    }
    TraceEventsImport out;
    int64_t first = std::numeric_limits<int64_t>::max();
    for (const Span& span : spans_) first = std::min(first, span.start_ns);
    if (!file.devices.empty()) {
      out.device = chunk::CleanName(file.devices[0], kMaxNameBytes);
    }
    // Newer files count from a base, older ones from 1970.
    if (file.base_time_ns > 0) {
      out.started_unix_ns = file.base_time_ns + static_cast<uint64_t>(std::max<int64_t>(first, 0));
    } else if (first > int64_t{1'000'000'000} * 1'000'000'000) {
      out.started_unix_ns = static_cast<uint64_t>(first);
    }
    Collected& collected = out.collected;
    collected.events = spans_.size();
    AddNotes(&collected);
    if (!kernels_.empty()) collected.tables.push_back(LaunchTable(first));
    if (!copies_.empty()) collected.tables.push_back(CopyTable(first));
    RETURN_IF_ERROR(Encode(first, &collected), "encoding the trace");
    return out;
  }

 private:
  uint32_t Process(const std::string& pid) {
    return processes_.emplace(pid, static_cast<uint32_t>(processes_.size())).first->second;
  }

  // UINT32_MAX: there are max_tracks already.
  uint32_t ThreadOf(const TraceEvent& event) {
    const auto [at, added] =
        tracks_.try_emplace({event.process, event.thread}, static_cast<uint32_t>(threads_.size()));
    if (!added) return at->second;
    if (threads_.size() >= limits_.max_tracks) {
      tracks_.erase(at);
      return UINT32_MAX;
    }
    threads_.push_back({.process = Process(event.process), .shown = event.thread});
    return at->second;
  }

  uint32_t Region(const std::string& name, bool kernel) {
    const auto known = regions_.find(name);
    if (known != regions_.end()) return known->second;
    if (regions_.size() >= limits_.max_regions) {
      ++more_names_;
      if (more_ == UINT32_MAX) {
        more_ = static_cast<uint32_t>(region_names_.size());
        region_names_.push_back(kMoreNames);
      }
      return more_;
    }
    const auto id = static_cast<uint32_t>(region_names_.size());
    regions_.emplace(name, id);
    region_names_.push_back(kernel ? formats::Demangle(name) : name.empty() ? "(no name)" : name);
    return id;
  }

  void Add(uint32_t track, uint32_t region, int64_t start_ns, int64_t duration_ns) {
    if (track == UINT32_MAX || spans_.size() >= limits_.max_instances) {
      ++over_limit_;
      return;
    }
    spans_.push_back({track, region, start_ns, duration_ns});
  }

  void Wrong(const TraceEvent& event, absl::string_view what) {
    if (!wrong_.ok()) return;
    wrong_ = absl::InvalidArgumentError(
        absl::StrCat("traceEvents[", events_ - 1, "] (\"", chunk::CleanName(event.name, 80), "\"): ", what));
  }

  void TakeMetadata(const TraceEvent& event) {
    if (event.args[kName].text.empty()) return;
    std::string name = chunk::CleanName(event.args[kName].text, kMaxNameBytes);
    if (event.name == "thread_name") {
      if (const uint32_t track = ThreadOf(event); track != UINT32_MAX) threads_[track].name = std::move(name);
    } else if (event.name == "process_name") {
      process_names_[Process(event.process)] = std::move(name);
    }
  }

  void TakeComplete(const TraceEvent& event) {
    if (event.dur_thousandths < 0) return Wrong(event, "dur is negative");
    if (event.ts_thousandths < 0) return Wrong(event, "ts is negative");
    const std::string category = Lower(event.category);
    const bool kernel = category == "kernel";
    Add(ThreadOf(event), Region(event.name, kernel), event.ts_thousandths, event.dur_thousandths);
    if (kernel) return TakeKernel(event);
    if (category == "gpu_memcpy" || category == "gpu_memset" || category == "memcpy" || category == "memset") {
      TakeCopy(event);
    }
  }

  void TakeHalf(const TraceEvent& event) {
    if (event.ts_thousandths < 0) return Wrong(event, "ts is negative");
    const uint32_t track = ThreadOf(event);
    if (track == UINT32_MAX) {
      ++over_limit_;
      return;
    }
    Thread& thread = threads_[track];
    if (event.phase == "B") {
      if (thread.begun.size() >= limits_.max_depth) {
        ++over_limit_;
      } else {
        thread.begun.emplace_back(Region(event.name, false), event.ts_thousandths);
      }
      return;
    }
    if (thread.begun.empty()) {
      ++unbalanced_;
      return;
    }
    const auto [region, began] = thread.begun.back();
    thread.begun.pop_back();
    if (event.ts_thousandths < began) return Wrong(event, "it ends before it began");
    Add(track, region, began, event.ts_thousandths - began);
  }

  void TakeKernel(const TraceEvent& event) {
    if (kernels_.size() >= table::kMaxRows) return;
    Kernel& kernel = kernels_.emplace_back();
    kernel.mangled = event.name;
    kernel.process = Process(event.process);
    kernel.device = Whole(event.args[kDevice]);
    kernel.context = Whole(event.args[kContext]);
    kernel.stream = Whole(event.args[kStream]);
    kernel.correlation = Whole(event.args[kCorrelation]);
    kernel.start_ns = event.ts_thousandths;
    kernel.duration_ns = event.dur_thousandths;
    for (int axis = 0; axis < 3; ++axis) {
      kernel.grid[axis] = Of(event.args[kGrid], axis);
      kernel.block[axis] = Of(event.args[kBlock], axis);
    }
    kernel.registers = Whole(event.args[kRegisters]);
    kernel.shared_bytes = Whole(event.args[kShared]);
    kernel.occupancy_pct = event.args[kOccupancy].there ? event.args[kOccupancy].number
                                                        : std::numeric_limits<double>::quiet_NaN();
  }

  void TakeCopy(const TraceEvent& event) {
    if (copies_.size() >= table::kMaxRows) return;
    copies_.push_back({.kind = CopyKind(event.name),
                       .process = Process(event.process),
                       .device = Whole(event.args[kDevice]),
                       .context = Whole(event.args[kContext]),
                       .stream = Whole(event.args[kStream]),
                       .correlation = Whole(event.args[kCorrelation]),
                       .start_ns = event.ts_thousandths,
                       .duration_ns = event.dur_thousandths,
                       .size_bytes = Whole(event.args[kBytes])});
  }

  static std::string Lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
  }

  v1::DataTable LaunchTable(int64_t first) {
    std::stable_sort(kernels_.begin(), kernels_.end(),
                     [](const Kernel& a, const Kernel& b) { return a.start_ns < b.start_ns; });
    table::Builder out("launches");
    const auto launch = out.Int("launch"), process = out.Int("process");
    const auto kernel = out.Text("kernel"), mangled = out.Text("mangled");
    const auto device = out.Int("device"), context = out.Int("context"), stream = out.Int("stream"),
               correlation = out.Int("correlation"), start = out.Int("start_ns", "ns"),
               end = out.Int("end_ns", "ns"), duration = out.Int("duration_ns", "ns");
    const table::Builder::IntColumn grid[] = {out.Int("grid_x"), out.Int("grid_y"), out.Int("grid_z")};
    const table::Builder::IntColumn block[] = {out.Int("block_x"), out.Int("block_y"), out.Int("block_z")};
    const auto registers = out.Int("registers"), shared = out.Int("shared_bytes", "bytes");
    const auto occupancy = out.Number("occupancy_pct", "%");
    for (size_t i = 0; i < kernels_.size(); ++i) {
      const Kernel& one = kernels_[i];
      out.Set(launch, static_cast<int64_t>(i));
      out.Set(process, one.process);
      out.Set(kernel, formats::Demangle(one.mangled));
      out.Set(mangled, one.mangled);
      out.Set(device, one.device);
      out.Set(context, one.context);
      out.Set(stream, one.stream);
      out.Set(correlation, one.correlation);
      out.Set(start, one.start_ns - first);
      out.Set(end, one.start_ns - first + one.duration_ns);
      out.Set(duration, one.duration_ns);
      for (int axis = 0; axis < 3; ++axis) {
        out.Set(grid[axis], one.grid[axis]);
        out.Set(block[axis], one.block[axis]);
      }
      out.Set(registers, one.registers);
      out.Set(shared, one.shared_bytes);
      out.Set(occupancy, one.occupancy_pct);
      out.EndRow();
    }
    return out.Finish();
  }

  v1::DataTable CopyTable(int64_t first) {
    std::stable_sort(copies_.begin(), copies_.end(),
                     [](const Copy& a, const Copy& b) { return a.start_ns < b.start_ns; });
    table::Builder out("copies");
    const auto process = out.Int("process");
    const auto kind = out.Text("kind");
    const auto device = out.Int("device"), context = out.Int("context"), stream = out.Int("stream"),
               correlation = out.Int("correlation"), start = out.Int("start_ns", "ns"),
               end = out.Int("end_ns", "ns"), duration = out.Int("duration_ns", "ns"),
               size = out.Int("size_bytes", "bytes");
    for (const Copy& one : copies_) {
      out.Set(process, one.process);
      out.Set(kind, one.kind);
      out.Set(device, one.device);
      out.Set(context, one.context);
      out.Set(stream, one.stream);
      out.Set(correlation, one.correlation);
      out.Set(start, one.start_ns - first);
      out.Set(end, one.start_ns - first + one.duration_ns);
      out.Set(duration, one.duration_ns);
      out.Set(size, one.size_bytes);
      out.EndRow();
    }
    return out.Finish();
  }

  // "python thread 12", "GPU 0 stream 7": the thread's name, else its process's and its number.
  std::string RoleOf(const Thread& thread) const {
    if (!thread.name.empty()) return thread.name;
    const auto process = process_names_.find(thread.process);
    return absl::StrCat(process == process_names_.end() ? "thread" : process->second, " ",
                        chunk::CleanName(thread.shown, 128));
  }

  absl::Status Encode(int64_t first, Collected* collected) {
    chunk::TraceInfo info;
    const chunk::Limits limits;
    absl::flat_hash_map<std::string, uint32_t> roles;
    for (size_t i = 0; i < threads_.size(); ++i) {
      std::string name = RoleOf(threads_[i]);
      auto role = roles.find(name);
      if (role == roles.end() && roles.size() + 1 >= limits.max_roles) {
        name = "(more threads)";
        role = roles.find(name);
      }
      if (role == roles.end()) {
        role = roles.emplace(name, static_cast<uint32_t>(info.roles.size())).first;
        info.roles.push_back(name);
      }
      info.tracks.push_back({.launch = threads_[i].process, .warp = static_cast<uint32_t>(i),
                             .role = role->second});
    }
    info.regions = region_names_;
    std::vector<chunk::Instance> instances;
    instances.reserve(spans_.size());
    for (const Span& span : spans_) {
      instances.push_back({span.track, span.region, static_cast<uint64_t>(span.start_ns - first),
                           static_cast<uint64_t>(span.duration_ns)});
    }
    spans_ = {};
    return chunk::EncodeTrace(std::move(info), std::move(instances),
                              [collected](chunk::EncodedChunk encoded) {
                                collected->chunks.push_back(std::move(encoded.bytes));
                                return absl::OkStatus();
                              });
  }

  void AddNotes(Collected* collected) const {
    const auto note = [collected](std::string text) { collected->notes.push_back(std::move(text)); };
    if (over_limit_ > 0) {
      note(absl::StrCat(over_limit_, " events were left out: a pass may hold ", limits_.max_instances,
                        " events of ", limits_.max_tracks, " threads"));
    }
    if (more_names_ > 0) {
      note(absl::StrCat(more_names_, " events have names beyond the first ", limits_.max_regions,
                        "; they are shown as \"", kMoreNames, "\""));
    }
    uint64_t open = unbalanced_;
    for (const Thread& thread : threads_) open += thread.begun.size();
    if (open > 0) note(absl::StrCat(open, " begins or ends (B, E) had no counterpart and were left out"));
    for (const auto& [phase, count] : other_phases_) {
      // Arrows and counters are no spans.
      note(absl::StrCat(count, " events of phase \"", chunk::CleanName(phase, 8), "\" were left out"));
    }
    if (collected->notes.size() > kMaxNotes) collected->notes.resize(kMaxNotes);
  }

  static constexpr size_t kMaxNotes = 32;

  const TraceEventsLimits limits_;
  absl::Status wrong_;
  uint64_t events_ = 0, over_limit_ = 0, more_names_ = 0, unbalanced_ = 0;
  std::map<std::string, uint64_t> other_phases_;
  absl::flat_hash_map<std::string, uint32_t> processes_;   // by pid
  absl::flat_hash_map<uint32_t, std::string> process_names_;
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> tracks_;   // pid, tid
  std::vector<Thread> threads_;
  absl::flat_hash_map<std::string, uint32_t> regions_;
  std::vector<std::string> region_names_;
  uint32_t more_ = UINT32_MAX;
  std::vector<Span> spans_;
  std::vector<Kernel> kernels_;
  std::vector<Copy> copies_;
};

}  // namespace

absl::StatusOr<TraceEventsImport> ImportTraceEventsUntrusted(std::string_view text,
                                                             const TraceEventsLimits& limits) {
  Importer importer(limits);
  formats::TraceEventsFile file;
  RETURN_IF_ERROR(formats::ReadTraceEventsUntrusted(
      text, kArgNames, [&importer](const TraceEvent& event) { importer.Take(event); }, &file));
  return importer.Finish(file);
}

}  // namespace sextant::backends::import
