// Works with CUDA, forks children that end in different ways without CUDA, one of which starts
// another program, and works on.
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "kernels.h"

int main() {
  float* device;
  MUST(cudaMalloc(&device, 4096 * sizeof(float)));
  const auto work = [&] {
    for (int i = 0; i < 50; ++i) Scale<<<16, 256>>>(device, 1.5f, 4096);
    MUST(cudaDeviceSynchronize());
  };
  work();
  for (int child = 0; child < 4; ++child) {
    if (fork() != 0) continue;
    if (child == 0) std::exit(0);
    if (child == 1) _exit(0);
    if (child == 2) execl("/bin/true", "true", static_cast<char*>(nullptr));
    std::exit(0);
  }
  int status, bad = 0;
  while (wait(&status) > 0) bad += status != 0;
  work();
  return bad;
}
