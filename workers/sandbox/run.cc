#include "workers/sandbox/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "proto/status/status.h"
#include "workers/sandbox/explain.h"
#include "workers/sandbox/init.h"
#include "workers/sandbox/processes.h"
#include "workers/sandbox/stream.h"
#include "workers/sandbox/watch.h"

namespace sextant::sandbox {
namespace {

constexpr size_t kMaxStatusBytes = 4096;
constexpr int kKillTries = 500;  // 1 ms apart: the killed take a moment to leave their cgroup

int OpenPidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

void Signal(const Fd& pidfd, int signal) {
  if (pidfd.valid()) syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

uint64_t RealtimeNs() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

class Run : public Running {
 public:
  explicit Run(Launch launch)
      : launch_(std::move(launch)),
        watch_(launch_.spec, launch_.cgroup.get(), launch_.placed_bytes) {}

  ~Run() override {
    if (!thread_.joinable()) return;
    Kill("the run was abandoned");
    thread_.join();
  }

  absl::Status Start() {
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) {
      return absl::ResourceExhaustedError(absl::StrCat("eventfd: ", strerror(errno)));
    }
    thread_ = std::thread([this] { Main(); });
    spawned_.WaitForNotification();
    if (!start_error_.ok()) thread_.join();
    return start_error_;
  }

  uint64_t started_unix_ns() const override { return started_unix_ns_; }
  uint64_t started_monotonic_ns() const override { return started_monotonic_ns_; }

  v1::ExitReport Wait() override {
    if (thread_.joinable()) thread_.join();
    return report_;
  }

  void Kill(const std::string& reason) override {
    {
      absl::MutexLock lock(&mu_);
      if (!kill_asked_) kill_reason_ = reason;
      kill_asked_ = true;
    }
    const uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof one);
  }

 private:
  void Main() {
    prctl(PR_SET_NAME, "sextant-run");
    // The process dies with this thread, and this thread outlives the process.
    started_unix_ns_ = RealtimeNs();
    started_monotonic_ns_ = MonotonicNs();
    absl::StatusOr<Spawned> spawned = Spawn(launch_.spawn);
    CloseTheirEnds();
    if (!spawned.ok()) {
      start_error_ = spawned.status();
      spawned_.Notify();
      return;
    }
    spawned_.Notify();
    if (spawned->pid < 0) {
      const std::string detail = absl::StrCat(launch_.started_program, ": ",
                                              strerror(spawned->exec_errno), " (", spawned->step,
                                              ")");
      Decide(v1::NOT_STARTED, detail);
      ended_ns_ = MonotonicNs();
    } else {
      pid_ = spawned->pid;
      pidfd_ = std::move(spawned->pidfd);
      if (!launch_.contained) watch_.Started(pid_, started_monotonic_ns_);
      Loop();
      Finish();
    }
    launch_.cgroup.reset();
    report_.set_wall_s(static_cast<double>(ended_ns_ - started_monotonic_ns_) / 1e9);
  }

  void CloseTheirEnds() {
    launch_.stdin_file.reset();
    launch_.out.write.reset();
    launch_.err.write.reset();
    launch_.status.write.reset();
    launch_.report.write.reset();
    launch_.others.clear();
    const uint64_t limit = launch_.spec.limits.output_bytes();
    out_.Open(std::move(launch_.out.read), launch_.spec.stdout_path, limit);
    err_.Open(std::move(launch_.err.read), launch_.spec.stderr_path, limit);
  }

