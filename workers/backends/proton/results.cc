#include "workers/backends/proton/results.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "workers/backends/injected/launches.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/formats/kernel_name.h"
#include "workers/backends/proton/chrome_trace.h"
#include "workers/backends/proton/hatchet.h"
#include "workers/backends/proton/launch_log.h"
#include "workers/backends/proton/raw_buffer.h"
#include "workers/backends/proton/recording.h"
#include "workers/backends/result_file.h"

namespace sextant::backends::proton {
namespace {

constexpr size_t kMaxFiles = 1 << 20;
constexpr size_t kMaxProcesses = 1024;
constexpr uint64_t kMaxLogBytes = 256u << 20;
constexpr uint64_t kMaxRawBytes = uint64_t{8} << 30;
constexpr uint64_t kMaxTextBytes = uint64_t{4} << 30;
constexpr size_t kMaxHostKernels = 4'000'000;
constexpr size_t kMaxKernelBytes = 4096;
constexpr uint64_t kMaxScopeTextBytes = 4u << 20;
constexpr size_t kMaxScopeTexts = 64;
constexpr char kLogBegin[] = "launches-", kLogEnd[] = ".jsonl";   // around the process's id
constexpr size_t kMaxStemBytes = 80;
constexpr double kDefaultClockHz = 1e9;
constexpr double kClockTolerance = 0.97;   // a clock may have fallen by so much after a launch
constexpr uint64_t kMaxClockKhz = 10'000'000;

// The logs of all processes, by begin.
struct Logs {
  std::vector<LaunchLog> processes;
  std::vector<std::string> notes;
};

Logs ReadLogs(const std::filesystem::path& folder) {
  Logs logs;
  const ImportLimits limits;
  for (const std::string& name : ListResultFiles(folder, kMaxFiles)) {
    if (!absl::StartsWith(name, kLogBegin) || !absl::EndsWith(name, kLogEnd)) continue;
    if (logs.processes.size() >= kMaxProcesses) {
      logs.notes.push_back(absl::StrCat("only the first ", kMaxProcesses, " processes were read"));
      break;
    }
    absl::StatusOr<std::string> text = ReadResultFile(folder / name, kMaxLogBytes);
    if (!text.ok()) {
      logs.notes.push_back(chunk::CleanName(std::string(text.status().message()), 256));
      continue;
    }
    LaunchLog& log = logs.processes.emplace_back(ReadLaunchLogUntrusted(*text, limits.max_launches));
    absl::string_view pid = name;
    if (!absl::ConsumePrefix(&pid, kLogBegin) || !absl::ConsumeSuffix(&pid, kLogEnd) || !absl::SimpleAtoi(pid, &log.pid))
      log.pid = 0;
  }
  std::stable_sort(logs.processes.begin(), logs.processes.end(),
                   [](const LaunchLog& a, const LaunchLog& b) { return a.began_ns < b.began_ns; });
  uint64_t malformed = 0;
  for (const LaunchLog& log : logs.processes) {
    for (const std::string& note : log.notes) logs.notes.push_back(note);
    malformed += log.malformed;
  }
  if (malformed > 0) logs.notes.push_back(absl::StrCat(malformed, " lines of the log were malformed"));
  return logs;
}

std::string Demangled(const std::string& name) {
  return chunk::CleanName(formats::Demangle(name), kMaxKernelBytes);
}

// A kernel's name as the begin of a file's.
std::string FileStem(const std::string& kernel) {
  std::string stem;
  for (const char c : kernel) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (stem.size() < kMaxStemBytes) stem.push_back(plain ? c : '_');
  }
  return stem;
}

std::string HowItEnded(const v1::ExitReport& exit) {
  switch (exit.verdict()) {
    case v1::NOT_STARTED:
      return absl::StrCat("; the program was not started: ", exit.detail());
    case v1::SIGNALLED:
      return absl::StrCat("; it was ended by signal ", exit.signal());
    case v1::TIMED_OUT:
      return "; it was stopped at its time limit";
    case v1::EXITED:
      return exit.exit_code() == 0 ? "" : absl::StrCat("; it exited with code ", exit.exit_code());
    default:
      return absl::StrCat("; ", exit.detail());
  }
}

absl::Status Empty(const RunRecord& run, std::string why, const std::vector<std::string>& notes) {
  absl::StrAppend(&why, HowItEnded(run.exit));
  for (const std::string& note : notes) absl::StrAppend(&why, "; ", note);
  return absl::FailedPreconditionError(absl::StrCat("nothing was recorded: ", why));
}

absl::Status Encode(chunk::TraceInfo info, std::vector<chunk::Instance> instances,
                    Collected* collected) {
  return chunk::EncodeTrace(std::move(info), std::move(instances),
                            [collected](chunk::EncodedChunk encoded) {
                              collected->chunks.push_back(std::move(encoded.bytes));
                              return absl::OkStatus();
                            });
}

// Proton records no clock's rate. It is of use for placing instances beside each other only; durations
// stay cycles. `measured_khz` just after launches, `most_khz` what the GPU may do; 0: not known.
double ClockHz(const ClockEstimate& least, std::vector<uint64_t> measured_khz, uint64_t most_khz,
               Recording& recording) {
  const double least_hz = least.cycles_per_ns * 1e9;
  if (!measured_khz.empty()) {
    const auto middle = measured_khz.begin() + static_cast<std::ptrdiff_t>(measured_khz.size() / 2);
    std::nth_element(measured_khz.begin(), middle, measured_khz.end());
    const double measured = static_cast<double>(*middle) * 1e3;
    if (measured >= least_hz * kClockTolerance) return measured;
  }
  if (most_khz > 0) {
    recording.Note("regions are placed in time by the GPU's highest clock rate; durations are cycles");
    return std::max(static_cast<double>(most_khz) * 1e3, least_hz);
  }
  recording.Note("the clock's rate is not known: regions are placed in time by the least it can have "
                 "been; durations are cycles");
  return least_hz > 0 ? least_hz : kDefaultClockHz;
}

// The numbers that CUPTI's records give the launches of each kernel, in their order: what makes a launch
// the same in all passes. Proton's launches are matched by process, name and order: a program may start others that
// launch the kernel too.
class Numbers {
 public:
  explicit Numbers(const injected::Launches& launches) {
    for (const injected::Launch& launch : launches.launches()) {
      processes_.insert(launch.pid);
      numbers_[{launch.pid, launches.kernels()[launch.kernel].name}].push_back(static_cast<uint32_t>(launch.number));
    }
  }
  // Of the next launch of this kernel; nullopt: CUPTI saw none, or fewer.
  std::optional<uint32_t> Next(uint32_t pid, const std::string& kernel) {
    // A process that calls itself by another number: there is one alone, or none can be told.
    if (!processes_.contains(pid) && processes_.size() == 1) pid = *processes_.begin();
    const auto found = numbers_.find({pid, kernel});
    if (found == numbers_.end()) return std::nullopt;
    const size_t at = taken_[{pid, kernel}]++;
    if (at >= found->second.size()) return std::nullopt;
    return found->second[at];
  }

