// double_fork MARKER: leaves a grandchild in a session of its own behind, and ends well.
#include <unistd.h>

int main(void) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      for (;;) pause();
    }
    _exit(0);
  }
  usleep(1000);
  return 0;
}
