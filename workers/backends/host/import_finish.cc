// The second half of HostImporter: numbering, sums, and the notes.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "workers/backends/host/importer.h"

namespace sextant::backends::host {
namespace {

const char* UnitOf(const std::string& counter) {
  if (counter == "cycles" || counter == "ref-cycles") return "cycles";
  if (counter == "instructions" || counter == "branches" || counter == "branch-misses") {
    return "instructions";
  }
  if (counter == "task-clock") return "ns";
  return "events";
}

// What a newcomer should know about a refusal.
std::string WhyRefused(int error) {
  switch (error) {
    case ENOENT:
    case EOPNOTSUPP:
    case ENODEV:
      return "this machine offers no such hardware counter, as most virtual machines do not";
    case EACCES:
    case EPERM:
      return "the kernel or the sandbox forbids it; kernel.perf_event_paranoid must be 2 or less";
    case EINVAL:
      return "no such counter, or it does not fit into one group with the others";
    case EMFILE:
      return "too many open files: each thread needs one for each hardware counter";
    case ENOSYS:
      return "the kernel or the sandbox has no perf_event_open";
    default:
      return "perf_event_open failed";
  }
}

}  // namespace

// Launches are processes in the order of their begin, warps threads in the order of their creation.
void HostImporter::NumberTracks(Imported* out) {
  std::vector<size_t> by_begin(processes_.size());
  std::iota(by_begin.begin(), by_begin.end(), 0);
  std::sort(by_begin.begin(), by_begin.end(), [this](size_t a, size_t b) {
    const Process& x = processes_[a];
    const Process& y = processes_[b];
    return std::tie(x.first_ns, x.pid, x.file_index) < std::tie(y.first_ns, y.pid, y.file_index);
  });
  // Libraries with a recorder of their own belong to the process that loaded them.
  std::vector<uint32_t> launch(processes_.size());
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> launches;
  for (const size_t process : by_begin) {
    const auto key = std::make_pair(processes_[process].pid, processes_[process].image);
    launch[process] = launches.emplace(key, launches.size()).first->second;
  }
  out->processes = launches.size();
  if (!by_begin.empty()) {
    const Process& first = processes_[by_begin[0]];
    out->trace.kernel = first.program;
    out->clock_hz = 1e9 / first.ns_per_tick;
  }

  std::vector<uint32_t> order(tracks_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const auto key = [&](uint32_t i) {
      const PendingTrack& t = tracks_[i];
      return std::make_tuple(launch[t.process], t.tid, processes_[t.process].file_index, t.thread,
                             i);
    };
    return key(a) < key(b);
  });
  std::vector<uint32_t> renumbered(tracks_.size());
  for (uint32_t i = 0; i < order.size(); ++i) {
    chunk::Track track = tracks_[order[i]].track;
    track.launch = launch[tracks_[order[i]].process];
    const bool same_process = i > 0 && out->trace.tracks.back().launch == track.launch;
    track.warp = same_process ? out->trace.tracks.back().warp + 1 : 0;
    renumbered[order[i]] = i;
    out->trace.tracks.push_back(track);
  }
  for (chunk::Instance& instance : out->instances) instance.track = renumbered[instance.track];
  out->threads = out->trace.tracks.size();
}

void HostImporter::FinishCounters(Imported* out) {
  for (const auto& [counter, health] : counter_health_) {
    for (const auto& [error, threads] : health.refusals) {
      Note(absl::StrCat("counter ", counter, " was not recorded in ", threads, " thread",
                        threads == 1 ? "" : "s", ": ", WhyRefused(error), " (", strerror(error),
                        ")"));
    }
  }
  for (const auto& [key, sum] : counter_sums_) {
    const CounterHealth& health = counter_health_[key.first];
    if (!health.counted || !health.refusals.empty()) continue;
    v1::Counter& counter = out->counters.emplace_back();
    counter.set_name(key.first);
    counter.set_unit(UnitOf(key.first));
    counter.set_role(key.second.first);
    counter.set_region(key.second.second);
    counter.set_value(sum.value);
    counter.set_instances(sum.instances);
  }
}

Imported HostImporter::Finish() {
  if (out_.trace.roles.empty()) out_.trace.roles.push_back("");
  NumberTracks(&out_);
  FinishCounters(&out_);
  if (out_.dropped > 0) {
    Note(absl::StrCat(out_.dropped,
                      " records were overwritten because buffers were full; the last ",
                      "ones of each thread were kept. Option records=N makes buffers larger"));
  }
  out_.dropped += over_limit_;
  if (over_limit_ > 0) {
    Note(absl::StrCat(over_limit_, " scopes were left out: a pass may hold ", limits_.max_instances,
                      " scopes, ", limits_.max_tracks, " threads and ", limits_.max_regions,
                      " names of regions"));
  }
  if (short_of_disk_)
    Note("buffers are smaller than asked for: the disk was full, or the program hid the directory");
  if (unrecorded_ > 0) {
    Note(absl::StrCat(unrecorded_, " threads were not recorded: no buffer was free, or no disk ",
                      "space. Option threads=N allows more at one time"));
  }
  if (names_refused_ > 0) {
    Note(absl::StrCat(names_refused_,
                      " names of regions or roles were not recorded: a process may ", "have 4095"));
  }
  if (ends_without_begin_ > 0 || begins_without_end_ > 0) {
    Note(absl::StrCat("scopes were not balanced: ", ends_without_begin_, " ends without a begin, ",
                      begins_without_end_, " begins without an end; these were left out"));
  }
  if (open_named_ > limits_.max_open_named) {
    Note(absl::StrCat(open_named_ - limits_.max_open_named,
                      " more threads were inside a scope when their process ended"));
  }
  if (backwards_ > 0) {
    Note(absl::StrCat("the clock went backwards in ", backwards_, " scopes; they count as 0 ns"));
  }
  if (malformed_ > 0) {
    Note(absl::StrCat(malformed_, " records were malformed and left out"));
  }
  return std::move(out_);
}

}  // namespace sextant::backends::host
