#include "workers/sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {
namespace {

// An empty directory of every Linux system; only our own mount namespace sees what is put there.
constexpr const char* kStage = "/mnt";
constexpr size_t kStackBytes = 64 << 10;
constexpr int kFirstFd = 3;

// Everything the child needs, made before it exists: it may not allocate, and it may call only what
// is safe between fork and exec, as raw system calls where the C library would tell other threads.
struct Child {
  const char* path;
  char* const* argv;
  char* const* envp;
  const char* cwd;
  int stdio[3];
  const int* fds;
  int fd_count;
  const int* cgroup_files;
  size_t cgroup_count;
  const std::pair<int, rlimit>* rlimits;
  size_t rlimit_count;
  bool new_session;
  bool change_user;
  uid_t uid;
  gid_t gid;
  const SpawnRequest::Staged* staged;
  const char (*staged_paths)[32];  // where to put them
  size_t staged_count;
  pid_t parent;
  const char* failed_step;  // written by the child: the memory is shared
  int failed_errno;
};

int Fail(Child* c, const char* step) {
  c->failed_errno = errno == 0 ? EIO : errno;
  c->failed_step = step;
  _exit(127);
}

// "/proc/self/fd/N", written without the C library's formatting.
void FdPath(int fd, char* out) {
  const char prefix[] = "/proc/self/fd/";
  memcpy(out, prefix, sizeof prefix - 1);
  char* end = out + sizeof prefix - 1;
  char digits[12];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + fd % 10);
    fd /= 10;
  } while (fd > 0);
  while (count > 0) *end++ = digits[--count];
  *end = 0;
}

// Sources are opened first, in this namespace: the stage may hide the place where they lie.
void Stage(Child* c) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) Fail(c, "private mounts");
  int sources[kMaxStaged];
  for (size_t i = 0; i < c->staged_count; ++i) {
    sources[i] = open(c->staged[i].path.c_str(), O_PATH | O_CLOEXEC);
    if (sources[i] < 0) Fail(c, "opening a staged directory");
  }
  if (mount("tmpfs", kStage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") != 0) {
    Fail(c, "staging mount");
  }
  for (size_t i = 0; i < c->staged_count; ++i) {
    const char* target = c->staged_paths[i];
    const bool made = c->staged[i].directory ? mkdir(target, 0755) == 0
                                             : mknod(target, S_IFREG | 0644, 0) == 0;
    char source[40];
    FdPath(sources[i], source);
    if (!made || mount(source, target, nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      Fail(c, "staging a directory");
    }
  }
}

int RunChild(void* argument) {
  Child* c = static_cast<Child*>(argument);
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int s = 1; s < 65; ++s) {
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &standard, nullptr);
  }
  // While still allowed to: into the cgroup. "tasks" of a single thread costs 0.1 ms where
  // "cgroup.procs" waits for every processor (7 to 16 ms).
  for (size_t i = 0; i < c->cgroup_count; ++i) {
    if (write(c->cgroup_files[i], "0", 1) != 1) Fail(c, "entering the cgroup");
  }
  if (c->staged_count > 0) Stage(c);
  if (c->new_session) setsid();
  for (int i = 0; i < 3; ++i) {
    if (dup2(c->stdio[i], i) < 0) Fail(c, "standard streams");
  }
  for (int i = 0; i < c->fd_count; ++i) {
    if (dup2(c->fds[i], kFirstFd + i) < 0) Fail(c, "file descriptors");
  }
  if (syscall(SYS_close_range, static_cast<unsigned>(kFirstFd + c->fd_count), ~0U, 0U) != 0) {
    for (int fd = kFirstFd + c->fd_count; fd < 4096; ++fd) close(fd);
  }
  if (c->cwd != nullptr && chdir(c->cwd) != 0) Fail(c, "working directory");
  for (size_t i = 0; i < c->rlimit_count; ++i) {
    setrlimit(static_cast<__rlimit_resource>(c->rlimits[i].first), &c->rlimits[i].second);
  }
  if (c->change_user) {
    if (syscall(SYS_setgroups, 0, nullptr) != 0) Fail(c, "leaving groups");
    if (syscall(SYS_setresgid, c->gid, c->gid, c->gid) != 0) Fail(c, "changing the group");
    if (syscall(SYS_setresuid, c->uid, c->uid, c->uid) != 0) Fail(c, "changing the user");
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != c->parent) _exit(127);  // it died before the line above
  umask(022);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(c->path, c->argv, c->envp);
  Fail(c, "exec");
  return 127;
}

