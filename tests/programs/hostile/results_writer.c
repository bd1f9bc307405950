// results_writer PATH…: tries to write to other runs' results. Exits 1 on success.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int wrote = 0;
  for (int i = 1; i < argc; ++i) {
    int fd = open(argv[i], O_CREAT | O_WRONLY, 0644);
    if (fd >= 0 && write(fd, "forged", 6) == 6) {
      printf("wrote %s\n", argv[i]);
      wrote = 1;
    }
  }
  return wrote;
}
