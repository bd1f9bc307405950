// The first process of a warm container, and the entering of one. Part of the static init program.
//
// The zygote is a child of init; each run is the zygote's grandchild and, its parent having ended,
// init's child: so init alone learns how it ended, whatever the run does to the zygote. At its end
// everything but init and the zygote is stopped at one stroke, so that nothing can fork any more, and
// then killed. When that cannot be done, init ends, and the kernel kills all.
#define _GNU_SOURCE
#include "workers/sandbox/warm_protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kZygoteFd = 3, kSweeps = 1000 };

struct Warm {
  int control;    // to the worker
  int zygote_fd;  // to the zygote
  pid_t zygote;
  int zygote_gone;
  pid_t run;      // the program, 0: none
  int asked;      // a run was handed to the zygote and has not started
  int ended;      // of `run`
  int status;
  struct rusage used;  // by what ended since the run began
};

static int Send(int fd, const struct WarmMessage* message, const int* fds, int count) {
  char room[CMSG_SPACE(sizeof(int) * kWarmRunFds)] = {0};
  struct iovec bytes = {(void*)message, sizeof *message};
  struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (count > 0) {
    header.msg_control = room;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    struct cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    memcpy(CMSG_DATA(part), fds, sizeof(int) * (size_t)count);
  }
  ssize_t n;
  while ((n = sendmsg(fd, &header, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
  }
  return n < 0 ? -1 : 0;
}

static void Report(const struct Warm* warm, struct InitReport report, const char* text) {
  struct WarmMessage message = {.report = report};
  if (text != NULL) snprintf(message.text, sizeof message.text, "%s", text);
  Send(warm->control, &message, NULL, 0);
}

// Everything received that is not taken is closed. −1: the other side is gone.
static ssize_t Receive(int fd, void* data, size_t size, int* fds, int* count, pid_t* sender) {
  char room[CMSG_SPACE(sizeof(int) * kWarmRunFds) + CMSG_SPACE(sizeof(struct ucred))];
  struct iovec bytes = {data, size};
  struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room,
                          .msg_controllen = sizeof room};
  *count = 0;
  ssize_t n;
  while ((n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0 && errno == EINTR) {
  }
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  for (struct cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS && sender != NULL) {
      struct ucred who;
      memcpy(&who, CMSG_DATA(part), sizeof who);
      *sender = who.pid;
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    int got = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < got; ++i) {
      int one;
      memcpy(&one, CMSG_DATA(part) + (size_t)i * sizeof(int), sizeof one);
      if (*count < kWarmRunFds) {
        fds[(*count)++] = one;
      } else {
        close(one);
      }
    }
  }
  return n == 0 ? -1 : n;
}

static void Add(struct timeval* to, struct timeval more) {
  to->tv_sec += more.tv_sec;
  to->tv_usec += more.tv_usec;
}

static void Reap(struct Warm* warm) {
  for (;;) {
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    if (pid == warm->zygote) {
      warm->zygote_gone = 1;
      continue;
    }
    Add(&warm->used.ru_utime, usage.ru_utime);
    Add(&warm->used.ru_stime, usage.ru_stime);
    if (usage.ru_maxrss > warm->used.ru_maxrss) warm->used.ru_maxrss = usage.ru_maxrss;
    if (warm->run != 0 && pid == warm->run && !warm->ended) {
      warm->ended = 1;
      warm->status = status;
    }
  }
}

// SIGKILL to all but init and the zygote; how many there were that are not dead yet, or −1.
static int KillOthers(const struct Warm* warm) {
  DIR* proc = opendir("/proc");
  if (proc == NULL) return -1;
  int alive = 0;
  struct dirent* entry;
  while ((entry = readdir(proc)) != NULL) {
    pid_t pid = (pid_t)atoi(entry->d_name);
    if (pid <= 1 || pid == warm->zygote) continue;
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) continue;
    text[n] = 0;
    // "pid (name) state": the name may hold anything but does not hold the last bracket.
    const char* bracket = strrchr(text, ')');
    if (bracket == NULL || bracket[1] == 0) continue;
    if (bracket[2] != 'Z' && bracket[2] != 'X') ++alive;
    kill(pid, SIGKILL);
  }
  closedir(proc);
  return alive;
}