// The kernel's clone3 with a function and a stack, which the C library does not offer. −1 and errno
// on failure. The registers that hold `run` and `argument` survive the system call.
pid_t Clone3(clone_args& args, int (*run)(void*), void* argument) {
  long result = -ENOSYS;
#if defined(__x86_64__)
  register int (*run_in)(void*) asm("r12") = run;
  register void* argument_in asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "0"(static_cast<long>(SYS_clone3)), "D"(&args), "S"(sizeof args), "r"(run_in),
        "r"(argument_in), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register long first asm("x0") = reinterpret_cast<long>(&args);
  register long second asm("x1") = sizeof args;
  register int (*run_in)(void*) asm("x10") = run;
  register void* argument_in asm("x11") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, #0\n\t"
      "mov x0, x11\n\t"
      "blr x10\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n"
      "1:"
      : "+r"(first)
      : "r"(number), "r"(second), "r"(run_in), "r"(argument_in), [exit] "i"(SYS_exit)
      : "memory", "cc", "x30");
  result = first;
#endif
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string StagedPath(size_t i) { return absl::StrCat(kStage, "/", i); }

absl::StatusOr<Spawned> Spawn(const SpawnRequest& request) {
  if (request.staged.size() > kMaxStaged) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxStaged, " mounts"));
  }
  std::vector<std::string> argv = request.argv;
  std::vector<std::string> env;
  for (const auto& [name, value] : request.env) env.push_back(absl::StrCat(name, "=", value));
  std::vector<char*> argv_pointers = Pointers(argv), env_pointers = Pointers(env);

  // Above every number the child puts in place, so that placing one never closes another.
  const int above = kFirstFd + static_cast<int>(request.fds.size());
  std::vector<Fd> owned;
  auto lift = [&](int fd) {
    owned.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, above));
    return owned.back().get();
  };
  std::vector<int> fds;
  for (int fd : request.fds) fds.push_back(lift(fd));
  std::vector<char> paths(request.staged.size() * 32);
  for (size_t i = 0; i < request.staged.size(); ++i) {
    snprintf(&paths[i * 32], 32, "%s/%zu", kStage, i);
  }

  Child child = {};
  child.path = request.path.c_str();
  child.argv = argv_pointers.data();
  child.envp = env_pointers.data();
  child.cwd = request.cwd.empty() ? nullptr : request.cwd.c_str();
  for (int i = 0; i < 3; ++i) child.stdio[i] = lift(request.stdio[i]);
  child.fds = fds.data();
  child.fd_count = static_cast<int>(fds.size());
  child.cgroup_files = request.cgroup_files.data();
  child.cgroup_count = request.cgroup_files.size();
  child.rlimits = request.rlimits.data();
  child.rlimit_count = request.rlimits.size();
  child.new_session = request.new_session;
  child.change_user = request.change_user;
  child.uid = request.uid;
  child.gid = request.gid;
  child.staged = request.staged.data();
  child.staged_paths = reinterpret_cast<const char(*)[32]>(paths.data());
  child.staged_count = request.staged.size();
  child.parent = getpid();

  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return absl::ResourceExhaustedError("no memory to start a process");
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  if (!request.staged.empty()) flags |= CLONE_NEWNS;
  pid_t pid = -1;
  if (request.cgroup_directory >= 0) {
    clone_args args = {};
    args.flags = CLONE_INTO_CGROUP | static_cast<uint64_t>(flags & ~SIGCHLD);
    args.exit_signal = SIGCHLD;
    args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    args.stack = reinterpret_cast<uint64_t>(stack);
    args.stack_size = kStackBytes;
    args.cgroup = static_cast<uint64_t>(request.cgroup_directory);
    child.cgroup_count = 0;
    pid = Clone3(args, &RunChild, &child);
    if (pid < 0) child.cgroup_count = request.cgroup_files.size();  // then the slow way
  }
  if (pid < 0) {
    pid = clone(&RunChild, static_cast<char*>(stack) + kStackBytes, flags, &child, &pidfd);
  }
  const int clone_errno = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kStackBytes);
  // Changing the user in shared memory made the worker undumpable.
  if (request.change_user) prctl(PR_SET_DUMPABLE, 1);

  if (pid < 0) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no process can be started: ", strerror(clone_errno), "; too many processes run here"));
  }
  Spawned spawned;
  spawned.pid = pid;
  spawned.pidfd = Fd(pidfd);
  if (child.failed_errno != 0) {
    waitpid(pid, nullptr, 0);
    spawned.pid = -1;
    spawned.pidfd.reset();
    spawned.exec_errno = child.failed_errno;
    spawned.step = child.failed_step;
  }
  return spawned;
}

}  // namespace sextant::sandbox
