// home_reader PATH…: exits 1 if any of them can be opened or listed.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char** argv) {
  int found = 0;
  for (int i = 1; i < argc; ++i) {
    if (open(argv[i], O_RDONLY) >= 0 || opendir(argv[i]) != NULL) {
      printf("read %s\n", argv[i]);
      found = 1;
    }
  }
  return found;
}
