#include "workers/sandbox/watch.h"

#include <sys/statvfs.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "workers/sandbox/disk.h"
#include "workers/sandbox/processes.h"

namespace sextant::sandbox {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;
// A program can allocate some 100 MB in this time before it is noticed.
constexpr uint64_t kProcessesEvery = 50 * kMs;
constexpr uint64_t kEventsEvery = 100 * kMs;
constexpr uint64_t kDiskEvery = 200 * kMs;
// Walking may take at most this share of the time between walks.
constexpr uint64_t kWalkShare = 50;
// Others may free what the run writes, so statvfs alone is not believed for longer than this.
constexpr uint64_t kWalkAtLeastEvery = 2 * kSecond;
// One tick of the kernel's coarsest CPU clock is no progress.
constexpr double kProgressCpuS = 0.011;

// Bytes in use on the file systems of the run's directories, each counted once.
uint64_t DiskUsed(const RunSpec& spec) {
  uint64_t used = 0;
  std::set<unsigned long> seen;
  for (const auto* directory : {&spec.work_dir, &spec.results_dir}) {
    struct statvfs st;
    if (directory->empty() || statvfs(directory->c_str(), &st) != 0) continue;
    if (seen.insert(st.f_fsid).second) {
      used += static_cast<uint64_t>(st.f_blocks - st.f_bfree) * st.f_frsize;
    }
  }
  return used;
}

}  // namespace

uint64_t MonotonicNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

Watch::Watch(const RunSpec& spec, const Cgroup* cgroup, uint64_t placed_bytes)
    : spec_(spec),
      cgroup_(cgroup),
      count_processes_(cgroup == nullptr || !cgroup->controls().memory ||
                       !cgroup->controls().pids),
      placed_bytes_(placed_bytes) {}

void Watch::Started(pid_t root, uint64_t now_ns) {
  root_ = root;
  started_ns_ = last_progress_ns_ = now_ns;
  next_events_ns_ = now_ns + kEventsEvery;
  next_processes_ns_ = now_ns + kProcessesEvery;
  next_disk_ns_ = now_ns + kDiskEvery;
  next_hang_ns_ = now_ns;
  walk_due_ns_ = now_ns + kWalkAtLeastEvery;
  disk_used_at_walk_ = DiskUsed(spec_);
}

uint64_t Watch::NextNs() const {
  if (root_ == 0) return UINT64_MAX;
  uint64_t next = next_disk_ns_;
  if (cgroup_ != nullptr) next = std::min(next, next_events_ns_);
  if (count_processes_) next = std::min(next, next_processes_ns_);
  if (spec_.limits.hang_s() > 0) next = std::min(next, next_hang_ns_);
  if (spec_.limits.wall_s() > 0) {
    next = std::min(next, started_ns_ + static_cast<uint64_t>(spec_.limits.wall_s() * 1e9));
  }
  return next;
}

std::optional<Finding> Watch::Check(uint64_t now_ns) {
  if (root_ == 0) return std::nullopt;
  if (cgroup_ != nullptr && now_ns >= next_events_ns_) {
    next_events_ns_ = now_ns + kEventsEvery;
    if (auto finding = CheckCounts()) return finding;
  }
  if (count_processes_ && now_ns >= next_processes_ns_) {
    if (auto finding = CheckProcesses()) return finding;
    next_processes_ns_ = MonotonicNs() + kProcessesEvery;
  }
  if (now_ns >= next_disk_ns_) {
    if (auto finding = CheckDisk(now_ns, false)) return finding;
    next_disk_ns_ = MonotonicNs() + kDiskEvery;
  }
  if (spec_.limits.wall_s() > 0 &&
      now_ns >= started_ns_ + static_cast<uint64_t>(spec_.limits.wall_s() * 1e9)) {
    return Finding{v1::TIMED_OUT, absl::StrCat("ran longer than wall_s = ", spec_.limits.wall_s())};
  }
  if (spec_.limits.hang_s() > 0 && now_ns >= next_hang_ns_) {
    if (auto finding = CheckHang(now_ns)) return finding;
  }
  return std::nullopt;
}

std::optional<Finding> Watch::AtEnd() {
  if (cgroup_ != nullptr) {
    if (auto finding = CheckCounts()) return finding;
  }
  return CheckDisk(MonotonicNs(), true);
}

std::optional<Finding> Watch::CheckCounts() const {
  const Cgroup::Counts counts = cgroup_->Read();
  if (counts.oom_kills > 0) {
    return Finding{v1::OUT_OF_MEMORY,
                   absl::StrCat("used more than memory_bytes = ", spec_.limits.memory_bytes())};
  }
  if (counts.pids_refused > 0) {
    return Finding{v1::VIOLATION, absl::StrCat("started more processes and threads than pids = ",
                                               spec_.limits.pids())};
  }
  return std::nullopt;
}

