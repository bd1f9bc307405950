#include "workers/sandbox/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/sandbox/bubblewrap.h"
#include "workers/sandbox/disk.h"
#include "workers/sandbox/init_blob.h"
#include "workers/sandbox/run.h"
#include "workers/sandbox/spawn.h"
#include "workers/sandbox/warm_box.h"
#include "workers/sandbox/warm_run.h"
#include "workers/sandbox/warm_source.h"
#include "workers/sandbox/watch.h"

namespace sextant::sandbox {
namespace {

constexpr int kControlFd = kArgumentsFd + 1;  // inside, as the init inherits it
// bubblewrap, our init, and the zygote with the threads that frameworks start on import.
constexpr int kOwnProcesses = 2 + 128;
constexpr int kSliceMs = 50;               // between looks at `stopped`
constexpr uint64_t kImportNs = 120'000'000'000;
constexpr uint64_t kStartNs = 20'000'000'000;

uint64_t RealtimeNs() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

bool IsPython(const std::string& program) {
  const size_t slash = program.rfind('/');
  const std::string name = slash == std::string::npos ? program : program.substr(slash + 1);
  return absl::StartsWith(name, "python") &&
         std::all_of(name.begin() + 6, name.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

// Argument words, then variables, each ended by a zero byte; first the number of the former.
std::string Payload(const std::vector<std::string>& words, const std::map<std::string, std::string>& env) {
  std::string out = absl::StrCat(words.size());
  out.push_back('\0');
  for (const std::string& word : words) out.append(word).push_back('\0');
  for (const auto& [name, value] : env) out.append(absl::StrCat(name, "=", value)).push_back('\0');
  return out;
}

class WarmBox : public WarmContainer {
 public:
  WarmBox(std::shared_ptr<WarmLink> link, WarmSpec spec, std::optional<Owner> user, Fd init)
      : link_(std::move(link)), spec_(std::move(spec)), user_(user), init_(std::move(init)) {}

  ~WarmBox() override {
    link_->container->Kill("no longer needed");
    link_->container->Wait();
  }

  bool alive() const override { return alive_; }

  absl::StatusOr<std::unique_ptr<Running>> Start(const RunSpec& spec,
                                                 const std::function<bool()>& stopped) override {
    absl::StatusOr<std::unique_ptr<Running>> running = TryStart(spec, stopped);
    if (!running.ok()) alive_ = false;
    return running;
  }

 private:
  absl::StatusOr<std::unique_ptr<Running>> TryStart(const RunSpec& spec,
                                                    const std::function<bool()>& stopped) {
    const std::optional<PythonCommand> python = ParsePythonCommand(spec.argv);
    if (!python.has_value() || python->interpreter != spec_.base.argv) {
      return absl::InvalidArgumentError("the run is not of the container's Python");
    }
    RETURN_IF_ERROR(AwaitReady(stopped));
    Launch launch;
    launch.spec = spec;
    launch.contained = true;
    for (const auto* directory : {&spec.work_dir, &spec.results_dir}) {
      ASSIGN_OR_RETURN(const DiskUse use, MeasureDisk(*directory, user_), "preparing a run");
      launch.placed_bytes += use.bytes;
    }
    RETURN_IF_ERROR(PrepareStreams(launch));
    RETURN_IF_ERROR(Lay(spec));
    ASSIGN_OR_RETURN(const Fd payload,
                     MakeMemoryFile("sextant-run", Payload(python->rest, WholeEnvironment(spec))));
    const uint64_t unix_ns = RealtimeNs(), monotonic_ns = MonotonicNs();
    const int fds[kWarmRunFds] = {launch.spawn.stdio[0], launch.spawn.stdio[1],
                                  launch.spawn.stdio[2], payload.get()};
    if (!SendWarm(link_->control, kWarmRun, fds, kWarmRunFds)) return Gone();
    launch.stdin_file.reset();
    launch.out.write.reset();
    launch.err.write.reset();
    ASSIGN_OR_RETURN(const FromWarm answer, Await(kStartNs, stopped));
    if (answer.message.report.kind != kInitStarted) {
      return absl::UnavailableError("the warm container could not fork");
    }
    return FollowWarmRun(link_, std::move(launch), unix_ns, monotonic_ns);
  }

  absl::Status Gone() const {
    return absl::UnavailableError("the warm container has ended");
  }

  absl::StatusOr<FromWarm> Await(uint64_t at_most_ns, const std::function<bool()>& stopped) {
    const uint64_t deadline = MonotonicNs() + at_most_ns;
    FromWarm from;
    bool gone = false;
    while (!ReceiveWarm(link_->control, kSliceMs, &from, &gone)) {
      if (gone) return Gone();
      if (stopped && stopped()) return absl::CancelledError("the run was stopped before its start");
      if (MonotonicNs() >= deadline) {
        return absl::DeadlineExceededError("the warm container does not answer");
      }
    }
    return from;
  }

  absl::Status AwaitReady(const std::function<bool()>& stopped) {
    if (ready_) return absl::OkStatus();
    ASSIGN_OR_RETURN(FromWarm first, Await(kImportNs, stopped));
    if (first.message.report.kind != kWarmNamespace || !first.fd.valid()) return Gone();
    namespace_ = std::move(first.fd);
    link_->init = first.sender;
    ASSIGN_OR_RETURN(const FromWarm ready, Await(kImportNs, stopped));
    if (ready.message.report.kind != kWarmReady) {
      return absl::FailedPreconditionError(
          absl::StrCat("the warm container is of no use: ", ready.message.text));
    }
    ready_ = true;
    return absl::OkStatus();
  }

  // The run's directories over /work and /results: a helper enters the container, whose user
  // namespace belongs to the user it runs as.
  absl::Status Lay(const RunSpec& spec) {
    const auto inside = [&](const std::filesystem::path& directory) {
      const std::filesystem::path beneath = directory.lexically_relative(spec_.passes_dir);
      return absl::StrCat(SEXTANT_WARM_PASSES, "/", beneath.string());
    };
    Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    SpawnRequest request;
    request.path = "/proc/self/fd/3";
    request.argv = {"sextant-init", "lay", "4", inside(spec.work_dir), inside(spec.results_dir),
                    absl::StrCat(std::max<uint64_t>(spec.limits.disk_bytes(), 1 << 20))};
    for (int& fd : request.stdio) fd = null.get();
    request.fds = {init_.get(), namespace_.get()};
    if (user_.has_value()) {
      request.change_user = true;
      request.uid = user_->uid;
      request.gid = user_->gid;
    }
    ASSIGN_OR_RETURN(const Spawned helper, Spawn(request));
    if (helper.pid < 0) {
      return absl::InternalError(absl::StrCat("laying a run's directories: ", strerror(helper.exec_errno)));
    }
    int status = 0;
    while (waitpid(helper.pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("laying a run's directories failed at step ",
                                            WIFEXITED(status) ? WEXITSTATUS(status) : -1));
  }

  const std::shared_ptr<WarmLink> link_;
  const WarmSpec spec_;
  const std::optional<Owner> user_;
  const Fd init_;
  Fd namespace_;
  bool ready_ = false;
  std::atomic<bool> alive_ = true;
};

}  // namespace

std::optional<PythonCommand> ParsePythonCommand(const std::vector<std::string>& argv) {
  // A path within the working directory is not there when the interpreter starts.
  if (argv.empty() || !IsPython(argv[0])) return std::nullopt;
  if (absl::StrContains(argv[0], "/") && (argv[0][0] != '/' || absl::StartsWith(argv[0], "/work/"))) {
    return std::nullopt;
  }
  PythonCommand command;
  size_t at = 1;
  for (; at < argv.size() && absl::StartsWith(argv[at], "-"); ++at) {
    if (argv[at] == "-m" || argv[at] == "-c") break;
    if (argv[at] == "-X" || argv[at] == "-W") {
      if (++at == argv.size()) return std::nullopt;
      continue;
    }
    // Letters that stay true after a fork; "-" (standard input), -i, -h, -V and others are not for us.
    const bool plain = argv[at].size() > 1 && argv[at].find_first_not_of("uBOsSEIbdqP", 1) == std::string::npos;
    if (!plain) return std::nullopt;
  }
  if (at == argv.size() || (argv[at][0] == '-' && at + 1 == argv.size())) return std::nullopt;
  command.interpreter.assign(argv.begin(), argv.begin() + static_cast<std::ptrdiff_t>(at));
  command.rest.assign(argv.begin() + static_cast<std::ptrdiff_t>(at), argv.end());
  return command;
}

absl::StatusOr<std::unique_ptr<WarmContainer>> Sandbox::StartWarm(const WarmSpec& spec) {
  return absl::UnimplementedError(
      absl::StrCat("sandbox \"", Description(), "\" has no warm containers"));
}

absl::StatusOr<std::unique_ptr<WarmContainer>> StartWarmBox(const BwrapLauncher& launcher,
                                                            const CgroupMaker& cgroups,
                                                            const WarmSpec& warm) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::ResourceExhaustedError("no socket for a warm container");
  }
  auto link = std::make_shared<WarmLink>();
  link->control = Fd(pair[0]);
  Fd theirs(pair[1]);
  const int on = 1;
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return absl::ResourceExhaustedError("no credentials from a warm container");
  }

