#include "workers/sandbox/bubblewrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/status/status.h"
#include "workers/sandbox/init_blob.h"
#include "workers/sandbox/seccomp.h"
#include "workers/sandbox/spawn.h"
#include "workers/sandbox/user.h"
#include "workers/sandbox/warm_box.h"

namespace sextant::sandbox {
namespace {

// bubblewrap asks the user who may not pass a directory above a source, so such sources are made
// visible elsewhere first (Spawn stages them), and the arguments changed to say so.
void StageSources(std::vector<std::string>& options, const Owner& user, Launch& launch) {
  std::vector<size_t> sources;
  bool needed = false;
  for (size_t i = 0; i + 2 < options.size(); ++i) {
    if (options[i] != "--bind" && options[i] != "--ro-bind") continue;
    const std::string& source = options[i + 1];
    if (source == options[i + 2] && (absl::StartsWith(source, "/etc/") ||
                                     source.find('/', 1) == std::string::npos)) {
      continue;  // the system's own
    }
    sources.push_back(i + 1);
    needed = needed || !CanReach(source, user);
  }
  if (!needed) return;
  for (size_t at : sources) {
    struct stat st;
    if (stat(options[at].c_str(), &st) != 0) continue;  // bubblewrap will say what is missing
    launch.spawn.staged.push_back({options[at], S_ISDIR(st.st_mode)});
    options[at] = StagedPath(launch.spawn.staged.size() - 1);
  }
}

class Bubblewrap : public Sandbox {
 public:
  Bubblewrap(BwrapLauncher launcher, CgroupMaker cgroups)
      : launcher_(std::move(launcher)), cgroups_(std::move(cgroups)) {}

  std::string Description() const override {
    return absl::StrCat("bwrap ", launcher_.program().version);
  }

  absl::StatusOr<std::unique_ptr<Running>> Start(const RunSpec& spec) override {
    Launch launch;
    RETURN_IF_ERROR(launcher_.Prepare(spec, /*interactive=*/false, launch));
    RETURN_IF_ERROR(PrepareStreams(launch));
    // bubblewrap and our init stand beside the program's processes.
    RETURN_IF_ERROR(PrepareCgroup(cgroups_, 2, launch));
    return StartRun(std::move(launch));
  }

  absl::StatusOr<std::unique_ptr<WarmContainer>> StartWarm(const WarmSpec& spec) override {
    return StartWarmBox(launcher_, cgroups_, spec);
  }

 private:
  const BwrapLauncher launcher_;
  const CgroupMaker cgroups_;
};

}  // namespace

absl::StatusOr<BwrapProgram> FindBwrap(const std::string& asked) {
  constexpr absl::string_view kRemedy = "; install the package \"bubblewrap\" (0.8 or newer)";
  BwrapProgram program;
  if (!asked.empty()) {
    program.path = asked;
  } else {
    const char* path = getenv("PATH");
    for (absl::string_view directory : absl::StrSplit(path != nullptr ? path : "/usr/bin", ':')) {
      const std::string candidate = absl::StrCat(directory, "/bwrap");
      if (!directory.empty() && access(candidate.c_str(), X_OK) == 0) {
        program.path = candidate;
        break;
      }
    }
  }
  if (program.path.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("no bwrap in PATH", kRemedy));
  }
  ASSIGN_OR_RETURN(Pipe out, MakePipe("bubblewrap's version"));
  SpawnRequest request;
  request.path = program.path;
  request.argv = {"bwrap", "--version"};
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  request.stdio[0] = request.stdio[2] = null.get();
  request.stdio[1] = out.write.get();
  ASSIGN_OR_RETURN(Spawned spawned, Spawn(request));
  char text[256];
  ssize_t n = 0;
  if (spawned.pid > 0) {
    waitpid(spawned.pid, nullptr, 0);
    n = read(out.read.get(), text, sizeof text);
  }
  const std::vector<std::string> words = absl::StrSplit(
      absl::StripAsciiWhitespace(absl::string_view(text, n > 0 ? static_cast<size_t>(n) : 0)), ' ');
  int major = 0, minor = 0;
  if (words.size() != 2 || sscanf(words[1].c_str(), "%d.%d", &major, &minor) != 2) {
    return absl::FailedPreconditionError(
        absl::StrCat(program.path, " does not say its version", kRemedy));
  }
  program.version = words[1];
  if (major == 0 && minor < 8) {
    return absl::FailedPreconditionError(
        absl::StrCat(program.path, " is version ", program.version, kRemedy));
  }
  return program;
}

absl::StatusOr<BwrapLauncher> BwrapLauncher::Make(const SandboxOptions& options) {
  BwrapLauncher launcher;
  ASSIGN_OR_RETURN(launcher.program_, FindBwrap(options.bwrap_path));
  ASSIGN_OR_RETURN(launcher.user_, FindUser(options.unprivileged_user.empty()
                                                ? "nobody" : options.unprivileged_user));
  if (launcher.user_.has_value() && !CanReach(launcher.program_.path, *launcher.user_)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a directory above ", launcher.program_.path, " is closed to the user programs run as (uid ",
        launcher.user_->uid, "); put it where every user may go, like /opt, or name another user"));
  }
  ASSIGN_OR_RETURN(launcher.host_, ReadHostFacts(""));
  ASSIGN_OR_RETURN(launcher.init_, MakeMemoryFile("sextant-init", InitProgram()));
  ASSIGN_OR_RETURN(launcher.passwd_, MakeMemoryFile("sextant-passwd", PasswdText()));
  ASSIGN_OR_RETURN(launcher.group_, MakeMemoryFile("sextant-group", GroupText()));
  ASSIGN_OR_RETURN(launcher.hosts_, MakeMemoryFile("sextant-hosts", HostsText()));
  ASSIGN_OR_RETURN(const std::string filter, BuildSeccompFilter(false));
  ASSIGN_OR_RETURN(launcher.filter_, MakeMemoryFile("sextant-seccomp", filter));
  ASSIGN_OR_RETURN(const std::string with_perf, BuildSeccompFilter(true));
  ASSIGN_OR_RETURN(launcher.filter_with_perf_, MakeMemoryFile("sextant-seccomp-perf", with_perf));
  fchmod(launcher.init_.get(), 0555);
  return launcher;
}

