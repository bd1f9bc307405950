// The checks of doctor.h.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/doctor.h"
#include "client/cli/process.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

constexpr double kProbeTimeoutS = 300;  // a self-test for each GPU backend
constexpr uint64_t kLeastDiskBytes = 2ull << 30;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string Trimmed(std::string text) {
  absl::StripAsciiWhitespace(&text);
  return text.substr(0, text.find('\n'));
}

// The program that lies beside this one, else the one in PATH.
std::optional<std::string> FindBesideOrInPath(const std::string& name, Context& context) {
  const std::string beside = (fs::path(context.own_executable).parent_path() / name).string();
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  return FindInPath(name, context.environment);
}

// Whether this user may make a user namespace and be somebody in it: AppArmor allows the first and
// refuses the second.
bool MakesUserNamespaces() {
  const std::string map = absl::StrCat(geteuid(), " ", geteuid(), " 1");
  const pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWUSER) != 0) _exit(1);
    const int file = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    _exit(file >= 0 && write(file, map.data(), map.size()) == static_cast<ssize_t>(map.size()) ? 0 : 1);
  }
  int status = 1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 && status == 0;
}

// True when the program can be started and ends with exit code 0.
bool Succeeds(const std::vector<std::string>& argv) {
  const auto output = RunAndRead(argv, 20);
  return output.ok() && output->exit_code == 0;
}

Finding CheckPostgres(Context& context) {
  Finding f{"PostgreSQL", Health::kMissing, "initdb and postgres were not found",
            "apt-get install postgresql, or give sextantd --database CONNINFO of an existing server", true};
  std::vector<std::string> found;
  std::error_code error;
  const fs::path prefix = fs::path(context.own_executable).parent_path().parent_path();
  for (const fs::path& place : {prefix / "lib/postgresql", fs::path("/usr/lib/postgresql")}) {
    for (const auto& version : fs::directory_iterator(place, error)) {
      const fs::path bin = version.path() / "bin";
      if (::access((bin / "initdb").c_str(), X_OK) == 0 && ::access((bin / "postgres").c_str(), X_OK) == 0) {
        found.push_back((bin / "postgres").string());
      }
    }
    if (!found.empty()) break;
  }
  if (found.empty()) {
    if (auto in_path = FindInPath("postgres", context.environment)) found.push_back(*in_path);
  }
  if (found.empty()) return f;
  f.health = Health::kOk;
  f.remedy.clear();
  const auto version = RunAndRead({found.back(), "--version"}, 20);
  f.detail = absl::StrCat(version.ok() ? Trimmed(version->text) : "", ", ", found.back());
  if (geteuid() == 0) f.detail += "; it refuses root, so it runs as an ordinary user";
  return f;
}

// Opens one counter of this process; the error says what hinders it.
int TryCounter(uint32_t type, uint64_t config) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  attributes.disabled = 1;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  const long fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return errno;
  close(static_cast<int>(fd));
  return 0;
}

Finding CheckCounters() {
  Finding f{"CPU counters"};
  const std::string paranoid = FirstLine("/proc/sys/kernel/perf_event_paranoid");
  const int hardware = TryCounter(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS);
  if (hardware == 0) {
    f.detail = absl::StrCat("hardware counters work (perf_event_paranoid ", paranoid, ")");
    return f;
  }
  const int software = TryCounter(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);
  f.health = software == 0 ? Health::kLimited : Health::kMissing;
  f.detail = absl::StrCat(software == 0 ? "software counters only; hardware: " : "no counters: ",
                          std::strerror(hardware), " (perf_event_paranoid ", paranoid.empty() ? "absent" : paranoid, ")");
  if (hardware == EACCES || hardware == EPERM) {
    f.remedy = "sysctl kernel.perf_event_paranoid=2, or lower";
  } else if (hardware == ENOENT || hardware == EOPNOTSUPP || hardware == ENODEV) {
    f.remedy = "the processor's counters are not given to this (virtual) machine; its host must pass them on";
  } else {
    f.remedy = "a kernel with CONFIG_PERF_EVENTS, and no seccomp filter that refuses perf_event_open";
  }
  return f;
}

Finding CheckGpu() {
  Finding f{"GPU"};
  std::error_code error;
  const bool device = fs::exists("/dev/nvidia0", error), control = fs::exists("/dev/nvidiactl", error);
  void* library = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
  const std::string driver = FirstLine("/proc/driver/nvidia/version");
  if (device && library != nullptr) {
    f.detail = driver.empty() ? "NVIDIA device and driver library are there" : Trimmed(driver);
  } else if (device || control || library != nullptr) {
    f.health = Health::kLimited;
    f.detail = device ? "/dev/nvidia0 is there, libnvidia-ml.so.1 is not" : "libnvidia-ml.so.1 is there, /dev/nvidia0 is not";
    f.remedy = device ? "install the driver's user libraries, or mount them" : "load the driver, or pass the device on";
  } else if (fs::exists("/dev/kfd", error)) {
    f.health = Health::kLimited;
    f.detail = "an AMD GPU (/dev/kfd); no NVIDIA driver";
    f.remedy = "AMD tools run as exec: backends";
  } else {
    f.health = Health::kMissing;
    f.detail = "no NVIDIA device and no driver library; host passes work without";
    f.remedy = "none needed for CPU programs; GPU passes run on workers with a GPU";
  }
  if (library != nullptr) dlclose(library);
  return f;
}

