#include "server/store/cluster_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proto/status/status.h"

namespace sextant::store {
namespace {

constexpr size_t kKeptOutputBytes = 64 << 10;

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: system calls alone, because other threads held locks when we forked.
[[noreturn]] void BecomeAndExec(const Account& account, char* const* argv, char* const* envp,
                                const char* directory, int out) {
  setsid();
  const int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
#ifdef SYS_close_range
  syscall(SYS_close_range, 3, ~0u, 0);
#endif
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE, SIGCHLD}) ::signal(signal, SIG_DFL);
  umask(077);
  if (account.drop && (syscall(SYS_setgroups, 1, &account.gid) != 0 ||
                       syscall(SYS_setgid, account.gid) != 0 ||
                       syscall(SYS_setuid, account.uid) != 0)) {
    dprintf(2, "cannot become another user (a user namespace that knows only root?)\n");
    _exit(126);
  }
  if (chdir(directory) != 0) {
    dprintf(2, "cannot enter %s: %s\n", directory, strerror(errno));
    _exit(126);
  }
  execve(argv[0], argv, envp);
  dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

absl::StatusOr<pid_t> Fork(const Account& account, std::vector<std::string> argv,
                           const std::string& directory, int out) {
  // No PG… variable of the caller may change what the programs do.
  std::vector<std::string> environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C",
                                          "HOME=/", "TZ=UTC"};
  const std::vector<char*> arguments = Pointers(argv);
  const std::vector<char*> envp = Pointers(environment);
  const pid_t pid = fork();
  if (pid < 0) return absl::InternalError(absl::StrCat("cannot fork: ", strerror(errno)));
  if (pid == 0) BecomeAndExec(account, arguments.data(), envp.data(), directory.c_str(), out);
  return pid;
}

absl::StatusOr<Account> AccountOf(const passwd* entry, bool drop) {
  if (entry == nullptr) return absl::NotFoundError("no such user");
  return Account{entry->pw_uid, entry->pw_gid, entry->pw_name, drop};
}

}  // namespace

absl::StatusOr<Account> ChooseAccount(const std::string& data) {
  struct stat info;
  const bool exists = stat(data.c_str(), &info) == 0;
  if (geteuid() != 0) {
    if (exists && info.st_uid != geteuid()) {
      const passwd* owner = getpwuid(info.st_uid);
      return absl::FailedPreconditionError(absl::StrCat(
          data, " belongs to user ", owner ? owner->pw_name : absl::StrCat(info.st_uid).c_str(),
          ": run as that user or as root, or give another data directory"));
    }
    const passwd* self = getpwuid(geteuid());
    return Account{geteuid(), getegid(), self ? self->pw_name : absl::StrCat(geteuid()), false};
  }
  if (exists && info.st_uid != 0) {
    const passwd* owner = getpwuid(info.st_uid);
    return Account{info.st_uid, info.st_gid, owner ? owner->pw_name : absl::StrCat(info.st_uid),
                   true};
  }
  for (const char* name : {"postgres", "nobody"}) {
    if (auto account = AccountOf(getpwnam(name), /*drop=*/true); account.ok()) return account;
  }
  return absl::FailedPreconditionError(
      "PostgreSQL does not run as root, and there is neither a user \"postgres\" nor \"nobody\" to "
      "run it as: create one (useradd --system postgres)");
}

absl::StatusOr<std::string> RunToEnd(const Account& account, const std::vector<std::string>& argv,
                                     const std::string& directory) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", strerror(errno)));
  absl::StatusOr<pid_t> pid = Fork(account, argv, directory, ends[1]);
  close(ends[1]);
  std::string output;
  char buffer[4096];
  ssize_t got = 0;
  while (pid.ok() && ((got = read(ends[0], buffer, sizeof buffer)) > 0 ||
                      (got < 0 && errno == EINTR))) {
    if (got > 0) output.append(buffer, got);
    if (output.size() > kKeptOutputBytes) output.erase(0, output.size() - kKeptOutputBytes);
  }
  close(ends[0]);
  RETURN_IF_ERROR(pid.status());
  int ended = 0;
  while (waitpid(*pid, &ended, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return output;
  const size_t tail = output.size() > 2000 ? output.size() - 2000 : 0;
  return absl::InternalError(absl::StrCat(argv[0], " failed as user ", account.name, ": ",
                                          absl::StripAsciiWhitespace(output.substr(tail))));
}

absl::StatusOr<pid_t> Spawn(const Account& account, const std::vector<std::string>& argv,
                            const std::string& directory, const std::string& log) {
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0) return absl::InternalError(absl::StrCat("cannot write ", log, ": ", strerror(errno)));
  absl::StatusOr<pid_t> pid = Fork(account, argv, directory, out);
  close(out);
  return pid;
}

bool IsRunning(pid_t pid) {
  if (waitpid(pid, nullptr, WNOHANG) == pid) return false;
  return kill(pid, 0) == 0 || errno == EPERM;
}

std::string ProgramOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

void KillAllIn(const std::string& directory, const std::string& program) {
  DIR* processes = opendir("/proc");
  if (processes == nullptr) return;
  while (const dirent* entry = readdir(processes)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid == getpid()) continue;
    char cwd[4096];
    const ssize_t size =
        readlink(absl::StrCat("/proc/", pid, "/cwd").c_str(), cwd, sizeof cwd);
    if (size <= 0 || absl::string_view(cwd, size) != directory) continue;
    if (ProgramOf(pid) == program) kill(pid, SIGKILL);
  }
  closedir(processes);
}

}  // namespace sextant::store
