// Lists what /proc shows. Exits with the number of processes other than itself and the first.
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  int others = 0;
  DIR* proc = opendir("/proc");
  if (proc == NULL) return 100;
  for (struct dirent* e; (e = readdir(proc)) != NULL;) {
    if (!isdigit((unsigned char)e->d_name[0])) continue;
    int pid = atoi(e->d_name);
    if (pid == 1 || pid == getpid()) continue;
    printf("sees %d\n", pid);
    ++others;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/1/environ");
  FILE* environment = fopen(path, "r");
  if (environment != NULL && fgetc(environment) != EOF) ++others;
  if (opendir("/proc/1/fd") != NULL) ++others;
  return others;
}