Finding CheckCgroups() {
  Finding f{"cgroups"};
  std::error_code error;
  const bool v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers", error);
  const bool v1 = fs::is_directory("/sys/fs/cgroup/memory", error) || fs::is_directory("/sys/fs/cgroup/pids", error);
  std::string own;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "0::")) own = line.substr(3);
  }
  const std::string where = v2 ? "/sys/fs/cgroup" + own : "/sys/fs/cgroup/memory";
  const bool writable = ::access(where.c_str(), W_OK) == 0;
  if ((v1 || v2) && writable) {
    f.detail = absl::StrCat(v2 ? "version 2, " : "version 1, ", Escape(where), " is writable");
  } else {
    f.health = Health::kLimited;
    f.detail = v1 || v2 ? absl::StrCat(Escape(where), " is not writable: memory and CPU limits rest on rlimits and watching")
                        : "none mounted: memory and CPU limits rest on rlimits and watching";
    f.remedy = "systemd-run --user --scope -p Delegate=yes sextant up, or run the worker as a service with Delegate=yes";
  }
  return f;
}

Finding CheckNamespaces() {
  Finding f{"user namespaces", Health::kOk, "allowed", "", true};
  if (MakesUserNamespaces()) return f;
  const std::string clone = FirstLine("/proc/sys/kernel/unprivileged_userns_clone");
  const std::string apparmor = FirstLine("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  const std::string most = FirstLine("/proc/sys/user/max_user_namespaces");
  f.health = Health::kMissing;
  if (clone == "0") {
    f.detail = "switched off: kernel.unprivileged_userns_clone is 0";
    f.remedy = "sysctl kernel.unprivileged_userns_clone=1";
  } else if (apparmor == "1") {
    f.detail = "restricted by AppArmor: kernel.apparmor_restrict_unprivileged_userns is 1";
    f.remedy = "an AppArmor profile for bwrap, or sysctl kernel.apparmor_restrict_unprivileged_userns=0";
  } else if (most == "0") {
    f.detail = "switched off: user.max_user_namespaces is 0";
    f.remedy = "sysctl user.max_user_namespaces=10000";
  } else {
    f.detail = "refused here; a container around this shell may forbid them";
    f.remedy = "run the container with user namespaces allowed (seccomp: unshare, clone)";
  }
  return f;
}

// The strings of an array in a JSON object, separated by commas.
std::string Strings(const nlohmann::json& object, const char* key) {
  std::vector<std::string> strings;
  const auto at = object.find(key);
  if (at != object.end() && at->is_array()) {
    for (const nlohmann::json& one : *at) {
      if (one.is_string()) strings.push_back(one.get<std::string>());
    }
  }
  return absl::StrJoin(strings, ", ");
}

}  // namespace

std::vector<Finding> CheckPrograms(Context& context) {
  std::vector<Finding> findings;
  for (const char* program : {"sextantd", "sextant-worker"}) {
    auto found = FindProgram(program, context.own_executable, context.environment);
    findings.push_back(found.ok() ? Finding{program, Health::kOk, *found, "", true}
                                  : Finding{program, Health::kMissing, std::string(found.status().message()),
                                            "build it (./quickstart), or install it beside sextant", true});
  }
  findings.push_back(CheckPostgres(context));
  return findings;
}

