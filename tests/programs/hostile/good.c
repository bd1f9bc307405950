// An honest program: copies its input to its output, leaves a result, and ends well.
#include <stdio.h>

int main(void) {
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) fputs(line, stdout);
  puts("good");
  FILE* result = fopen("/results/result", "w");
  if (result == NULL) return 1;
  fputs("result\n", result);
  return fclose(result);
}
