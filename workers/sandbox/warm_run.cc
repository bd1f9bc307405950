#include "workers/sandbox/warm_run.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "workers/sandbox/explain.h"
#include "workers/sandbox/stream.h"
#include "workers/sandbox/watch.h"

namespace sextant::sandbox {
namespace {

// How long a killed run may take to be gone before the container is killed with it.
constexpr uint64_t kClearingNs = 5'000'000'000;

class WarmRun : public Running {
 public:
  WarmRun(std::shared_ptr<WarmLink> link, Launch launch, uint64_t started_unix_ns,
          uint64_t started_monotonic_ns)
      : link_(std::move(link)),
        launch_(std::move(launch)),
        started_unix_ns_(started_unix_ns),
        started_monotonic_ns_(started_monotonic_ns),
        watch_(launch_.spec, link_->cgroup.get(), launch_.placed_bytes),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this] { Main(); }) {}

  ~WarmRun() override {
    if (!thread_.joinable()) return;
    Kill("the run was abandoned");
    thread_.join();
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
    prctl(PR_SET_NAME, "sextant-warm");
    const uint64_t limit = launch_.spec.limits.output_bytes();
    out_.Open(std::move(launch_.out.read), launch_.spec.stdout_path, limit);
    err_.Open(std::move(launch_.err.read), launch_.spec.stderr_path, limit);
    watch_.Started(link_->init, started_monotonic_ns_);
    std::vector<char> buffer(kStreamBufferBytes);
    while (!ended_ && !lost_) Turn(buffer);
    ended_ns_ = MonotonicNs();
    if (decided_ || lost_) link_->container->Kill("a run in it was stopped");
    while (!out_.over() && out_.Drain(buffer)) {
    }
    while (!err_.over() && err_.Drain(buffer)) {
    }
    CheckOutput();
    Finish();
  }