// 0: nothing of the run is left.
static int Sweep(struct Warm* warm) {
  for (int i = 0; i < kSweeps; ++i) {
    // At one stroke: what has a signal waiting cannot fork.
    kill(-1, SIGSTOP);
    int alive = KillOthers(warm);
    if (!warm->zygote_gone) kill(warm->zygote, SIGCONT);
    Reap(warm);
    if (alive == 0) return 0;
    if (alive < 0) return -1;
    poll(NULL, 0, 1);
  }
  return -1;
}

static int EndRun(struct Warm* warm) {
  if (Sweep(warm) != 0) return -1;
  Reap(warm);
  if (!warm->ended) return -1;
  Report(warm,
         (struct InitReport){
             .kind = kInitEnded,
             .value = warm->status,
             .cpu_us = (warm->used.ru_utime.tv_sec + warm->used.ru_stime.tv_sec) * 1000000LL +
                       warm->used.ru_utime.tv_usec + warm->used.ru_stime.tv_usec,
             .peak_bytes = warm->used.ru_maxrss * 1024LL},
         NULL);
  warm->run = 0;
  return 0;
}

// 0: go on.
static int FromWorker(struct Warm* warm) {
  struct WarmMessage message;
  int fds[kWarmRunFds], count;
  ssize_t n = Receive(warm->control, &message, sizeof message, fds, &count, NULL);
  if (n < 0) return -1;
  if (n == sizeof message && message.report.kind == kWarmRun && warm->run == 0 && !warm->asked &&
      !warm->zygote_gone) {
    memset(&warm->used, 0, sizeof warm->used);
    warm->ended = 0;
    warm->asked = Send(warm->zygote_fd, &message, fds, count) == 0;
    if (!warm->asked) Report(warm, (struct InitReport){.kind = kInitFailed, .value = errno}, NULL);
  } else if (n == sizeof message && message.report.kind == kWarmRun) {
    Report(warm, (struct InitReport){.kind = kInitFailed, .value = ESRCH}, NULL);
  } else if (n == sizeof message && message.report.kind == kWarmKill && warm->run != 0) {
    kill(warm->run, SIGKILL);
  }
  for (int i = 0; i < count; ++i) close(fds[i]);
  return 0;
}

static int FromZygote(struct Warm* warm) {
  char text[kWarmTextBytes];
  int fds[kWarmRunFds], count;
  pid_t sender = 0;
  ssize_t n = Receive(warm->zygote_fd, text, sizeof text - 1, fds, &count, &sender);
  for (int i = 0; i < count; ++i) close(fds[i]);
  if (n < 0) return -1;
  text[n] = 0;
  if (sender == warm->zygote && strcmp(text, "ready") == 0) {
    Report(warm, (struct InitReport){.kind = kWarmReady}, NULL);
  } else if (sender == warm->zygote && strncmp(text, "unable ", 7) == 0) {
    Report(warm, (struct InitReport){.kind = kWarmUnable}, text + 7);
  } else if (warm->asked && sender > 1 && sender != warm->zygote && strcmp(text, "started") == 0) {
    warm->asked = 0;
    warm->run = sender;
    Report(warm, (struct InitReport){.kind = kInitStarted, .value = (int)sender}, NULL);
  }
  return 0;
}