 private:
  using Key = std::pair<uint32_t, std::string>;   // process, kernel
  absl::flat_hash_set<uint32_t> processes_;
  absl::flat_hash_map<Key, std::vector<uint32_t>> numbers_;
  absl::flat_hash_map<Key, size_t> taken_;
};

// Reads every raw buffer that the logs name. Launches of a later process count on.
class RawImport {
 public:
  RawImport(const RunRecord& run, const std::filesystem::path& folder, Numbers numbers,
            Recording& recording)
      : run_(run), folder_(folder), numbers_(std::move(numbers)), recording_(recording) {}

  void Add(const LaunchLog& log) {
    uint32_t launches = 0;
    for (const LaunchLine& line : log.launches) {
      launches = std::max(launches, line.number + 1);
      const std::optional<uint32_t> number = numbers_.Next(log.pid, line.kernel);
      if (!line.file.empty()) AddLaunch(line, number.value_or(first_number_ + line.number));
    }
    first_number_ += launches;
    if (log.clock_khz < kMaxClockKhz) most_khz_ = std::max(most_khz_, log.clock_khz);
  }

  // A kernel never starts before the host launches it: the GPU's clock is that far ahead at most.
  void PlaceInTime() {
    if (shift_ns_.has_value()) recording_.ShiftOrigins(*shift_ns_);
  }

  double ClockHz() { return proton::ClockHz(clock_, measured_khz_, most_khz_, recording_); }
  size_t launches() const { return launches_; }

