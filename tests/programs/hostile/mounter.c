// Tries to change what is mounted, and to get namespaces where it could. Exits 1 on success.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  int got = 0;
  if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0) got |= puts("mounted");
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0) got |= puts("remounted /");
  if (umount2("/proc", MNT_DETACH) == 0) got |= puts("unmounted /proc");
  if (chroot("/work") == 0) got |= puts("changed the root");
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) got |= puts("unshared");
  if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >= 0) got |= puts("cloned");
  if (syscall(SYS_clone3, NULL, 0) == 0) got |= puts("cloned with clone3");
  return got != 0;
}
