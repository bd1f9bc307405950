#include "workers/backends/exec/child.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::backends::exec {
namespace {

constexpr uid_t kNobody = 65534;
constexpr uint64_t kErrBytes = 64 << 10;

// Both ends of a pipe; closed with the object.
struct Pipe {
  int read = -1, write = -1;
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  absl::Status Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
    read = ends[0];
    write = ends[1];
    return absl::OkStatus();
  }
  void CloseRead() { Close(read); }
  void CloseWrite() { Close(write); }
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

void Limit(int resource, uint64_t value) {
  const rlimit limit = {static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  setrlimit(resource, &limit);
}

// Between fork and execve: only calls that are safe there. Never returns.
[[noreturn]] void BecomeChild(char* const* argv, char* const* envp, int in, const Pipe& out,
                              const Pipe& err, const ChildLimits& limits) {
  setpgid(0, 0);
  dup2(in, 0);
  dup2(out.write, 1);
  dup2(err.write, 2);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_AS, limits.memory_bytes);
  Limit(RLIMIT_FSIZE, limits.file_bytes);
  Limit(RLIMIT_NOFILE, limits.open_files);
  Limit(RLIMIT_CPU, static_cast<uint64_t>(limits.wall_s) + 1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (geteuid() == 0 &&
      (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0)) {
    _exit(126);
  }
  if (chdir("/") != 0) _exit(126);
  execve(argv[0], argv, envp);
  const char* why = strerror(errno);
  if (write(2, why, strlen(why)) < 0) _exit(126);
  _exit(127);
}

// A file in memory that holds `input`, to be read from its beginning.
absl::StatusOr<int> MakeInput(const std::string& input) {
  const int fd = memfd_create("sextant-input", MFD_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "memfd_create");
  for (size_t done = 0; done < input.size();) {
    const ssize_t n =
        pwrite(fd, input.data() + done, input.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status status = absl::ErrnoToStatus(errno, "the input of a child");
      close(fd);
      return status;
    }
    done += static_cast<size_t>(n);
  }
  return fd;
}

// Reads what there is; false: the other end is closed.
bool Drain(int fd, uint64_t max_bytes, std::string* to) {
  char piece[64 << 10];
  const ssize_t n = read(fd, piece, sizeof piece);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  if (to->size() < max_bytes + 1) to->append(piece, static_cast<size_t>(n));
  return true;
}

}  // namespace

absl::StatusOr<ChildEnd> RunChild(const std::vector<std::string>& argv, const std::string& input,
                                  const ChildLimits& limits) {
  Pipe in, out, err;  // `in` is a file in memory: who does not read it hangs nobody
  ASSIGN_OR_RETURN(in.read, MakeInput(input));
  RETURN_IF_ERROR(out.Open());
  RETURN_IF_ERROR(err.Open());
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const char* environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/opt/rocm/bin",
                               "HOME=/nonexistent", "LANG=C.UTF-8", "TMPDIR=/tmp", nullptr};
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    BecomeChild(words.data(), const_cast<char* const*>(environment), in.read, out, err, limits);
  }
  setpgid(pid, pid);
  in.CloseRead();
  out.CloseWrite();
  err.CloseWrite();

  ChildEnd end;
  absl::Status status;
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(static_cast<int64_t>(limits.wall_s * 1000));
  while (status.ok() && (out.read >= 0 || err.read >= 0)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - std::chrono::steady_clock::now())
                          .count();
    if (left <= 0) {
      status = absl::DeadlineExceededError(absl::StrCat("took longer than ", limits.wall_s, " s"));
      break;
    }
    pollfd fds[2] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
    if (poll(fds, 2, static_cast<int>(left)) < 0 && errno != EINTR) {
      status = absl::ErrnoToStatus(errno, "poll");
      break;
    }
    if (fds[0].revents != 0 && !Drain(out.read, limits.output_bytes, &end.out)) out.CloseRead();
    if (fds[1].revents != 0 && !Drain(err.read, kErrBytes, &end.err)) err.CloseRead();
    if (end.out.size() > limits.output_bytes) {
      status =
          absl::OutOfRangeError(absl::StrCat("printed more than ", limits.output_bytes, " bytes"));
    }
  }
  // Its output has ended; so will it, or it is made to.
  int wait_status = 0;
  pid_t ended = 0;
  while (status.ok() && (ended = waitpid(pid, &wait_status, WNOHANG)) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      status = absl::DeadlineExceededError(absl::StrCat("took longer than ", limits.wall_s, " s"));
    } else {
      usleep(1000);
    }
  }
  kill(-pid, SIGKILL);  // what it may have left running
  while (ended != pid && waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (!status.ok()) return status;
  if (end.err.size() > kErrBytes) end.err.resize(kErrBytes);
  if (WIFEXITED(wait_status)) end.exit_code = WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) end.signal = WTERMSIG(wait_status);
  return end;
}

}  // namespace sextant::backends::exec
