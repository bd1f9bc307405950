// argv[1] launches (10,000) of an empty kernel after as many to warm up; prints ns a launch.
#include <time.h>

#include "check.h"

__global__ void Nothing() {}

static double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char** argv) {
  const int launches = argc > 1 ? std::atoi(argv[1]) : 10000;
  for (int i = 0; i < launches; ++i) Nothing<<<1, 32>>>();
  MUST(cudaDeviceSynchronize());
  const double begin = Now();
  for (int i = 0; i < launches; ++i) Nothing<<<1, 32>>>();
  const double launched = Now();
  MUST(cudaDeviceSynchronize());
  const double end = Now();
  std::printf("ns_per_launch %.0f ns_per_kernel %.0f\n", (launched - begin) / launches,
              (end - begin) / launches);
  return 0;
}
