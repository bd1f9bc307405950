// signal_ignorer MARKER: ignores every signal that can be, in several processes, and says so.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  for (int s = 1; s < 32; ++s) signal(s, SIG_IGN);
  fork();
  fork();
  puts("ignoring");
  fflush(stdout);
  for (;;) pause();
}
