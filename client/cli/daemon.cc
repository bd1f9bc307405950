// `sextant up`, `down`, `worker`, `shell`: the service of this machine.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/process.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

constexpr double kWorkerDrainS = 20;      // it finishes or spools what it runs
constexpr double kServiceStopS = 30;      // it stops its PostgreSQL
constexpr size_t kMaxSocketPath = 100;    // sun_path holds 108 bytes

// One `up` or `down` at a time per home directory; the others wait for it.
class HomeLock {
 public:
  explicit HomeLock(const Home& home) : fd_(open(home.Run("up.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~HomeLock() {
    if (fd_ >= 0) close(fd_);
  }
  HomeLock(const HomeLock&) = delete;
  HomeLock& operator=(const HomeLock&) = delete;
  bool held() const { return fd_ >= 0; }

 private:
  const int fd_;
};

absl::Status MakeHome(const Home& home) {
  std::error_code error;
  for (const std::string& directory : {home.directory, home.directory + "/run", home.directory + "/log"}) {
    fs::create_directories(directory, error);
    if (error) {
      return absl::FailedPreconditionError(absl::StrCat("directory ", Escape(directory), " cannot be made: ", error.message(),
                                                        "; set SEXTANT_HOME to one you may write"));
    }
  }
  if (home.SocketPath().size() > kMaxSocketPath) {
    return absl::FailedPreconditionError(absl::StrCat("the path of the socket, ", Escape(home.SocketPath()), ", is longer than ",
                                                      kMaxSocketPath, " bytes; set SEXTANT_HOME to a shorter one"));
  }
  return absl::OkStatus();
}

std::string LogHint(const std::string& log) {
  const std::string tail = TailOf(log, 2000);
  return tail.empty() ? absl::StrCat("; its log is ", Escape(log))
                      : absl::StrCat("; the end of ", Escape(log), ":\n", EscapeLines(tail));
}

// Waits until the service serves; fails at once when its process has ended.
absl::Status WaitHealthy(Service& service, const ProcessId& process, const std::string& log, double timeout_s) {
  const absl::Time end = absl::Now() + absl::Seconds(timeout_s);
  while (true) {
    const absl::Status healthy = service.Healthy(2);
    if (healthy.ok()) return healthy;
    if (!Alive(process)) return absl::InternalError(absl::StrCat("sextantd ended while it started", LogHint(log)));
    if (absl::Now() >= end) {
      return absl::DeadlineExceededError(absl::StrCat("sextantd does not serve after ", timeout_s, " s", LogHint(log)));
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

bool IsBeingProved(const v1::WorkerInfo& worker) {
  for (const v1::BackendOffer& offer : worker.backends())
    if (absl::c_linear_search(offer.features(), "being-proved")) return true;
  return false;
}

// Waits until a worker has attached, and until its instruments for GPUs are proved: a job that asks for
// `auto` passes before would be planned without them. Proofs that take longer than `timeout_s` are not waited for.
absl::Status WaitForWorker(Service& service, const ProcessId& process, const std::string& log, double timeout_s) {
  const absl::Time end = absl::Now() + absl::Seconds(timeout_s);
  while (true) {
    auto description = service.Describe();
    if (description.ok()) {
      for (const v1::WorkerSummary& w : description->workers()) {
        // The coordinator's own runner of builtin analyses has neither slots nor devices.
        if (w.live() && (w.info().cpu_slots() > 0 || w.info().devices_size() > 0) &&
            (!IsBeingProved(w.info()) || absl::Now() >= end))
          return absl::OkStatus();
      }
    }
    if (!Alive(process)) return absl::InternalError(absl::StrCat("sextant-worker ended while it started", LogHint(log)));
    if (absl::Now() >= end) {
      return absl::DeadlineExceededError(absl::StrCat("the worker has not attached after ", timeout_s, " s", LogHint(log)));
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

// Starts what does not run yet. `started` says what was started here.
absl::Status Start(Context& context, const Home& home, const UpOptions& options, bool& started) {
  ASSIGN_OR_RETURN(const std::string server, FindProgram("sextantd", context.own_executable, context.environment));
  ASSIGN_OR_RETURN(const std::string worker, FindProgram("sextant-worker", context.own_executable, context.environment));
  auto server_process = ReadPidFile(home.Run("sextantd.pid"));
  if (!server_process) {
    started = true;
    std::vector<std::string> argv = {server, "--state", home.directory, "--listen", home.SocketAddress()};
    if (!options.listen.empty()) argv.insert(argv.end(), {"--listen", options.listen});
    if (!options.http.empty()) argv.insert(argv.end(), {"--http", options.http});
    for (const auto& [flag, file] : {std::pair("--tls-cert", options.tls_cert), {"--tls-key", options.tls_key},
                                     {"--tls-client-ca", options.tls_client_ca}}) {
      if (!file.empty()) argv.insert(argv.end(), {flag, fs::absolute(file).lexically_normal().string()});
    }
    if (options.require_tokens) argv.push_back("--require-tokens");
    ASSIGN_OR_RETURN(server_process, SpawnDetached(argv, home.Log("sextantd.log")));
    RETURN_IF_ERROR(WritePidFile(home.Run("sextantd.pid"), *server_process));
  }
  ASSIGN_OR_RETURN(const endpoint::Endpoint socket, endpoint::Endpoint::Make({.address = home.SocketAddress()}));
  Service service(socket);
  RETURN_IF_ERROR(WaitHealthy(service, *server_process, home.Log("sextantd.log"), options.wait_s));
  auto worker_process = ReadPidFile(home.Run("worker.pid"));
  if (!worker_process) {
    started = true;
    std::vector<std::string> argv = {worker, "--coordinator", home.SocketAddress(), "--state", home.directory + "/worker"};
    argv.insert(argv.end(), options.worker.begin(), options.worker.end());
    ASSIGN_OR_RETURN(worker_process, SpawnDetached(argv, home.Log("worker.log")));
    RETURN_IF_ERROR(WritePidFile(home.Run("worker.pid"), *worker_process));
  }
  return WaitForWorker(service, *worker_process, home.Log("worker.log"), options.wait_s);
}

// Ends one of ours: gently, then for certain. False when nothing ran.
bool Stop(Context& context, const Home& home, const std::string& name, const std::string& shown, double timeout_s) {
  const std::string file = home.Run(name + ".pid");
  const auto process = ReadPidFile(file);
  if (!process) {
    unlink(file.c_str());
    return false;
  }
  if (!SignalAndWait(*process, SIGTERM, timeout_s)) {
    context.Note(absl::StrCat(shown, " (pid ", process->pid, ") did not stop within ", timeout_s, " s and is killed"));
    SignalAndWait(*process, SIGKILL, 5);
  }
  unlink(file.c_str());
  return true;
}

int StopAll(Context& context, const Home& home) {
  const bool worker = Stop(context, home, "worker", "sextant-worker", kWorkerDrainS);
  const bool server = Stop(context, home, "sextantd", "sextantd", kServiceStopS);
  context.Note(worker || server ? absl::StrCat("stopped; the data stays in ", Escape(home.directory))
                                : absl::StrCat("nothing runs in ", Escape(home.directory)));
  return kOk;
}

}  // namespace

int Up(Context& context, const UpOptions& options) {
  Home home = context.home;
  if (!options.state.empty()) home.directory = fs::absolute(options.state).lexically_normal().string();
  if (const absl::Status made = MakeHome(home); !made.ok()) return context.Fail(made);
  absl::Notification interrupted;
  Interrupts::Scope scope(context.interrupts, [&](int count) {
    if (count == 1) interrupted.Notify();
  });
  bool started = false;
  {
    const HomeLock lock(home);
    if (!lock.held()) {
      return context.Fail(absl::FailedPreconditionError(
          absl::StrCat("directory ", Escape(home.directory), " is not writable; set SEXTANT_HOME to one you may write")));
    }
    if (const absl::Status status = Start(context, home, options, started); !status.ok()) {
      // A half-started service is not left behind; one that ran before is not touched.
      if (started) StopAll(context, home);
      return context.Fail(status);
    }
  }
  const auto server = ReadPidFile(home.Run("sextantd.pid"));
  const auto socket = endpoint::Endpoint::Make({.address = home.SocketAddress()});
  if (!socket.ok()) return context.Fail(socket.status());
  const auto description = Service(*socket).Describe();
  const v1::ServiceDescription about = description.ok() ? *description : v1::ServiceDescription();
  const auto grpc = about.addresses().find("grpc");
  context.Note(absl::StrCat(started ? "the service runs" : "the service runs already",
                            DescribeAddresses(grpc == about.addresses().end() ? home.SocketAddress() : grpc->second, about),
                            about.needs_token() ? "\n  tokens   all but you need one: sextant token create --name NAME --scope submit" : "",
                            "\n  data     ", Escape(home.directory), "\n  logs     ", Escape(home.Log("sextantd.log")), ", ",
                            Escape(home.Log("worker.log")), "\n  try      sextant run -- ./program",
                            "\n           sextant doctor\n           sextant down"));
  if (context.json && description.ok()) context.PrintJson(*description);
  if (!options.foreground) return kOk;
  while (!interrupted.WaitForNotificationWithTimeout(absl::Milliseconds(500))) {
    if (!server || !Alive(*server)) {
      StopAll(context, home);
      return context.Fail(absl::InternalError(absl::StrCat("sextantd ended", LogHint(home.Log("sextantd.log")))));
    }
  }
  StopAll(context, home);
  return kInterrupted;
}

int Down(Context& context, const std::string& state) {
  Home home = context.home;
  if (!state.empty()) home.directory = fs::absolute(state).lexically_normal().string();
  std::error_code error;
  if (!fs::is_directory(home.directory + "/run", error)) {
    context.Note(absl::StrCat("nothing runs in ", Escape(home.directory)));
    return kOk;
  }
  const HomeLock lock(home);
  return StopAll(context, home);
}

int Worker(Context& context, const std::vector<std::string>& arguments) {
  auto program = FindProgram("sextant-worker", context.own_executable, context.environment);
  if (!program.ok()) return context.Fail(program.status());
  std::vector<std::string> argv = {*program};
  bool names_server = false;
  for (const std::string& a : arguments) names_server = names_server || a == "--coordinator" || absl::StartsWith(a, "--coordinator=");
  if (!names_server) argv.insert(argv.end(), {"--coordinator", context.address()});
  // What stands before -- is meant for the worker too; the environment reaches it by itself.
  for (const auto& [flag, given] : {std::pair("--token-file", context.given.token_file), {"--ca", context.given.ca},
                                    {"--cert", context.given.cert}, {"--key", context.given.key}}) {
    if (given.by == flag && !given.empty()) argv.insert(argv.end(), {flag, given.value});
  }
  if (context.given.insecure_token) argv.push_back("--insecure-token");
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return context.Fail(Exec(argv));
}

int Shell(Context& context, int64_t pass_id) {
  v1::ListPassesRequest request;
  request.set_pass_id(pass_id);
  auto passes = context.service().ListPasses(request);
  if (!passes.ok()) return context.Fail(passes.status());
  if (passes->passes().empty()) return context.Fail(absl::NotFoundError(absl::StrCat("there is no pass p", pass_id)));
  const v1::PassInfo& pass = passes->passes(0);
  const std::string& kept = pass.result().kept_path();
  if (kept.empty()) {
    return context.Fail(absl::FailedPreconditionError(absl::StrCat(
        "pass p", pass_id, " was not kept: ",
        pass.has_result() ? "its job did not ask for it; run it again with  sextant run --fresh --keep"
                          : "it has not ended yet")));
  }
  std::error_code error;
  if (!fs::is_directory(kept, error)) {
    return context.Fail(absl::FailedPreconditionError(absl::StrCat(
        "pass p", pass_id, " was kept at ", Escape(kept), " on worker ", Escape(pass.worker(), 100),
        ", which is not on this machine, or was removed; run sextant shell there")));
  }
  auto program = FindProgram("sextant-worker", context.own_executable, context.environment);
  if (!program.ok()) return context.Fail(program.status());
  context.Note(absl::StrCat("the container of pass p", pass_id, "; leave it with exit"));
  return context.Fail(Exec({*program, "--shell", kept}));
}

}  // namespace sextant::cli