std::vector<Finding> CheckSandbox(Context& context) {
  std::vector<Finding> findings;
  Finding bwrap{"bubblewrap", Health::kMissing, "bwrap is neither beside sextant nor in PATH", "apt-get install bubblewrap", true};
  if (auto path = FindBesideOrInPath("bwrap", context)) {
    const auto version = RunAndRead({*path, "--version"}, 20);
    bwrap.detail = version.ok() ? Trimmed(version->text) : *path;
    if (Succeeds({*path, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"})) {
      bwrap.health = Health::kOk;
      bwrap.detail += ", makes containers here";
      bwrap.remedy.clear();
    } else if (Succeeds({*path, "--unshare-user", "--unshare-net", "--ro-bind", "/", "/", "true"})) {
      bwrap.health = Health::kLimited;
      bwrap.detail += ", makes containers here, but without an own /proc";
      bwrap.remedy = "a container around this shell masks /proc; run it with an unmasked one";
    } else {
      bwrap.detail += ", but cannot make a container here";
      bwrap.remedy = "see user namespaces below";
    }
  }
  findings.push_back(bwrap);
  findings.push_back(CheckNamespaces());
  findings.push_back(CheckCgroups());
  return findings;
}

std::vector<Finding> CheckMeasuring(Context& context, const std::vector<std::string>& arguments) {
  std::vector<Finding> findings = {CheckCounters()};
  auto worker = FindProgram("sextant-worker", context.own_executable, context.environment);
  if (!worker.ok()) {
    findings.push_back(CheckGpu());
    return findings;
  }
  std::vector<std::string> argv = {*worker, "--probe"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto probe = RunAndRead(argv, kProbeTimeoutS);
  if (!probe.ok() || probe->exit_code != 0) {
    findings.push_back(CheckGpu());
    findings.push_back({"worker probe", Health::kMissing,
                        probe.ok() ? absl::StrCat("sextant-worker --probe ended with ", probe->exit_code)
                                   : std::string(probe.status().message()),
                        "run sextant-worker --probe and read its message", true});
    return findings;
  }
  std::vector<Finding> gpus = ReadGpus(probe->text);
  if (gpus.empty()) gpus.push_back(CheckGpu());
  for (auto& more : {std::move(gpus), ReadProbe(probe->text)}) {
    findings.insert(findings.end(), more.begin(), more.end());
  }
  return findings;
}

std::vector<Finding> ReadProbe(const std::string& json) {
  std::vector<Finding> findings;
  const nlohmann::json probe = nlohmann::json::parse(json, nullptr, false);
  if (!probe.is_object()) {
    return {{"worker probe", Health::kMissing, "sextant-worker --probe printed no JSON object",
             "use a sextant-worker of the same version", true}};
  }
  const nlohmann::json none = nlohmann::json::object();
  const nlohmann::json& info =
      probe.contains("worker") && probe["worker"].is_object() ? probe["worker"] : none;
  const auto text = [](const nlohmann::json& object, const char* key) -> std::string {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : "";
  };
  if (info.contains("backends") && info["backends"].is_array()) {
    for (const nlohmann::json& backend : info["backends"]) {
      if (!backend.is_object()) continue;
      Finding f{absl::StrCat("backend ", text(backend, "name"))};
      const auto available = backend.find("available");
      if (available != backend.end() && available->is_boolean() && available->get<bool>()) {
        const std::string features = Strings(backend, "features");
        f.detail = features.empty() ? "available" : absl::StrCat("available: ", features);
        if (!text(backend, "reason").empty()) {
          f.health = Health::kLimited;
          f.remedy = text(backend, "reason");
        }
      } else {
        f.health = Health::kMissing;
        f.detail = text(backend, "reason");
      }
      findings.push_back(std::move(f));
    }
  }
  if (const std::string error = text(probe, "sandbox_error"); !error.empty()) {
    findings.push_back({"sandbox", Health::kMissing, error, "see bubblewrap and user namespaces above", true});
  }
  const auto sandbox = probe.find("sandbox");
  if (sandbox == probe.end() || !sandbox->is_object()) return findings;
  if (!text(*sandbox, "cgroup").empty()) {
    findings.push_back({"sandbox cgroup", Health::kOk, absl::StrCat(text(*sandbox, "cgroup"), " ", Strings(*sandbox, "cgroup_controllers"))});
  }
  const auto facts = sandbox->find("facts");
  if (facts == sandbox->end() || !facts->is_array()) return findings;
  for (const nlohmann::json& fact : *facts) {
    if (!fact.is_object()) continue;
    const auto works = fact.find("works");
    const bool ok = works != fact.end() && works->is_boolean() && works->get<bool>();
    findings.push_back({absl::StrCat("sandbox ", text(fact, "name")), ok ? Health::kOk : Health::kLimited,
                        text(fact, "reason").empty() ? (ok ? "works" : "does not work") : text(fact, "reason"),
                        text(fact, "remedy")});
  }
  return findings;
}

std::vector<Finding> CheckResources(Context& context) {
  std::vector<Finding> findings;
  utsname kernel{};
  uname(&kernel);
  const uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  findings.push_back({"machine", Health::kOk,
                      absl::StrCat(Plural(std::thread::hardware_concurrency(), "core", "cores"), ", ", FormatBytes(memory),
                                   " memory, ", kernel.sysname, " ", kernel.release)});
  fs::path place = context.home.directory;
  std::error_code error;
  while (!fs::exists(place, error) && place.has_parent_path() && place != place.parent_path()) place = place.parent_path();
  struct statvfs disk {};
  Finding space{"disk", Health::kMissing, absl::StrCat(context.home.directory, " cannot be looked at"),
                "set SEXTANT_HOME to a directory you may write", true};
  if (statvfs(place.c_str(), &disk) == 0) {
    const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    space.detail = absl::StrCat(FormatBytes(free), " free for ", context.home.directory);
    space.health = free < kLeastDiskBytes ? Health::kLimited : Health::kOk;
    space.remedy = free < kLeastDiskBytes ? "free some, or set SEXTANT_HOME elsewhere" : "";
    if (::access(place.c_str(), W_OK) != 0) {
      space.health = Health::kMissing;
      space.detail += ", but it is not writable";
      space.remedy = "set SEXTANT_HOME to a directory you may write";
    }
  }
  findings.push_back(space);
  return findings;
}

}  // namespace sextant::cli