std::optional<Finding> Watch::CheckProcesses() {
  const ProcessUse use = MeasureProcesses(root_);
  cpu_s_ = std::max(cpu_s_, use.cpu_s);
  const bool own_memory = cgroup_ == nullptr || !cgroup_->controls().memory;
  const bool own_pids = cgroup_ == nullptr || !cgroup_->controls().pids;
  const uint64_t memory = spec_.limits.memory_bytes();
  uint64_t bytes = use.resident_bytes;
  if (own_memory && memory > 0 && bytes > memory) {
    // Shared pages were counted several times: look closely before judging.
    const uint64_t exact = ProportionalBytes(use.pids);
    if (exact > 0) bytes = std::min(bytes, exact);
  }
  peak_bytes_ = std::max(peak_bytes_, bytes);
  if (own_memory && memory > 0 && bytes > memory) {
    return Finding{v1::OUT_OF_MEMORY, absl::StrCat("used more than memory_bytes = ", memory)};
  }
  if (own_pids && spec_.limits.pids() > 0 && use.threads > spec_.limits.pids()) {
    return Finding{v1::VIOLATION, absl::StrCat("started more processes and threads than pids = ",
                                               spec_.limits.pids())};
  }
  return std::nullopt;
}

std::optional<Finding> Watch::CheckDisk(uint64_t now_ns, bool last) {
  const uint64_t limit = spec_.limits.disk_bytes();
  if (limit == 0 || (spec_.work_dir.empty() && spec_.results_dir.empty())) return std::nullopt;
  const uint64_t used = DiskUsed(spec_);
  const uint64_t grown = used > disk_used_at_walk_ ? used - disk_used_at_walk_ : 0;
  if (written_at_walk_ + grown <= limit && (last || now_ns < walk_due_ns_)) return std::nullopt;

  const uint64_t before_ns = MonotonicNs();
  uint64_t bytes = 0;
  bool too_deep = false;
  for (const auto* directory : {&spec_.work_dir, &spec_.results_dir}) {
    if (directory->empty()) continue;
    const absl::StatusOr<DiskUse> use = MeasureDisk(*directory);
    if (!use.ok()) continue;
    bytes += use->bytes;
    too_deep |= use->too_deep;
  }
  uint64_t written = bytes > placed_bytes_ ? bytes - placed_bytes_ : 0;
  if (!last && written <= limit && written + grown > limit) {
    written += NamelessBytes(MeasureProcesses(root_).pids);
  }
  const uint64_t took_ns = MonotonicNs() - before_ns;
  walk_due_ns_ = before_ns + std::max(kWalkAtLeastEvery, took_ns * kWalkShare);
  written_at_walk_ = written;
  disk_used_at_walk_ = used;
  if (written > limit) {
    return Finding{v1::VIOLATION, absl::StrCat("wrote ", written, " bytes to /work and /results, "
                                               "more than disk_bytes = ", limit)};
  }
  if (too_deep) {
    return Finding{v1::VIOLATION, absl::StrCat("nested directories deeper than ", kMaxDepth,
                                               ", so disk_bytes = ", limit,
                                               " could not be checked")};
  }
  return std::nullopt;
}

std::optional<Finding> Watch::CheckHang(uint64_t now_ns) {
  double cpu = 0;
  std::optional<double> counted = cgroup_ != nullptr ? cgroup_->CpuSeconds() : std::nullopt;
  if (counted.has_value()) {
    cpu = *counted;
  } else {
    cpu = MeasureProcesses(root_).cpu_s;
  }
  // Less than before: a child's time left with it. Something happened all the same.
  if (std::fabs(cpu - cpu_at_progress_s_) >= kProgressCpuS) {
    cpu_at_progress_s_ = cpu;
    last_progress_ns_ = now_ns;
  }
  const auto hang_ns = static_cast<uint64_t>(spec_.limits.hang_s() * 1e9);
  next_hang_ns_ = now_ns + std::clamp<uint64_t>(hang_ns / 8, 20 * kMs, kSecond);
  if (now_ns - last_progress_ns_ < hang_ns) return std::nullopt;
  return Finding{v1::HANG, absl::StrCat("no output and no CPU time used for hang_s = ",
                                        spec_.limits.hang_s())};
}

uint64_t Watch::peak_bytes() const {
  const std::optional<uint64_t> counted =
      cgroup_ != nullptr ? cgroup_->PeakMemoryBytes() : std::nullopt;
  return std::max(peak_bytes_, counted.value_or(0));
}

double Watch::cpu_s() const {
  const std::optional<double> counted =
      cgroup_ != nullptr ? cgroup_->CpuSeconds() : std::nullopt;
  return std::max(cpu_s_, counted.value_or(0));
}

}  // namespace sextant::sandbox
