// ptrace_sibling PID…: tries to trace and to read those processes, and all it can see.
// Exits 1 on success.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

static int Attack(pid_t pid) {
  char byte;
  struct iovec local = {&byte, 1}, remote = {(void*)0x400000, 1};
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 || ptrace(PTRACE_ATTACH, pid, 0, 0) == 0 ||
      process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0) {
    printf("got into %d\n", (int)pid);
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  int got = 0;
  for (int i = 1; i < argc; ++i) got |= Attack(atoi(argv[i]));
  for (pid_t pid = 1; pid < 100; ++pid) {
    if (pid != getpid()) got |= Attack(pid);
  }
  return got;
}