absl::Status BwrapLauncher::Prepare(const RunSpec& spec, bool interactive, Launch& launch) const {
  if (spec.argv.empty() || spec.argv[0].empty()) {
    return absl::InvalidArgumentError("argv is empty; name a program");
  }
  launch.spec = spec;
  launch.contained = true;
  launch.started_program = program_.path;
  for (const auto* directory : {&spec.work_dir, &spec.results_dir}) {
    if (directory->empty()) continue;
    ASSIGN_OR_RETURN(const DiskUse use, MeasureDisk(*directory, user_), "preparing a run");
    launch.placed_bytes += use.bytes;
  }
  std::optional<HostFacts> rootfs_facts;
  if (!spec.rootfs.empty()) {
    ASSIGN_OR_RETURN(rootfs_facts, ReadHostFacts(spec.rootfs));
  }
  std::vector<std::string> args =
      BwrapArguments(spec, rootfs_facts.has_value() ? *rootfs_facts : host_, interactive);
  const auto separator = std::find(args.begin(), args.end(), "--");
  std::vector<std::string> options(args.begin(), separator);
  if (user_.has_value()) StageSources(options, *user_, launch);

  SpawnRequest& spawn = launch.spawn;
  spawn.path = program_.path;
  spawn.argv = {"bwrap", "--args", absl::StrCat(kArgumentsFd)};
  spawn.argv.insert(spawn.argv.end(), separator, args.end());
  spawn.cwd = "/";
  if (user_.has_value()) {
    spawn.change_user = true;
    spawn.uid = user_->uid;
    spawn.gid = user_->gid;
  }

  std::string joined;
  for (const std::string& option : options) {
    joined.append(option);
    joined.push_back('\0');
  }
  ASSIGN_OR_RETURN(launch.status, MakePipe("bubblewrap's status"));
  ASSIGN_OR_RETURN(launch.report, MakePipe("the program's end"));
  auto add = [&](Fd fd) {
    spawn.fds.push_back(fd.get());
    launch.others.push_back(std::move(fd));
  };
  spawn.fds = {launch.status.write.get(), launch.report.write.get()};
  const Fd* shared[] = {&init_, spec.allow_perf_events ? &filter_with_perf_ : &filter_, &passwd_,
                        &group_, &hosts_};
  for (const Fd* file : shared) {
    ASSIGN_OR_RETURN(Fd own, Reopen(*file));  // an offset of its own: bubblewrap reads to the end
    add(std::move(own));
  }
  ASSIGN_OR_RETURN(Fd arguments, MakeMemoryFile("sextant-arguments", joined));
  add(std::move(arguments));
  return absl::OkStatus();
}

std::string NamespaceRemedy(const std::string& said) {
  const std::string apparmor =
      ReadSmallFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  if (absl::StartsWith(apparmor, "1")) {
    return "AppArmor keeps ordinary users from making user namespaces here: allow it for "
           "bubblewrap with a profile (Ubuntu: install apparmor-profiles and enable "
           "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict), or for all with "
           "\"sysctl kernel.apparmor_restrict_unprivileged_userns=0\"";
  }
  if (absl::StartsWith(ReadSmallFile("/proc/sys/kernel/unprivileged_userns_clone"), "0")) {
    return "user namespaces are switched off: \"sysctl kernel.unprivileged_userns_clone=1\"";
  }
  if (absl::StartsWith(ReadSmallFile("/proc/sys/user/max_user_namespaces"), "0")) {
    return "user namespaces are switched off: \"sysctl user.max_user_namespaces=10000\"";
  }
  if (absl::StrContains(said, "Can't mount proc") || absl::StrContains(said, "mount")) {
    return "inside a container, allow nested namespaces (an unmasked /proc, and a seccomp profile "
           "that lets unshare, mount and pivot_root pass)";
  }
  return "run \"bwrap --unshare-all --ro-bind / / true\" as the worker's user to see what it lacks";
}

absl::StatusOr<std::unique_ptr<Sandbox>> MakeBubblewrapSandbox(SandboxOptions options) {
  ASSIGN_OR_RETURN(BwrapLauncher launcher, BwrapLauncher::Make(options));
  CgroupMaker cgroups;
  if (options.cgroups) {
    cgroups = CgroupMaker::Find();
    cgroups.Sweep();
  }
  auto sandbox = std::make_unique<Bubblewrap>(std::move(launcher), std::move(cgroups));
  RunSpec trial;
  trial.argv = {"true"};
  trial.name = "trial";
  ASSIGN_OR_RETURN(std::unique_ptr<Running> running, sandbox->Start(trial), "trying the sandbox");
  const v1::ExitReport report = running->Wait();
  if (report.verdict() != v1::EXITED || report.exit_code() != 0) {
    return absl::FailedPreconditionError(absl::StrCat("bubblewrap does not work here: ",
                                                      report.detail(), "; ",
                                                      NamespaceRemedy(report.detail())));
  }
  return sandbox;
}

}  // namespace sextant::sandbox