  // Waits for what comes next and deals with it.
  void Turn(std::vector<char>& buffer) {
    pollfd fds[4] = {{link_->control.get(), POLLIN, 0},
                     {wake_.get(), POLLIN, 0},
                     {out_.pipe().get(), POLLIN, 0},
                     {err_.pipe().get(), POLLIN, 0}};
    const uint64_t next = decided_ ? decided_ns_ + kClearingNs : watch_.NextNs();
    const uint64_t now = MonotonicNs();
    const uint64_t left = next > now ? next - now : 0;
    const timespec timeout = {static_cast<time_t>(left / 1'000'000'000),
                              static_cast<long>(left % 1'000'000'000)};
    if (ppoll(fds, 4, &timeout, nullptr) < 0 && errno != EINTR) lost_ = true;
    const auto ready = [&](int i) { return fds[i].fd >= 0 && fds[i].revents != 0; };
    const uint64_t woke_ns = MonotonicNs();
    if (ready(0)) ReadControl();
    if (ready(1)) ObeyKill();
    if (ready(2) && out_.Drain(buffer)) watch_.SawOutput(woke_ns);
    if (ready(3) && err_.Drain(buffer)) watch_.SawOutput(woke_ns);
    CheckOutput();
    if (decided_) {
      lost_ = lost_ || (!ended_ && woke_ns >= decided_ns_ + kClearingNs);
    } else if (!ended_) {
      if (std::optional<Finding> finding = watch_.Check(woke_ns)) {
        Decide(finding->verdict, finding->detail);
      }
    }
  }

  void ReadControl() {
    FromWarm from;
    bool gone = false;
    if (!ReceiveWarm(link_->control, 0, &from, &gone)) {
      lost_ = lost_ || gone;
      return;
    }
    if (from.message.report.kind != kInitEnded) return;
    ended_ = true;
    end_ = from.message.report;
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
  }

  void CheckOutput() {
    for (const Stream* stream : {&out_, &err_}) {
      if (!stream->over() || decided_) continue;
      Decide(v1::OUTPUT_LIMIT,
             absl::StrCat(stream->name(), " is longer than output_bytes = ", stream->limit()));
    }
    if (!decided_) return;
    if (out_.over()) out_.Close();
    if (err_.over()) err_.Close();
  }

  // First verdict wins.
  void Decide(v1::Verdict verdict, const std::string& detail) {
    if (decided_) return;
    if (ended_ && verdict != v1::OUTPUT_LIMIT) return;
    decided_ = true;
    decided_ns_ = MonotonicNs();
    report_.set_verdict(verdict);
    report_.set_detail(detail);
    if (!ended_ && !SendWarm(link_->control, kWarmKill, nullptr, 0)) lost_ = true;
  }

  void Finish() {
    if (!decided_) {
      if (std::optional<Finding> finding = watch_.AtEnd()) {
        decided_ = true;
        report_.set_verdict(finding->verdict);
        report_.set_detail(finding->detail);
        link_->container->Kill("a run in it passed a limit");
      }
    }
    if (!decided_ && ended_) {
      ExplainEnd(end_.value, launch_.spec.limits, report_);
    } else if (!decided_) {
      report_.set_verdict(v1::KILLED);
      report_.set_detail("killed with its container, perhaps because the machine ran out of memory");
    }
    report_.set_wall_s(static_cast<double>(ended_ns_ - started_monotonic_ns_) / 1e9);
    report_.set_cpu_s(ended_ ? static_cast<double>(end_.cpu_us) / 1e6 : 0);
    report_.set_peak_memory_bytes(ended_ ? static_cast<uint64_t>(end_.peak_bytes) : watch_.peak_bytes());
    report_.set_stdout_bytes(out_.bytes());
    report_.set_stderr_bytes(err_.bytes());
    for (const Stream* stream : {&out_, &err_}) {
      if (stream->write_error().empty()) continue;
      report_.set_detail(absl::StrCat(report_.detail(), report_.detail().empty() ? "" : "; ",
                                      stream->name(), " could not be kept: ", stream->write_error()));
    }
  }

  const std::shared_ptr<WarmLink> link_;
  Launch launch_;
  const uint64_t started_unix_ns_;
  const uint64_t started_monotonic_ns_;

  absl::Mutex mu_;
  bool kill_asked_ ABSL_GUARDED_BY(mu_) = false;
  std::string kill_reason_ ABSL_GUARDED_BY(mu_);

  // The thread's own, until it has been joined.
  Watch watch_;
  Stream out_{"standard output"};
  Stream err_{"standard error"};
  bool decided_ = false;  // a verdict of ours stands
  uint64_t decided_ns_ = 0;
  bool ended_ = false;    // the program's own end is known, and nothing of it is left
  bool lost_ = false;     // the container is gone, or must go
  InitReport end_ = {};
  uint64_t ended_ns_ = 0;
  v1::ExitReport report_;

  const Fd wake_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

bool ReceiveWarm(const Fd& control, int timeout_ms, FromWarm* from, bool* gone) {
  pollfd one = {control.get(), POLLIN, 0};
  if (poll(&one, 1, timeout_ms) <= 0) return false;
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))] = {};
  iovec bytes = {&from->message, sizeof from->message};
  msghdr header = {};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = room;
  header.msg_controllen = sizeof room;
  const ssize_t n = recvmsg(control.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n != sizeof from->message) {
    *gone = true;
    return false;
  }
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred who;
      memcpy(&who, CMSG_DATA(part), sizeof who);
      from->sender = who.pid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      int number;
      memcpy(&number, CMSG_DATA(part), sizeof number);
      from->fd = Fd(number);
    }
  }
  from->message.text[kWarmTextBytes - 1] = 0;
  return true;
}

bool SendWarm(const Fd& control, uint32_t kind, const int* fds, int count) {
  WarmMessage message = {};
  message.report.kind = kind;
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int) * kWarmRunFds)] = {};
  iovec bytes = {&message, sizeof message};
  msghdr header = {};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  if (count > 0) {
    header.msg_control = room;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<size_t>(count));
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<size_t>(count));
    memcpy(CMSG_DATA(part), fds, sizeof(int) * static_cast<size_t>(count));
  }
  return sendmsg(control.get(), &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message);
}

std::unique_ptr<Running> FollowWarmRun(std::shared_ptr<WarmLink> link, Launch launch,
                                       uint64_t started_unix_ns, uint64_t started_monotonic_ns) {
  return std::make_unique<WarmRun>(std::move(link), std::move(launch), started_unix_ns,
                                   started_monotonic_ns);
}

}  // namespace sextant::sandbox
