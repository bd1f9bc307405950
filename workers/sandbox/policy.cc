#include "workers/sandbox/policy.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {
namespace fs = std::filesystem;
namespace {

// The least of /etc with which ordinary programs start: the linker's cache, Debian's links in
// /usr/bin, the time zone, and certificate stores (Python's ssl reads them on import).
constexpr const char* kEtc[] = {"alternatives", "ld.so.cache", "localtime", "ssl/certs"};

// Made by the sandbox, or never shown, whatever a root file system holds there.
constexpr std::string_view kOwnDirectories[] = {"dev", "proc",    "sys",     "tmp",
                                                "run", "work", "results", "lost+found"};

bool OwnDirectory(const std::string& name) {
  return std::find(std::begin(kOwnDirectories), std::end(kOwnDirectories), name) !=
         std::end(kOwnDirectories);
}

bool SystemDirectory(const std::string& name) {
  return name == "usr" || name == "bin" || name == "sbin" || absl::StartsWith(name, "lib");
}

void Add(std::vector<std::string>& args, std::initializer_list<std::string> more) {
  args.insert(args.end(), more);
}

}  // namespace

absl::StatusOr<HostFacts> ReadHostFacts(const fs::path& rootfs) {
  HostFacts facts;
  const bool host = rootfs.empty();
  const fs::path root = host ? fs::path("/") : rootfs;
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    if (host ? !SystemDirectory(name) : OwnDirectory(name)) continue;
    std::error_code ignored;
    HostFacts::Entry entry{name, ""};
    if (it->is_symlink(ignored)) entry.link = fs::read_symlink(it->path(), ignored).string();
    if (entry.link.empty() && it->is_symlink(ignored)) continue;
    facts.root.push_back(std::move(entry));
  }
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("rootfs \"", root.string(), "\" cannot be read: ", error.message(),
                     "; give a directory on the worker that holds a root file system"));
  }
  std::sort(facts.root.begin(), facts.root.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (host) {
    for (const char* path : kEtc) {
      std::error_code ignored;
      if (fs::exists(fs::path("/etc") / path, ignored)) facts.etc.push_back(path);
    }
  }
  return facts;
}

