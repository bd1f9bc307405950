// Fills the working directory with files, each small enough; "nameless": with files removed at once
// but held open.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char block[1 << 20];
  memset(block, 1, sizeof block);
  for (int i = 0;; ++i) {
    char name[64];
    snprintf(name, sizeof name, "filler-%d", i);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || write(fd, block, sizeof block) < 0) usleep(1000);
    if (argc > 1 && strcmp(argv[1], "nameless") == 0) {
      unlink(name);
    } else {
      close(fd);
    }
  }
}