  RunSpec spec = warm.base;
  spec.argv.insert(spec.argv.end(), {"-c", kWarmBoot, std::string(WarmSource())});
  spec.argv.insert(spec.argv.end(), warm.modules.begin(), warm.modules.end());
  spec.mounts.push_back({warm.passes_dir, SEXTANT_WARM_PASSES, true});
  // What counts for a run is watched for each run.
  spec.limits.clear_wall_s();
  spec.limits.clear_hang_s();
  Launch launch;
  RETURN_IF_ERROR(launcher.Prepare(spec, /*interactive=*/false, launch));
  RETURN_IF_ERROR(PrepareStreams(launch));
  RETURN_IF_ERROR(PrepareCgroup(cgroups, kOwnProcesses, launch));
  const std::string report = absl::StrCat("report=", kReportFd);
  const auto at = std::find(launch.spawn.argv.begin(), launch.spawn.argv.end(), report);
  launch.spawn.argv.insert(at + 1, absl::StrCat("warm=", kControlFd));
  launch.spawn.fds.push_back(theirs.get());
  launch.others.push_back(std::move(theirs));
  link->cgroup = launch.cgroup;

  ASSIGN_OR_RETURN(Fd init, MakeMemoryFile("sextant-init", InitProgram()));
  fchmod(init.get(), 0555);
  ASSIGN_OR_RETURN(Fd reopened, Reopen(init));
  ASSIGN_OR_RETURN(link->container, StartRun(std::move(launch)));
  return std::make_unique<WarmBox>(std::move(link), warm, launcher.user(), std::move(reopened));
}

}  // namespace sextant::sandbox
