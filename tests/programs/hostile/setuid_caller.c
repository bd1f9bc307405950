// Tries to become root, by asking and through a setuid program. Exits 1 on success.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  if (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0) return puts("became root"), 1;
  for (const char* const* su = (const char*[]){"/bin/su", "/usr/bin/sudo", NULL}; *su; ++su) {
    pid_t pid = fork();
    if (pid == 0) {
      freopen("/dev/null", "w", stderr);
      execl(*su, *su, "-n", "true", (char*)NULL);
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status == 0) return printf("%s worked\n", *su), 1;
  }
  return geteuid() == 0;
}
