#include "workers/sandbox/probe.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "workers/sandbox/bubblewrap.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/files.h"

namespace sextant::sandbox {
namespace {

// 0, or the errno with which the kernel refuses to count this event of the calling thread.
int TryPerfEvent(uint32_t type, uint64_t config) {
  perf_event_attr attr = {};
  attr.size = sizeof attr;
  attr.type = type;
  attr.config = config;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  const Fd fd(static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1,
                                       PERF_FLAG_FD_CLOEXEC)));
  if (!fd.valid()) return errno;
  uint64_t count = 0;
  return read(fd.get(), &count, sizeof count) == sizeof count ? 0 : EIO;
}

SandboxFact PerfFact(const std::string& name, int error, const std::string& what) {
  SandboxFact fact{name, error == 0, "", ""};
  if (error == 0) {
    fact.reason = absl::StrCat(what, " can be counted");
  } else if (error == EACCES || error == EPERM) {
    fact.reason = absl::StrCat(what, " may not be counted by this user (", strerror(error), ")");
    fact.remedy = "sysctl kernel.perf_event_paranoid=2 (or lower); in a container, also allow "
                  "perf_event_open in its seccomp profile";
  } else {
    fact.reason = absl::StrCat(what, " are not offered here (", strerror(error),
                               "): a virtual machine without them, or no driver");
    fact.remedy = error == ENOENT || error == EOPNOTSUPP || error == ENODEV
                      ? "give the virtual machine a PMU, or use a physical one"
                      : "";
  }
  return fact;
}

void AddCgroup(const CgroupMaker& cgroups, SandboxFacts& facts) {
  const Cgroup::Controls& controls = cgroups.controls();
  facts.cgroup = !cgroups.available() ? "none" : cgroups.v2() ? "v2" : "v1";
  const std::string remedy =
      "run the worker as a systemd service with Delegate=yes (see deploy/), or as root";
  const std::string why = cgroups.available()
                              ? absl::StrCat("cgroup ", facts.cgroup, " has no such controller here")
                              : cgroups.why_not();
  auto add = [&](const char* name, bool has, const std::string& otherwise) {
    if (has) facts.cgroup_controllers.push_back(name);
    facts.facts.push_back(
        {name, has, has ? absl::StrCat("held by cgroup ", facts.cgroup)
                        : absl::StrCat(why, "; ", otherwise),
         has ? "" : remedy});
  };
  add("memory", controls.memory,
      "memory_bytes is watched from /proc every 50 ms and can be overshot in between");
  add("pids", controls.pids, "pids is watched from /proc every 50 ms and bounded by RLIMIT_NPROC");
  add("cpu", controls.cpu, "cpu_cores is not enforced");
}

}  // namespace

const SandboxFact* SandboxFacts::Find(const std::string& name) const {
  for (const SandboxFact& fact : facts) {
    if (fact.name == name) return &fact;
  }
  return nullptr;
}

SandboxFacts Probe(const SandboxOptions& options) {
  SandboxFacts facts;
  const absl::StatusOr<BwrapProgram> program = FindBwrap(options.bwrap_path);
  if (program.ok()) {
    facts.bwrap_path = program->path;
    facts.bwrap_version = program->version;
    facts.facts.push_back(
        {"bubblewrap", true, absl::StrCat(program->path, " ", program->version), ""});
  } else {
    facts.facts.push_back({"bubblewrap", false, std::string(program.status().message()),
                           "install the package \"bubblewrap\" (0.8 or newer)"});
  }

  const absl::StatusOr<std::unique_ptr<Sandbox>> sandbox =
      program.ok() ? MakeBubblewrapSandbox(options) : program.status();
  const std::string seccomp = ReadSmallFile("/proc/sys/kernel/seccomp/actions_avail");
  if (sandbox.ok()) {
    facts.facts.push_back({"namespaces", true,
                           "a program was run in user, mount, pid, ipc, uts, network and cgroup "
                           "namespaces of its own", ""});
    facts.facts.push_back({"seccomp", true, "the system call filter was loaded", ""});
  } else {
    const std::string said(sandbox.status().message());
    facts.facts.push_back({"namespaces", false, said, NamespaceRemedy(said)});
    facts.facts.push_back({"seccomp", !seccomp.empty(),
                           seccomp.empty() ? "this kernel has no seccomp filters"
                                           : "this kernel has seccomp filters; not tried", ""});
  }
  AddCgroup(options.cgroups ? CgroupMaker::Find() : CgroupMaker(), facts);

  if (!absl::SimpleAtoi(ReadSmallFile("/proc/sys/kernel/perf_event_paranoid"),
                        &facts.perf_event_paranoid)) {
    facts.perf_event_paranoid = 99;
  }
  facts.facts.push_back(PerfFact("perf_software",
                                 TryPerfEvent(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK),
                                 "software events (task clock, page faults)"));
  facts.facts.push_back(PerfFact("perf_hardware",
                                 TryPerfEvent(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS),
                                 "hardware events (cycles, instructions, cache misses)"));
  return facts;
}

}  // namespace sextant::sandbox