  // Until the spawned process, and with it everything inside, is gone.
  void Loop() {
    std::vector<char> buffer(kStreamBufferBytes);
    bool gone = false;
    while (!gone) {
      pollfd fds[6];
      int count = 0;
      auto add = [&](const Fd& fd) {
        fds[count] = {fd.get(), POLLIN, 0};
        return count++;
      };
      const int main_process = add(pidfd_);
      const int wake = add(wake_);
      const int out = add(out_.pipe()), err = add(err_.pipe());
      const int status = add(launch_.status.read), report = add(launch_.report.read);
      const uint64_t next = watch_.NextNs(), now = MonotonicNs();
      timespec timeout, *wait = nullptr;
      if (next != UINT64_MAX && !decided_) {
        const uint64_t left = next > now ? next - now : 0;
        timeout = {static_cast<time_t>(left / 1'000'000'000),
                   static_cast<long>(left % 1'000'000'000)};
        wait = &timeout;
      }
      if (ppoll(fds, static_cast<nfds_t>(count), wait, nullptr) < 0 && errno != EINTR) break;

      auto ready = [&](int i) { return fds[i].fd >= 0 && fds[i].revents != 0; };
      const uint64_t woke_ns = MonotonicNs();
      if (ready(wake)) ObeyKill();
      if (ready(status)) ReadStatus();
      if (ready(report)) ReadReport();
      if (ready(out) && out_.Drain(buffer)) watch_.SawOutput(woke_ns);
      if (ready(err) && err_.Drain(buffer)) watch_.SawOutput(woke_ns);
      CheckOutput();
      if (!decided_ && !ended_) {
        if (std::optional<Finding> finding = watch_.Check(woke_ns)) {
          Decide(finding->verdict, finding->detail);
        }
      }
      gone = ready(main_process);
    }
    ended_ns_ = MonotonicNs();
    if (launch_.status.read.valid()) ReadStatus();
    if (launch_.report.read.valid()) ReadReport();
    KillEverything();
    AwaitInit();
    Reap();
    if (launch_.cgroup != nullptr) {
      for (int i = 0; i < kKillTries && !launch_.cgroup->KillAll(); ++i) poll(nullptr, 0, 1);
    }
    while (!out_.over() && out_.Drain(buffer)) {
    }
    while (!err_.over() && err_.Drain(buffer)) {
    }
    CheckOutput();
  }

  // Also when the program has ended meanwhile: what is kept is not all it wrote.
  void CheckOutput() {
    for (const Stream* stream : {&out_, &err_}) {
      if (!stream->over() || decided_) continue;
      ended_ = false;
      Decide(v1::OUTPUT_LIMIT,
             absl::StrCat(stream->name(), " is longer than output_bytes = ", stream->limit()));
    }
    if (!decided_) return;
    // A stopped program's output is not waited for, and a full pipe must not stop its dying.
    if (out_.over()) out_.Close();
    if (err_.over()) err_.Close();
  }

  void ObeyKill() {
    uint64_t ignored;
    (void)!read(wake_.get(), &ignored, sizeof ignored);
    std::string reason;
    {
      absl::MutexLock lock(&mu_);
      reason = kill_reason_;
    }
    Decide(v1::KILLED, reason);
    KillEverything();
  }

  // First verdict wins.
  void Decide(v1::Verdict verdict, const std::string& detail) {
    if (decided_ || ended_) return;
    decided_ = true;
    report_.set_verdict(verdict);
    report_.set_detail(detail);
    if (pid_ > 0) KillEverything();
  }

  void KillEverything() {
    if (launch_.contained) {
      // The death of the namespace's first process is the death of all in it. Before it is known,
      // the death of bubblewrap is its death (--die-with-parent).
      if (init_.valid()) {
        Signal(init_, SIGKILL);
      } else {
        Signal(pidfd_, SIGKILL);
      }
    } else {
      // The process is reaped only later, so the group's number is still its own.
      const ProcessUse use = MeasureProcesses(pid_);
      kill(-pid_, SIGKILL);
      for (pid_t pid : use.pids) kill(pid, SIGKILL);
    }
    if (launch_.cgroup != nullptr && !init_.valid()) launch_.cgroup->KillAll();
  }

  // bubblewrap: {"child-pid": N, …}, the pid as we see it.
  void ReadStatus() {
    char buffer[1024];
    const ssize_t n = read(launch_.status.read.get(), buffer, sizeof buffer);
    if (n < 0) return;
    if (n == 0) {
      launch_.status.read.reset();
      return;
    }
    if (status_text_.size() < kMaxStatusBytes) status_text_.append(buffer, static_cast<size_t>(n));
    constexpr std::string_view kKey = "\"child-pid\":";
    const size_t at = status_text_.find(kKey);
    if (init_.valid() || at == std::string::npos) return;
    const long pid = strtol(status_text_.c_str() + at + kKey.size(), nullptr, 10);
    if (pid <= 1) return;
    init_pid_ = static_cast<pid_t>(pid);
    init_ = Fd(OpenPidfd(init_pid_));
    if (decided_) KillEverything();
  }

  void ReadReport() {
    InitReport record;
    for (;;) {
      const ssize_t n = read(launch_.report.read.get(), &record, sizeof record);
      if (n < 0) return;
      if (n != sizeof record) {
        launch_.report.read.reset();
        return;
      }
      switch (record.kind) {
        case kInitStarted:
          if (!init_.valid() && launch_.status.read.valid()) ReadStatus();
          watch_.Started(init_pid_, MonotonicNs());
          init_started_ = true;
          break;
        case kInitFailed:
          Decide(v1::NOT_STARTED, absl::StrCat(launch_.spec.argv[0], ": ", strerror(record.value)));
          break;
        case kInitEnded:
          ended_ = true;
          wait_status_ = record.value;
          cpu_s_ = static_cast<double>(record.cpu_us) / 1e6;
          peak_bytes_ = static_cast<uint64_t>(record.peak_bytes);
          break;
        default:
          break;
      }
    }
  }

  // A killed bubblewrap no longer waits for the namespace: we do.
  void AwaitInit() {
    if (!init_.valid()) return;
    Signal(init_, SIGKILL);
    pollfd fd = {init_.get(), POLLIN, 0};
    while (poll(&fd, 1, -1) < 0 && errno == EINTR) {
    }
  }

  void Reap() {
    int status = 0;
    rusage usage = {};
    while (wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    if (launch_.contained) return;
    ended_ = true;
    wait_status_ = status;
    cpu_s_ = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    // Of no use when the process was started in the worker's memory: that counts as its own.
    if (watch_.peak_bytes() == 0) peak_bytes_ = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  }

  void Finish() {
    if (!decided_) {
      if (std::optional<Finding> finding = watch_.AtEnd()) {
        decided_ = true;
        report_.set_verdict(finding->verdict);
        report_.set_detail(finding->detail);
      }
    }
    if (!decided_) Explain();
    report_.set_cpu_s(ended_ ? cpu_s_ : std::max(cpu_s_, watch_.cpu_s()));
    report_.set_peak_memory_bytes(std::max(peak_bytes_, watch_.peak_bytes()));
    report_.set_stdout_bytes(out_.bytes());
    report_.set_stderr_bytes(err_.bytes());
    for (const Stream* stream : {&out_, &err_}) {
      if (stream->write_error().empty()) continue;
      report_.set_detail(absl::StrCat(report_.detail(), report_.detail().empty() ? "" : "; ",
                                      stream->name(), " could not be kept: ", stream->write_error()));
    }
  }

  void Explain() {
    if (ended_) {
      ExplainEnd(wait_status_, launch_.spec.limits, report_);
    } else if (launch_.contained && !init_started_) {
      report_.set_verdict(v1::NOT_STARTED);
      report_.set_detail(absl::StrCat("the sandbox could not be made: ",
                                      absl::StripAsciiWhitespace(err_.tail())));
    } else {
      report_.set_verdict(v1::KILLED);
      report_.set_detail("killed from outside, perhaps because the machine ran out of memory");
    }
  }

  Launch launch_;
  Watch watch_;
  Fd wake_;
  std::thread thread_;
  absl::Notification spawned_;

  absl::Mutex mu_;
  bool kill_asked_ ABSL_GUARDED_BY(mu_) = false;
  std::string kill_reason_ ABSL_GUARDED_BY(mu_);

  // Written by the thread before `spawned_`, then constant.
  absl::Status start_error_;
  uint64_t started_unix_ns_ = 0;
  uint64_t started_monotonic_ns_ = 0;

  // The thread's own, until it has been joined.
  pid_t pid_ = -1;
  Fd pidfd_;
  pid_t init_pid_ = 0;
  Fd init_;                    // the namespace's first process
  std::string status_text_;
  Stream out_{"standard output"};
  Stream err_{"standard error"};
  bool init_started_ = false;
  bool decided_ = false;       // a verdict stands, and everything was killed
  bool ended_ = false;         // the program's own end is known
  int wait_status_ = 0;
  double cpu_s_ = 0;
  uint64_t peak_bytes_ = 0;
  uint64_t ended_ns_ = 0;
  v1::ExitReport report_;
};

}  // namespace

absl::Status PrepareStreams(Launch& launch) {
  ASSIGN_OR_RETURN(launch.out, MakePipe("standard output"));
  ASSIGN_OR_RETURN(launch.err, MakePipe("standard error"));
  if (launch.spec.stdin_text.empty()) {
    launch.stdin_file = Fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!launch.stdin_file.valid()) return absl::ResourceExhaustedError("/dev/null cannot be opened");
  } else {
    ASSIGN_OR_RETURN(Fd text, MakeMemoryFile("sextant-stdin", launch.spec.stdin_text));
    ASSIGN_OR_RETURN(launch.stdin_file, Reopen(text));
  }
  launch.spawn.stdio[0] = launch.stdin_file.get();
  launch.spawn.stdio[1] = launch.out.write.get();
  launch.spawn.stdio[2] = launch.err.write.get();
  return absl::OkStatus();
}

absl::Status PrepareCgroup(const CgroupMaker& maker, int own_processes, Launch& launch) {
  ASSIGN_OR_RETURN(launch.cgroup,
                   maker.Make(launch.spec.name, launch.spec.limits, own_processes));
  if (launch.cgroup == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(Cgroup::Doors doors, launch.cgroup->OpenForEntry());
  for (Fd& file : doors.files) {
    launch.spawn.cgroup_files.push_back(file.get());
    launch.others.push_back(std::move(file));
  }
  launch.spawn.cgroup_directory = doors.directory.get();
  launch.others.push_back(std::move(doors.directory));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Running>> StartRun(Launch launch) {
  auto run = std::make_unique<Run>(std::move(launch));
  RETURN_IF_ERROR(run->Start());
  return run;
}

}  // namespace sextant::sandbox