 private:
  void AddLaunch(const LaunchLine& line, uint32_t number) {
    absl::StatusOr<std::string> bytes = ReadResultFile(folder_ / line.file, kMaxRawBytes);
    if (!bytes.ok()) {
      recording_.Note(chunk::CleanName(std::string(bytes.status().message()), 256));
      return;
    }
    RawLaunch launch{.kernel = line.kernel, .number = number, .scopes = line.scopes};
    const absl::Status added = AddRawBufferUntrusted(
        absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()), launch,
        clock_, recording_);
    if (!added.ok()) {
      recording_.Note(absl::StrCat("results file ", line.file, " was left out: ", added.message()));
      return;
    }
    ++launches_;
    if (line.clock_khz > 0 && line.clock_khz < kMaxClockKhz) measured_khz_.push_back(line.clock_khz);
    if (launch.first_origin_ns == 0) return;
    const uint64_t entered =
        line.enter_ns > run_.started_monotonic_ns ? line.enter_ns - run_.started_monotonic_ns : 0;
    const auto shift = static_cast<int64_t>(entered - launch.first_origin_ns);
    shift_ns_ = shift_ns_.has_value() ? std::max(*shift_ns_, shift) : shift;
  }

  const RunRecord& run_;
  const std::filesystem::path folder_;
  Numbers numbers_;
  Recording& recording_;
  ClockEstimate clock_;
  std::vector<uint64_t> measured_khz_;
  std::optional<int64_t> shift_ns_;
  uint32_t first_number_ = 0;
  uint64_t most_khz_ = 0;
  size_t launches_ = 0;
};

// The texts in which the compiler shows the scopes of kernels with their source lines, each once, as artifacts
// "<kernel>.<n>.scopes.mlir".
void AddScopeTexts(const std::vector<LaunchLog>& logs, const std::filesystem::path& folder, Collected* collected) {
  absl::flat_hash_set<std::string> seen;
  for (const LaunchLog& log : logs) {
    for (const LaunchLine& line : log.launches) {
      if (line.text.empty()) continue;
      absl::StatusOr<std::string> text = ReadResultFile(folder / line.text, kMaxScopeTextBytes);
      if (!text.ok()) {
        collected->notes.push_back(chunk::CleanName(std::string(text.status().message()), 256));
        continue;
      }
      // Processes of one program compile the same.
      if (!seen.insert(*text).second) continue;
      if (seen.size() > kMaxScopeTexts) {
        collected->notes.push_back(absl::StrCat("scopes of more than ", kMaxScopeTexts,
                                                " kernels: the lines of the others are not kept"));
        return;
      }
      collected->made.push_back({absl::StrCat(FileStem(line.kernel), ".", seen.size() - 1, ".scopes.mlir"), "ir",
                                 *std::move(text)});
    }
  }
}

std::string WhyNoScopes(const Logs& logs, size_t launches) {
  if (logs.processes.empty()) return "Python did not come as far as starting Proton";
  size_t kernels = 0;
  for (const LaunchLog& log : logs.processes) kernels += log.launches.size() + log.left_out;
  if (kernels == 0) {
    return "no Triton or Gluon kernel that matches was launched. mode=host sees other kernels";
  }
  return absl::StrCat(
      kernels, " kernels were launched, ", launches,
      " with a buffer, but none recorded a scope: put proton.language scopes into the kernel (in "
      "Triton after pl.enable_semantic(\"triton\")), or override its TTGIR with proton.record");
}

}  // namespace

absl::StatusOr<Collected> CollectIntra(const RunRecord& run) {
  const std::filesystem::path folder = run.results_dir / kResultsFolder;
  Logs logs = ReadLogs(folder);
  Recording recording;
  for (const std::string& note : logs.notes) recording.Note(note);
  injected::Launches launches(run.assignment->workload().kernels(), run.started_monotonic_ns);
  std::vector<std::string> unread;
  RETURN_IF_ERROR(injected::ReadLaunches(run, injected::kActivityInstrument, &launches, &unread));
  for (std::string& note : unread) recording.Note(std::move(note));
  RawImport raw(run, folder, Numbers(launches), recording);
  for (const LaunchLog& log : logs.processes) raw.Add(log);
  double clock_hz = kDefaultClockHz;
  if (raw.launches() > 0) {
    raw.PlaceInTime();
    clock_hz = raw.ClockHz();
  } else if (absl::StatusOr<std::string> text =
                 ReadResultFile(folder / "intra.chrome_trace", kMaxTextBytes);
             text.ok()) {
    const absl::Status added = AddChromeTraceUntrusted(*text, recording);
    if (!added.ok()) recording.Note(std::string(added.message()));
    uint64_t most_khz = 0;
    for (const LaunchLog& log : logs.processes) {
      if (log.clock_khz < kMaxClockKhz) most_khz = std::max(most_khz, log.clock_khz);
    }
    clock_hz = ClockHz({}, {}, most_khz, recording);
  }
  Recorded recorded = recording.Finish(1e9 / clock_hz);
  if (recorded.instances.empty()) {
    return Empty(run, WhyNoScopes(logs, raw.launches()), recorded.notes);
  }
  Collected collected;
  collected.events = recorded.instances.size();
  collected.dropped = recorded.losses.overwritten + recorded.losses.over_limit;
  collected.clock_hz = recorded.clock_hz;
  collected.notes = std::move(recorded.notes);
  if (!launches.launches().empty()) collected.tables.push_back(launches.LaunchTable());
  AddScopeTexts(logs.processes, folder, &collected);
  RETURN_IF_ERROR(Encode(std::move(recorded.trace), std::move(recorded.instances), &collected),
                  "encoding the trace");
  return collected;
}

