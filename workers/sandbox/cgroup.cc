#include "workers/sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sextant::sandbox {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrefix = "sextant.";
constexpr const char* kOwnLeaf = "sextant-worker";  // v2: where the worker itself moves
constexpr int kRemoveTries = 100;                   // 1 ms apart: a dying process leaves late

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool CanMakeIn(const std::string& parent) {
  return access(parent.c_str(), W_OK | X_OK) == 0 &&
         // Root may write where the mount is read-only only in appearance: really try.
         [&] {
           const std::string probe = absl::StrCat(parent, "/", kPrefix, getpid(), ".probe");
           if (mkdir(probe.c_str(), 0755) != 0 && errno != EEXIST) return false;
           rmdir(probe.c_str());
           return true;
         }();
}

std::vector<pid_t> Members(const std::string& directory) {
  std::vector<pid_t> pids;
  for (absl::string_view line : absl::StrSplit(
           ReadSmallFile(absl::StrCat(directory, "/cgroup.procs"), 1 << 20), '\n')) {
    pid_t pid;
    if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
  }
  return pids;
}

// The number behind `key` in "key value" lines.
uint64_t Field(const std::string& text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t value;
    if (words.size() >= 2 && words[0] == key && absl::SimpleAtoi(words[1], &value)) return value;
  }
  return 0;
}

bool RemoveDirectory(const std::string& directory) {
  for (int i = 0; i < kRemoveTries; ++i) {
    if (rmdir(directory.c_str()) == 0 || errno == ENOENT) return true;
    for (pid_t pid : Members(directory)) kill(pid, SIGKILL);
    poll(nullptr, 0, 1);
  }
  return false;
}

struct MountPoint {
  std::string root, path, type;
  std::set<std::string> options;
};

std::vector<MountPoint> CgroupMounts(const std::string& mountinfo) {
  std::vector<MountPoint> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<std::string> left = absl::StrSplit(halves[0], ' ');
    const std::vector<std::string> right = absl::StrSplit(halves[1], ' ');
    if (left.size() < 5 || right.size() < 3 || !absl::StartsWith(right[0], "cgroup")) continue;
    mounts.push_back({left[3], left[4], right[0], absl::StrSplit(right[2], ',')});
  }
  return mounts;
}

// Our own group in the hierarchy of `controller` (empty: v2), as a directory that exists.
std::string OwnDirectory(const MountPoint& mount, const std::string& self,
                         const std::string& controller) {
  for (absl::string_view line : absl::StrSplit(self, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<std::string> names = absl::StrSplit(parts[1], ',');
    if (std::find(names.begin(), names.end(), controller) == names.end()) continue;
    std::string path = parts[2];
    if (mount.root != "/" && absl::StartsWith(path, mount.root)) path.erase(0, mount.root.size());
    const std::string full = path == "/" ? mount.path : mount.path + path;
    if (Exists(full)) return full;
  }
  return mount.path;  // inside a container the path can be the outer one
}

}  // namespace

uint64_t PidNamespace() {
  struct stat info;
  return stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

uint64_t ProcessStart(pid_t pid) {
  const std::string stat = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
  const size_t end = stat.rfind(')');  // the name before it may hold anything
  if (end == std::string::npos) return 0;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(end + 1), ' ', absl::SkipEmpty());
  uint64_t start = 0;
  if (fields.size() > 19) (void)absl::SimpleAtoi(fields[19], &start);
  return start;
}

Cgroup::Cgroup(Controls controls, bool v2, std::vector<std::string> directories)
    : controls_(controls), v2_(v2), directories_(std::move(directories)) {}

Cgroup::~Cgroup() {
  for (const std::string& directory : directories_) RemoveDirectory(directory);
}

std::string Cgroup::Find(const char* file) const {
  for (const std::string& directory : directories_) {
    std::string path = absl::StrCat(directory, "/", file);
    if (Exists(path)) return path;
  }
  return "";
}

absl::StatusOr<Cgroup::Doors> Cgroup::OpenForEntry() const {
  Doors doors;
  for (const std::string& directory : directories_) {
    const std::string path = absl::StrCat(directory, v2_ ? "/cgroup.procs" : "/tasks");
    doors.files.emplace_back(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!doors.files.back().valid()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("opening ", path, ": ", strerror(errno)));
    }
    if (v2_) doors.directory = Fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  return doors;
}

Cgroup::Counts Cgroup::Read() const {
  Counts counts;
  if (controls_.memory) {
    counts.oom_kills =
        Field(ReadSmallFile(Find(v2_ ? "memory.events" : "memory.oom_control")), "oom_kill");
  }
  if (controls_.pids) counts.pids_refused = Field(ReadSmallFile(Find("pids.events")), "max");
  return counts;
}

