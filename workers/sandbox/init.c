// The first process inside the sandbox (PID 1 of its namespace). Starts the program under its
// resource limits, reaps what it leaves behind, and reports over a pipe exactly how it ended; its
// own exit makes the kernel kill everything else in the namespace.
//
//   sextant-init report=FD [warm=FD] [nproc=N] [as=N] [fsize=N] [nofile=N] [cpu=N] -- PROGRAM [ARG…]
//   sextant-init lay …
//
// With warm=, the program is one that waits and forks, and runs are started in it (warm_init.c).
// Linked statically: it also runs inside root file systems that have no C library.
#define _GNU_SOURCE
#include "workers/sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers/sandbox/warm_protocol.h"

struct Limit {
  const char* name;
  int resource;
};

static const struct Limit kLimits[] = {{"nproc=", RLIMIT_NPROC}, {"as=", RLIMIT_AS},
                                       {"fsize=", RLIMIT_FSIZE}, {"nofile=", RLIMIT_NOFILE},
                                       {"cpu=", RLIMIT_CPU}};
enum { kLimitCount = sizeof kLimits / sizeof kLimits[0] };

static void Report(int fd, struct InitReport report) {
  while (write(fd, &report, sizeof report) < 0 && errno == EINTR) {
  }
}

// Everything inherited beyond standard input, output and error stays out of the program.
static void CloseOnExec(void) {
  if (syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) == 0) return;
  for (int fd = 3; fd < 1024; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void MoreKillable(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "500", 3) < 0) { /* the machine's choice then */
  }
  close(fd);
}

// argv[0] without a slash: the working directory first, then PATH. Returns only on failure.
static int Exec(char** argv) {
  char path[PATH_MAX];
  struct stat st;
  if (strchr(argv[0], '/') == NULL) {
    size_t n = strlen(argv[0]);
    if (n > 0 && n + 3 < sizeof path) {
      memcpy(path, "./", 2);
      memcpy(path + 2, argv[0], n + 1);
      if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0) {
        execv(path, argv);
        return errno;
      }
    }
    execvp(argv[0], argv);
    return errno;
  }
  execv(argv[0], argv);
  return errno;
}

static unsigned long long limits[sizeof kLimits / sizeof kLimits[0]];

// In the child: the program's own protections and limits, then exec. Returns errno on failure.
static int Enter(char** program) {
  prctl(PR_SET_DUMPABLE, 1);
  MoreKillable();
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (int k = 0; k < kLimitCount; ++k) {
    if (limits[k] == 0) continue;
    struct rlimit limit = {limits[k], limits[k]};
    setrlimit(kLimits[k].resource, &limit);
  }
  return Exec(program);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "lay") == 0) return LayMain(argc, argv);
  int report_fd = -1, warm_fd = -1;
  int i = 1;
  for (; i < argc && strcmp(argv[i], "--") != 0; ++i) {
    if (strncmp(argv[i], "report=", 7) == 0) report_fd = atoi(argv[i] + 7);
    if (strncmp(argv[i], "warm=", 5) == 0) warm_fd = atoi(argv[i] + 5);
    for (int k = 0; k < kLimitCount; ++k) {
      size_t n = strlen(kLimits[k].name);
      if (strncmp(argv[i], kLimits[k].name, n) == 0) limits[k] = strtoull(argv[i] + n, NULL, 10);
    }
  }
  if (report_fd < 0 || i + 1 >= argc) return 2;
  char** program = argv + i + 1;

  prctl(PR_SET_DUMPABLE, 0);  // the program, of the same user, can neither trace nor read us
  prctl(PR_SET_NAME, "sextant-init");
  CloseOnExec();
  if (warm_fd >= 0) return WarmMain(warm_fd, program, &Enter);

  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return 2;
  pid_t child = fork();
  if (child < 0) {
    Report(report_fd, (struct InitReport){.kind = kInitFailed, .value = errno});
    return 2;
  }
  if (child == 0) {
    int error = Enter(program);
    if (write(failure[1], &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  close(failure[1]);
  int error = 0;
  ssize_t n;
  while ((n = read(failure[0], &error, sizeof error)) < 0 && errno == EINTR) {
  }
  close(failure[0]);
  if (n == sizeof error) {
    Report(report_fd, (struct InitReport){.kind = kInitFailed, .value = error});
    return 2;
  }
  Report(report_fd, (struct InitReport){.kind = kInitStarted});
  // The pipes' ends are the program's now; a closed one must not look open because of us.
  close(0);
  close(1);
  close(2);

  for (;;) {
    int status;
    pid_t pid = wait4(-1, &status, 0, NULL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return 2;
    if (pid != child) continue;
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    Report(report_fd,
           (struct InitReport){
               .kind = kInitEnded,
               .value = status,
               .cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
                         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
               .peak_bytes = usage.ru_maxrss * 1024LL});
    return 0;
  }
}