absl::StatusOr<Collected> CollectHost(const RunRecord& run) {
  const std::filesystem::path folder = run.results_dir / kResultsFolder;
  Logs logs = ReadLogs(folder);
  Collected collected;
  collected.notes = std::move(logs.notes);
  std::vector<HostKernel> kernels;
  if (absl::StatusOr<std::string> text =
          ReadResultFile(folder / "kernels.chrome_trace", kMaxTextBytes);
      text.ok()) {
    absl::StatusOr<std::vector<HostKernel>> read = ReadHostKernelsUntrusted(*text, kMaxHostKernels);
    if (read.ok()) {
      kernels = *std::move(read);
    } else {
      collected.notes.emplace_back(read.status().message());
    }
  }
  if (absl::StatusOr<std::string> text = ReadResultFile(folder / "host.hatchet", kMaxTextBytes / 8);
      text.ok()) {
    absl::StatusOr<std::vector<v1::Counter>> read = ReadHatchetUntrusted(*text);
    if (read.ok()) {
      collected.counters = *std::move(read);
      for (v1::Counter& counter : collected.counters) counter.set_kernel(Demangled(counter.kernel()));
    } else {
      collected.notes.emplace_back(read.status().message());
    }
  }
  if (kernels.empty() && collected.counters.empty()) {
    return Empty(run, logs.processes.empty() ? "Python did not come as far as starting Proton"
                                             : "no kernel ran on the GPU while Proton watched",
                 collected.notes);
  }

  table::Builder launches("launches");
  const auto number = launches.Int("launch");
  const auto process = launches.Int("process");
  const auto name = launches.Text("kernel");
  const auto mangled = launches.Text("mangled");
  const auto stream = launches.Text("stream");
  const auto start = launches.Int("start_ns", "ns");
  const auto end = launches.Int("end_ns", "ns");
  const auto duration = launches.Int("duration_ns", "ns");
  chunk::TraceInfo info;
  info.roles.clear();
  absl::flat_hash_map<std::string, uint32_t> regions, tracks;
  std::vector<chunk::Instance> instances;
  const chunk::Limits limits;
  for (size_t i = 0; i < kernels.size(); ++i) {
    HostKernel& kernel = kernels[i];
    launches.Set(mangled, kernel.kernel);
    kernel.kernel = Demangled(kernel.kernel);
    launches.Set(number, static_cast<int64_t>(i));
    launches.Set(process, 0);
    launches.Set(name, kernel.kernel);
    launches.Set(stream, kernel.stream);
    launches.Set(start, static_cast<int64_t>(kernel.start_ns));
    launches.Set(end, static_cast<int64_t>(kernel.start_ns + kernel.duration_ns));
    launches.Set(duration, static_cast<int64_t>(kernel.duration_ns));
    launches.EndRow();
    if (regions.size() >= limits.max_regions && !regions.contains(kernel.kernel)) continue;
    if (tracks.size() >= limits.max_roles && !tracks.contains(kernel.stream)) continue;
    const auto [region, new_region] = regions.emplace(kernel.kernel, regions.size());
    if (new_region) info.regions.push_back(kernel.kernel);
    const auto [track, new_track] = tracks.emplace(kernel.stream, tracks.size());
    if (new_track) {
      info.roles.push_back(absl::StrCat("stream ", kernel.stream));
      info.tracks.push_back({.warp = track->second, .role = track->second});
    }
    instances.push_back({track->second, region->second, kernel.start_ns, kernel.duration_ns});
  }
  if (!instances.empty()) {
    collected.events = instances.size();
    collected.tables.push_back(launches.Finish());
    collected.notes.push_back("times count from the first kernel's start, as Proton gives no other");
    RETURN_IF_ERROR(Encode(std::move(info), std::move(instances), &collected), "encoding the trace");
  }
  return collected;
}

}  // namespace sextant::backends::proton
