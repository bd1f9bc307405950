// Writes one file without end.
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  static char block[1 << 20];
  int fd = open("giant", O_CREAT | O_WRONLY, 0644);
  for (;;) {
    if (write(fd, block, sizeof block) < 0) return 1;
  }
}
