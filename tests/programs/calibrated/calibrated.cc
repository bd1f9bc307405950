// A program that knows how long its regions take, to check a profiler with.
//
//   calibrated [--instances N] [--seed N] [--truth FILE]
//
// One thread of role "calibrated" spins in three regions, N times each (default 200):
//   fixed       200 us
//   two_valued  100 us in 7 of 10 instances and 300 us in 3, in an order the seed gives
//   ramp        the k-th instance takes 50 us + 2 us · k
// The seed defaults to the time, so that passes differ. FILE (default truth.json) says what each
// instance really took, in the order of instances, by CLOCK_MONOTONIC read inside the region:
//   {"role":"calibrated","regions":[{"region":"fixed","durations_ns":[…],
//     "p20_ns":…,"p50_ns":…,"p80_ns":…}, …]}
// with quantile q the value of rank ceil(q · N) of the sorted durations.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "sextant/scope.h"

namespace {

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// Spins for `ns` or a little longer; returns how long it was.
uint64_t Spin(uint64_t ns) {
  const uint64_t begin = NowNs();
  uint64_t now = begin;
  while (now - begin < ns) now = NowNs();
  return now - begin;
}

struct Region {
  std::string name;
  std::vector<uint64_t> durations_ns;
};

void Print(FILE* file, const Region& region, bool last) {
  std::vector<uint64_t> sorted = region.durations_ns;
  std::sort(sorted.begin(), sorted.end());
  std::fprintf(file, "{\"region\":\"%s\",\"durations_ns\":[", region.name.c_str());
  for (size_t i = 0; i < sorted.size(); ++i) {
    std::fprintf(file, "%s%llu", i == 0 ? "" : ",",
                 static_cast<unsigned long long>(region.durations_ns[i]));
  }
  std::fprintf(file, "]");
  for (const int percent : {20, 50, 80}) {
    const size_t rank = static_cast<size_t>(std::ceil(percent * sorted.size() / 100.0));
    std::fprintf(file, ",\"p%d_ns\":%llu", percent,
                 static_cast<unsigned long long>(sorted[std::max<size_t>(rank, 1) - 1]));
  }
  std::fprintf(file, "}%s\n", last ? "" : ",");
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t instances = 200;
  uint64_t seed = NowNs();
  std::string truth = "truth.json";
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--instances") == 0)
      instances = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--truth") == 0) truth = argv[i + 1];
  }
  if (argc % 2 == 0 || instances == 0 || instances > 100000) {
    std::fprintf(stderr, "usage: calibrated [--instances 1..100000] [--seed N] [--truth FILE]\n");
    return 2;
  }
  std::vector<uint64_t> two_valued_ns(instances);
  for (uint64_t k = 0; k < instances; ++k) two_valued_ns[k] = k % 10 < 7 ? 100000 : 300000;
  std::shuffle(two_valued_ns.begin(), two_valued_ns.end(), std::mt19937_64(seed));

  sextant_role("calibrated");
  Region fixed = {"fixed", {}};
  Region two_valued = {"two_valued", {}};
  Region ramp = {"ramp", {}};
  for (Region* region : {&fixed, &two_valued, &ramp}) region->durations_ns.resize(instances);
  for (uint64_t k = 0; k < instances; ++k) {
    {
      SEXTANT_SCOPE("fixed");
      fixed.durations_ns[k] = Spin(200000);
    }
    {
      SEXTANT_SCOPE("two_valued");
      two_valued.durations_ns[k] = Spin(two_valued_ns[k]);
    }
    {
      SEXTANT_SCOPE("ramp");
      ramp.durations_ns[k] = Spin(50000 + 2000 * k);
    }
  }
  FILE* const file = std::fopen(truth.c_str(), "w");
  if (file == nullptr) {
    std::perror(truth.c_str());
    return 1;
  }
  std::fprintf(file, "{\"role\":\"calibrated\",\"regions\":[\n");
  Print(file, fixed, false);
  Print(file, two_valued, false);
  Print(file, ramp, true);
  std::fprintf(file, "]}\n");
  return std::fclose(file) == 0 ? 0 : 1;
}