std::optional<double> Cgroup::CpuSeconds() const {
  if (v2_) {
    const std::string text = ReadSmallFile(Find("cpu.stat"));
    if (text.empty()) return std::nullopt;
    return static_cast<double>(Field(text, "usage_usec")) / 1e6;
  }
  if (!controls_.cpuacct) return std::nullopt;
  uint64_t ns;
  if (!absl::SimpleAtoi(ReadSmallFile(Find("cpuacct.usage")), &ns)) return std::nullopt;
  return static_cast<double>(ns) / 1e9;
}

std::optional<uint64_t> Cgroup::PeakMemoryBytes() const {
  if (!controls_.memory) return std::nullopt;
  uint64_t bytes;
  if (!absl::SimpleAtoi(ReadSmallFile(Find(v2_ ? "memory.peak" : "memory.max_usage_in_bytes")),
                        &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

bool Cgroup::KillAll() const {
  bool empty = true;
  for (const std::string& directory : directories_) {
    if (v2_ && WriteSmallFile(directory + "/cgroup.kill", "1")) {
      empty = empty && Members(directory).empty();
      continue;
    }
    for (pid_t pid : Members(directory)) {
      kill(pid, SIGKILL);
      empty = false;
    }
  }
  return empty;
}

CgroupMaker CgroupMaker::Find() {
  return Find(ReadSmallFile("/proc/self/mountinfo", 1 << 20), ReadSmallFile("/proc/self/cgroup"));
}

CgroupMaker CgroupMaker::Find(const std::string& mountinfo, const std::string& self) {
  CgroupMaker maker;
  maker.TryV2(mountinfo, self);
  if (!maker.available()) maker.TryV1(mountinfo, self);
  if (!maker.available() && maker.why_not_.empty()) {
    maker.why_not_ = CgroupMounts(mountinfo).empty()
                         ? "no cgroup file system is mounted"
                         : "no cgroup with a memory or pids controller may be made by this user";
  }
  return maker;
}

// Version 2 lets a group either hold processes or hand controllers to groups below it. So the
// worker's own group can be used when the worker is alone in it (it then moves into a leaf of its
// own, as under systemd with Delegate=yes), and the root group when we are root.
void CgroupMaker::TryV2(const std::string& mountinfo, const std::string& self) {
  for (const MountPoint& mount : CgroupMounts(mountinfo)) {
    if (mount.type != "cgroup2") continue;
    std::vector<std::string> candidates = {OwnDirectory(mount, self, "")};
    // After an earlier start of ours, the worker is in the leaf: its parent is the one.
    if (absl::EndsWith(candidates[0], absl::StrCat("/", kOwnLeaf))) {
      candidates[0] = fs::path(candidates[0]).parent_path();
    }
    if (candidates[0] != mount.path) candidates.push_back(mount.path);
    for (const std::string& parent : candidates) {
      if (!CanMakeIn(parent)) continue;
      const std::set<std::string> offered =
          absl::StrSplit(absl::StripAsciiWhitespace(ReadSmallFile(parent + "/cgroup.controllers")),
                         ' ', absl::SkipEmpty());
      if (offered.count("memory") == 0 && offered.count("pids") == 0) continue;
      const std::string control = parent + "/cgroup.subtree_control";
      for (const char* controller : {"memory", "pids", "cpu"}) {
        const std::set<std::string> given = absl::StrSplit(
            absl::StripAsciiWhitespace(ReadSmallFile(control)), ' ', absl::SkipEmpty());
        if (offered.count(controller) == 0 || given.count(controller) > 0) continue;
        if (WriteSmallFile(control, absl::StrCat("+", controller))) continue;
        const std::vector<pid_t> members = Members(parent);
        if (members.size() == 1 && members[0] == getpid()) {
          const std::string leaf = absl::StrCat(parent, "/", kOwnLeaf);
          mkdir(leaf.c_str(), 0755);
          WriteSmallFile(leaf + "/cgroup.procs", "0");
          WriteSmallFile(control, absl::StrCat("+", controller));
        }
      }
      const std::set<std::string> given = absl::StrSplit(
          absl::StripAsciiWhitespace(ReadSmallFile(control)), ' ', absl::SkipEmpty());
      Hierarchy h{parent, given.count("memory") > 0, given.count("pids") > 0,
                  given.count("cpu") > 0, true};
      if (!h.memory && !h.pids) {
        why_not_ = absl::StrCat("the cgroup ", parent,
                                " does not hand its controllers down (other processes live in it)");
        continue;
      }
      v2_ = true;
      why_not_.clear();
      controls_ = {h.memory, h.pids, h.cpu, h.cpuacct};
      parents_ = {parent};
      hierarchies_ = {h};
      return;
    }
  }
}

void CgroupMaker::TryV1(const std::string& mountinfo, const std::string& self) {
  for (const MountPoint& mount : CgroupMounts(mountinfo)) {
    if (mount.type != "cgroup") continue;
    Hierarchy h;
    std::string controller;
    for (const char* name : {"memory", "pids", "cpu", "cpuacct"}) {
      if (mount.options.count(name) > 0) controller = name;
    }
    if (controller.empty()) continue;
    h.memory = mount.options.count("memory") > 0 && !controls_.memory;
    h.pids = mount.options.count("pids") > 0 && !controls_.pids;
    h.cpu = mount.options.count("cpu") > 0 && !controls_.cpu;
    h.cpuacct = mount.options.count("cpuacct") > 0 && !controls_.cpuacct;
    if (!h.memory && !h.pids && !h.cpu && !h.cpuacct) continue;
    h.parent = OwnDirectory(mount, self, controller);
    if (!CanMakeIn(h.parent)) continue;
    controls_.memory |= h.memory;
    controls_.pids |= h.pids;
    controls_.cpu |= h.cpu;
    controls_.cpuacct |= h.cpuacct;
    parents_.push_back(h.parent);
    if (h.parent != mount.path) parents_.push_back(mount.path);  // swept too
    hierarchies_.push_back(std::move(h));
  }
}

absl::StatusOr<std::unique_ptr<Cgroup>> CgroupMaker::Make(const std::string& name,
                                                          const v1::ResourceLimits& limits,
                                                          int own_processes) const {
  if (!available()) return nullptr;
  std::string safe = name;
  for (char& c : safe) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  }
  if (safe.size() > 100) safe.resize(100);
  const std::string leaf =
      absl::StrCat(kPrefix, getpid(), ".", ProcessStart(getpid()), ".", PidNamespace(), ".", safe);
  std::vector<std::string> directories;
  std::string failed;
  for (const Hierarchy& h : hierarchies_) {
    directories.push_back(absl::StrCat(h.parent, "/", leaf));
    if (mkdir(directories.back().c_str(), 0755) != 0) {
      failed = absl::StrCat("making ", directories.back(), ": ", strerror(errno));
      directories.pop_back();
      break;
    }
  }
  auto group = std::make_unique<Cgroup>(controls_, v2_, std::move(directories));
  for (size_t i = 0; i < group->directories().size() && failed.empty(); ++i) {
    const std::string& directory = group->directories()[i];
    const Hierarchy& h = hierarchies_[i];
    auto set = [&](const char* file, const std::string& value) {
      if (failed.empty() && !WriteSmallFile(absl::StrCat(directory, "/", file), value)) {
        failed = absl::StrCat("writing \"", value, "\" to ", directory, "/", file, ": ",
                              strerror(errno));
      }
    };
    const std::string memory = absl::StrCat(limits.memory_bytes());
    if (h.memory && limits.memory_bytes() > 0) {
      set(v2_ ? "memory.max" : "memory.limit_in_bytes", memory);
      // Swap would hide the limit. These files are absent where there is no swap accounting.
      if (v2_) {
        WriteSmallFile(directory + "/memory.swap.max", "0");
      } else {
        WriteSmallFile(directory + "/memory.memsw.limit_in_bytes", memory);
      }
    }
    if (h.pids && limits.pids() > 0) set("pids.max", absl::StrCat(limits.pids() + own_processes));
    if (h.cpu && limits.cpu_cores() > 0) {
      const auto quota_us = std::max<int64_t>(1000, std::llround(limits.cpu_cores() * 100000));
      if (v2_) {
        set("cpu.max", absl::StrCat(quota_us, " 100000"));
      } else {
        set("cpu.cfs_period_us", "100000");
        set("cpu.cfs_quota_us", absl::StrCat(quota_us));
      }
    }
  }
  if (!failed.empty()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the run's cgroup: ", failed,
                     "; check that the worker's own cgroup is not limited more tightly"));
  }
  return group;
}

int CgroupMaker::Sweep() const {
  int swept = 0;
  const uint64_t own = PidNamespace();
  for (const std::string& parent : parents_) {
    std::error_code error;
    std::vector<std::string> dead;
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename();
      if (!absl::StartsWith(name, kPrefix)) continue;
      const std::vector<std::string> parts = absl::StrSplit(name, '.');
      pid_t pid;
      uint64_t start;
      if (parts.size() < 5 || !absl::SimpleAtoi(parts[1], &pid) ||
          !absl::SimpleAtoi(parts[2], &start) || parts[3] != absl::StrCat(own) ||
          ProcessStart(pid) == start) {
        continue;
      }
      dead.push_back(it->path());
    }
    for (const std::string& directory : dead) {
      if (RemoveDirectory(directory)) ++swept;
    }
  }
  return swept;
}

}  // namespace sextant::sandbox
