// How smoothly the page zooms and pans over a trace that is too large to be sent: one pass of N events, seen
// through its rollups in a headless Chromium.
//
//   bench_web_frames [--events N]
//
// frames_per_s, frame_ms_p95   while the view moves with every frame
// fresh_ms_p95                 from the end of a gesture to the picture with the part's own buckets
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "bench/synthetic_job.h"

namespace sextant::bench {
namespace {

int Run(uint64_t events) {
  // The worker that is only a stream does not renew its lease.
  Service service({"--limit", "worker_lease_s=3600"});
  int port = 0;
  std::ifstream(service.directory() + "/state/http_port") >> port;
  const double begin = NowS();
  const int64_t job = MakeJob(service, 1, events);
  std::printf("%llu events stored in %.1f s\n", static_cast<unsigned long long>(events), NowS() - begin);
  std::fflush(stdout);
  return std::system(absl::StrCat("node client/web/tests/frames.mjs http://127.0.0.1:", port, "/ ", job).c_str()) == 0
             ? 0 : 1;
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  CLI::App app("How smoothly the page moves over a large trace");
  uint64_t events = 100'000'000;
  app.add_option("--events", events)->check(CLI::Range(100, 1'000'000'000));
  CLI11_PARSE(app, argc, argv);
  return sextant::bench::Run(events);
}
