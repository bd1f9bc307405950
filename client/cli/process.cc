#include "client/cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

extern char** environ;

namespace sextant::cli {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& a : argv) pointers.push_back(const_cast<char*>(a.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Starts argv with what `actions` says; nothing of this program's signal mask is inherited.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, posix_spawn_file_actions_t* actions,
                            short flags) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, flags | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, argv[0].c_str(), actions, &attributes, Pointers(argv).data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::NotFoundError(absl::StrCat("starting ", argv[0], ": ", std::strerror(error)));
  }
  return pid;
}

}  // namespace

std::optional<ProcessId> Identify(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  // The name in parentheses may hold anything: fields are counted after its end.
  const size_t end = stat.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(end + 1), ' ', absl::SkipEmpty());
  ProcessId process{pid};
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X" ||
      !absl::SimpleAtoi(fields[19], &process.start_ticks)) {
    return std::nullopt;
  }
  return process;
}

bool Alive(const ProcessId& process) {
  const auto now = Identify(process.pid);
  return now && now->start_ticks == process.start_ticks;
}

absl::Status WritePidFile(const std::string& path, const ProcessId& process) {
  const std::string partial = path + ".part";
  std::ofstream file(partial, std::ios::trunc);
  file << process.pid << " " << process.start_ticks << "\n";
  file.close();
  if (!file || std::rename(partial.c_str(), path.c_str()) != 0) {
    return absl::InternalError(absl::StrCat("writing ", path, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

std::optional<ProcessId> ReadPidFile(const std::string& path) {
  std::ifstream file(path);
  ProcessId process;
  if (!(file >> process.pid >> process.start_ticks) || process.pid <= 1 || !Alive(process)) {
    return std::nullopt;
  }
  return process;
}

absl::StatusOr<ProcessId> SpawnDetached(const std::vector<std::string>& argv, const std::string& log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  auto pid = Spawn(argv, &actions, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_destroy(&actions);
  if (!pid.ok()) return pid.status();
  if (auto process = Identify(*pid)) return *process;
  return absl::InternalError(absl::StrCat(argv[0], " ended at once; see ", log));
}

bool SignalAndWait(const ProcessId& process, int signal_number, double timeout_s) {
  const absl::Time end = absl::Now() + absl::Seconds(timeout_s);
  if (Alive(process)) kill(process.pid, signal_number);
  while (Alive(process)) {
    if (absl::Now() >= end) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  // Collects it, if it was a child of this very program.
  waitpid(process.pid, nullptr, WNOHANG);
  return true;
}

absl::StatusOr<Output> RunAndRead(const std::vector<std::string>& argv, double timeout_s) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::InternalError("making a pipe failed");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  auto pid = Spawn(argv, &actions, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (!pid.ok()) {
    close(ends[0]);
    return pid.status();
  }
  Output output;
  const absl::Time end = absl::Now() + absl::Seconds(timeout_s);
  bool late = false;
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(end - absl::Now());
    pollfd waiting{ends[0], POLLIN, 0};
    const int ready = left <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      late = true;
      break;
    }
    char buffer[8192];
    const ssize_t n = read(ends[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output.text.append(buffer, n);
  }
  close(ends[0]);
  if (late) kill(-*pid, SIGKILL);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) {
    return absl::DeadlineExceededError(absl::StrCat(argv[0], " did not end within ", timeout_s, " s"));
  }
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return output;
}

absl::Status Exec(const std::vector<std::string>& argv) {
  sigset_t none;
  sigemptyset(&none);
  signal(SIGPIPE, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0].c_str(), Pointers(argv).data());
  return absl::InternalError(absl::StrCat("starting ", argv[0], ": ", std::strerror(errno)));
}

std::string TailOf(const std::string& path, size_t bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const auto size = static_cast<size_t>(file.tellg());
  file.seekg(static_cast<std::streamoff>(size > bytes ? size - bytes : 0));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (size > bytes) {
    if (const size_t line = text.find('\n'); line != std::string::npos) text.erase(0, line + 1);
  }
  return text;
}

}  // namespace sextant::cli