int WarmMain(int control_fd, char** program, int (*enter)(char** program)) {
  struct Warm warm = {.control = control_fd};
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return 2;
  int on = 1;
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return 2;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  int space = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (signals < 0 || space < 0) return 2;
  struct WarmMessage first = {.report = {.kind = kWarmNamespace}};
  if (Send(control_fd, &first, &space, 1) != 0) return 2;
  close(space);

  warm.zygote = fork();
  if (warm.zygote < 0) return 2;
  if (warm.zygote == 0) {
    sigprocmask(SIG_UNBLOCK, &child, NULL);
    if (pair[1] == kZygoteFd) {
      fcntl(kZygoteFd, F_SETFD, 0);
    } else {
      dup2(pair[1], kZygoteFd);
    }
    int error = enter(program);
    char why[kWarmTextBytes];
    int n = snprintf(why, sizeof why, "unable %s: %s", program[0], strerror(error));
    send(kZygoteFd, why, (size_t)n, MSG_NOSIGNAL);
    _exit(127);
  }
  close(pair[1]);
  warm.zygote_fd = pair[0];
  close(0);
  close(1);
  close(2);

  for (;;) {
    struct pollfd fds[3] = {{control_fd, POLLIN, 0}, {warm.zygote_fd, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(fds, 3, -1) < 0 && errno != EINTR) return 2;
    if (fds[0].revents != 0 && FromWorker(&warm) != 0) return 0;
    // What a run said before it ended is read before it is reaped.
    while (warm.zygote_fd >= 0) {
      struct pollfd one = {warm.zygote_fd, POLLIN, 0};
      if (poll(&one, 1, 0) <= 0) break;
      if (FromZygote(&warm) == 0) continue;
      close(warm.zygote_fd);
      warm.zygote_fd = -1;
    }
    struct signalfd_siginfo ignored;
    while (read(signals, &ignored, sizeof ignored) > 0) {
    }
    Reap(&warm);
    if (warm.run != 0 && warm.ended && EndRun(&warm) != 0) return 3;
    if (warm.zygote_gone && warm.asked) {
      // It may have come as far as to fork: not for sure, so nothing stays.
      Report(&warm, (struct InitReport){.kind = kInitFailed, .value = ECHILD}, NULL);
      return 3;
    }
    if (warm.zygote_gone && warm.run == 0) return 3;
  }
}

static int BindOver(const char* from, const char* to) {
  return mount(from, to, NULL, MS_BIND, NULL);
}

static int Memory(const char* at, const char* bytes, int mode) {
  char options[96];
  snprintf(options, sizeof options, "mode=%o,size=%s", mode, bytes);
  return mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

int LayMain(int argc, char** argv) {
  if (argc != 6) return 1;
  int space = atoi(argv[2]);
  int owner = ioctl(space, NS_GET_USERNS);
  if (owner < 0) return 2;
  if (setns(owner, CLONE_NEWUSER) != 0) return 3;
  if (setns(space, CLONE_NEWNS) != 0) return 4;
  // What the run before left. The first time the container's own lies there, and stays beneath.
  struct stat cover;
  if (stat(SEXTANT_WARM_PASSES "/.covered", &cover) == 0) {
    static const char* const kOld[] = {SEXTANT_WARM_PASSES, "/work", "/results", "/tmp", "/dev/shm"};
    for (size_t i = 0; i < sizeof kOld / sizeof kOld[0]; ++i) {
      if (umount2(kOld[i], MNT_DETACH) != 0) return 5;
    }
  }
  if (BindOver(argv[3], "/work") != 0) return 6;
  if (BindOver(argv[4], "/results") != 0) return 7;
  if (Memory("/tmp", argv[5], 01777) != 0) return 8;
  if (Memory("/dev/shm", argv[5], 01777) != 0) return 9;
  if (Memory(SEXTANT_WARM_PASSES, "4096", 0555) != 0) return 10;
  int mark = open(SEXTANT_WARM_PASSES "/.covered", O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
  if (mark < 0) return 11;
  close(mark);
  if (mount(NULL, SEXTANT_WARM_PASSES, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
            NULL) != 0) {
    return 12;
  }
  return 0;
}