std::map<std::string, std::string> WholeEnvironment(const RunSpec& spec) {
  std::map<std::string, std::string> env = spec.env;
  env.emplace("HOME", "/tmp");
  env.emplace("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  env.emplace("TMPDIR", "/tmp");
  return env;
}

std::vector<std::string> InitLimits(const RunSpec& spec) {
  const v1::ResourceLimits& limits = spec.limits;
  std::vector<std::string> out;
  // The kernel counts processes per user and namespace. A backstop for the time until the cgroup or
  // the watcher has said "violation", so it is higher than the limit itself.
  if (limits.pids() > 0) out.push_back(absl::StrCat("nproc=", 2ull * limits.pids() + 64));
  // A backstop against one huge allocation; address space is cheap and reserved generously by
  // allocators, and without measure by GPU drivers, so it is far above the limit, or absent.
  if (limits.memory_bytes() > 0 && spec.devices.empty()) {
    out.push_back(absl::StrCat("as=", 4 * limits.memory_bytes() + (64ull << 30)));
  }
  if (limits.file_bytes() > 0) out.push_back(absl::StrCat("fsize=", limits.file_bytes()));
  if (limits.open_files() > 0) out.push_back(absl::StrCat("nofile=", limits.open_files()));
  // Per process; wall_s is what normally ends a run. Without a limit on cores there is none on their
  // time.
  if (limits.wall_s() > 0 && limits.cpu_cores() > 0) {
    const double cores = std::max(1.0, limits.cpu_cores());
    out.push_back(absl::StrCat("cpu=", static_cast<int64_t>(
                                           std::ceil(limits.wall_s() * std::ceil(cores) + 5))));
  }
  return out;
}

std::vector<std::string> BwrapArguments(const RunSpec& spec, const HostFacts& facts,
                                        bool interactive) {
  std::vector<std::string> args;
  // Namespaces: user, mount, pid, ipc, uts, cgroup, and a network with nothing but loopback.
  Add(args, {"--unshare-all"});
  Add(args, {"--as-pid-1"});
  Add(args, {"--die-with-parent"});
  if (!interactive) Add(args, {"--new-session"});
  Add(args, {"--uid", absl::StrCat(kInsideUid), "--gid", absl::StrCat(kInsideGid)});
  Add(args, {"--hostname", "sextant"});
  Add(args, {"--cap-drop", "ALL"});
  Add(args, {"--seccomp", absl::StrCat(kSeccompFd)});
  Add(args, {"--json-status-fd", absl::StrCat(kStatusFd)});

  // The system, read-only.
  const fs::path root = spec.rootfs.empty() ? fs::path("/") : spec.rootfs;
  for (const HostFacts::Entry& entry : facts.root) {
    const std::string inside = absl::StrCat("/", entry.name);
    if (entry.link.empty()) {
      Add(args, {"--ro-bind", (root / entry.name).string(), inside});
    } else {
      Add(args, {"--symlink", entry.link, inside});
    }
  }
  if (spec.rootfs.empty()) {
    Add(args, {"--perms", "0755", "--dir", "/etc"});
    Add(args, {"--perms", "0444", "--file", absl::StrCat(kPasswdFd), "/etc/passwd"});
    Add(args, {"--perms", "0444", "--file", absl::StrCat(kGroupFd), "/etc/group"});
    Add(args, {"--perms", "0444", "--file", absl::StrCat(kHostsFd), "/etc/hosts"});
    for (const std::string& path : facts.etc) {
      const std::string full = absl::StrCat("/etc/", path);
      Add(args, {"--ro-bind", full, full});
    }
  }

  // Its own /proc, the harmless devices, and places in memory, bounded by disk_bytes.
  Add(args, {"--proc", "/proc"});
  Add(args, {"--dev", "/dev"});
  const std::string size = absl::StrCat(std::max<uint64_t>(spec.limits.disk_bytes(), 1 << 20));
  Add(args, {"--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"});
  Add(args, {"--perms", "1777", "--size", size, "--tmpfs", "/tmp"});

  // What is the run's own.
  if (!spec.work_dir.empty()) Add(args, {"--bind", spec.work_dir.string(), "/work"});
  if (!spec.results_dir.empty()) Add(args, {"--bind", spec.results_dir.string(), "/results"});
  for (const RunSpec::Mount& mount : spec.mounts) {
    Add(args, {mount.writable ? "--bind" : "--ro-bind", mount.source.string(), mount.target});
  }
  for (const RunSpec::Device& device : spec.devices) {
    Add(args, {"--dev-bind", device.source.string(), device.target});
  }

  // Nothing else can be written, so nothing escapes the limits.
  Add(args, {"--remount-ro", "/dev"});
  Add(args, {"--remount-ro", "/"});
  Add(args, {"--chdir", spec.work_dir.empty() ? "/tmp" : "/work"});

  Add(args, {"--clearenv"});
  for (const auto& [name, value] : WholeEnvironment(spec)) Add(args, {"--setenv", name, value});

  Add(args, {"--", absl::StrCat("/proc/self/fd/", kInitFd), absl::StrCat("report=", kReportFd)});
  const std::vector<std::string> limits = InitLimits(spec);
  args.insert(args.end(), limits.begin(), limits.end());
  Add(args, {"--"});
  args.insert(args.end(), spec.argv.begin(), spec.argv.end());
  return args;
}

std::string PasswdText() {
  return absl::StrCat("root:x:0:0:root:/nonexistent:/bin/false\n", "sextant:x:", kInsideUid, ":",
                      kInsideGid, ":sextant:/tmp:/bin/sh\n",
                      "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n");
}

std::string GroupText() {
  return absl::StrCat("root:x:0:\nsextant:x:", kInsideGid, ":\nnogroup:x:65534:\n");
}

std::string HostsText() { return "127.0.0.1 localhost sextant\n::1 localhost sextant\n"; }

}  // namespace sextant::sandbox
