// What recording costs: one scope pair, hot; and a whole program.
//
//   bench_scope [RUNS]      RUNS (default 41) of async_pipeline and of async_pipeline_plain each
//
// pair_ns       median over batches of 10,000 empty scopes while recording
// first_ns      mean CPU time of the first 500,000, which also touch the file for the first time
// inert_ns      the same as pair_ns where nothing is recorded
// overhead_pct  async_pipeline recorded over async_pipeline_plain (compiled without any of it): the
//               median of the ratios of wall times of runs made in turn, less 1
#include <spawn.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "sextant/scope.h"

namespace {

constexpr int kBatches = 400;
constexpr int kPairs = 10000;
constexpr int kFirstBatches = SEXTANT_DEFAULT_RECORDS / 2 / kPairs;

uint64_t NowNs(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// In a process of its own: prints P10, P50, P90 in ns of one scope, and the mean while the buffer
// is filled for the first time.
int MeasurePairs() {
  std::vector<double> batches;
  const uint64_t cpu_begin = NowNs(CLOCK_THREAD_CPUTIME_ID);
  double first = 0;
  for (int batch = 0; batch < kBatches; ++batch) {
    if (batch == kFirstBatches) {
      first = static_cast<double>(NowNs(CLOCK_THREAD_CPUTIME_ID) - cpu_begin) / kPairs / batch;
    }
    const uint64_t begin = NowNs();
    for (int i = 0; i < kPairs; ++i) {
      SEXTANT_SCOPE("pair");
      asm volatile("");  // the loop stays a loop where scopes do nothing
    }
    batches.push_back(static_cast<double>(NowNs() - begin) / kPairs);
  }
  std::printf("%f %f %f %f\n", Quantile(batches, 0.1), Quantile(batches, 0.5),
              Quantile(batches, 0.9), first);
  return 0;
}

struct Run {
  double wall_ms = 0;
  double cpu_ms = 0;
  std::string output;
};

// Runs a program to its end; with results recorded when `results` is not empty.
Run RunProgram(std::vector<std::string> words, const std::string& results) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string variable = "SEXTANT_RESULTS=" + results;
  char* env[] = {variable.data(), nullptr};
  int out[2];
  if (pipe(out) != 0) std::exit(1);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  const uint64_t begin = NowNs();
  pid_t pid;
  if (posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), env) != 0) {
    std::fprintf(stderr, "cannot start %s\n", argv[0]);
    std::exit(1);
  }
  close(out[1]);
  Run run;
  char buffer[4096];
  for (ssize_t n; (n = read(out[0], buffer, sizeof(buffer))) > 0;) run.output.append(buffer, n);
  int status = 0;
  rusage usage = {};
  wait4(pid, &status, 0, &usage);
  run.wall_ms = static_cast<double>(NowNs() - begin) / 1e6;
  close(out[0]);
  posix_spawn_file_actions_destroy(&actions);
  const auto ms = [](const timeval& t) { return t.tv_sec * 1e3 + t.tv_usec / 1e3; };
  run.cpu_ms = ms(usage.ru_utime) + ms(usage.ru_stime);
  if (status != 0) {
    std::fprintf(stderr, "%s did not end well\n", argv[0]);
    std::exit(1);
  }
  return run;
}

std::string Machine() {
  std::string model = "unknown CPU";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) == 0) model = line.substr(line.find(':') + 2);
  }
  utsname system = {};
  uname(&system);
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, " +
         system.sysname + " " + system.release;
}

// An empty directory, removed with the object.
class Directory {
 public:
  Directory() {
    char name[] = "/tmp/sextant-bench-XXXXXX";
    if (mkdtemp(name) == nullptr) std::exit(1);
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--pairs") return MeasurePairs();
  const int runs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 41;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();

  double p10 = 0, p50 = 0, p90 = 0, first = 0, inert = 0, unused = 0;
  {
    const Directory results;
    std::sscanf(RunProgram({self, "--pairs"}, results.path()).output.c_str(), "%lf %lf %lf %lf",
                &p10, &p50, &p90, &first);
  }
  std::sscanf(RunProgram({self, "--pairs"}, "").output.c_str(), "%lf %lf", &unused, &inert);

  std::vector<double> wall, cpu, wall_plain, cpu_plain, wall_ratio, cpu_ratio;
  for (int i = 0; i < runs; ++i) {
    const Directory results;
    Run recorded, plain;
    // Who is first changes, so that neither gains from it.
    if (i % 2 == 0) recorded = RunProgram({SEXTANT_PIPELINE}, results.path());
    plain = RunProgram({SEXTANT_PIPELINE_PLAIN}, "");
    if (i % 2 == 1) recorded = RunProgram({SEXTANT_PIPELINE}, results.path());
    if (recorded.output != plain.output) {
      std::fprintf(stderr, "the two programs disagree\n");
      return 1;
    }
    wall.push_back(recorded.wall_ms);
    cpu.push_back(recorded.cpu_ms);
    wall_plain.push_back(plain.wall_ms);
    cpu_plain.push_back(plain.cpu_ms);
    wall_ratio.push_back(recorded.wall_ms / plain.wall_ms);
    cpu_ratio.push_back(recorded.cpu_ms / plain.cpu_ms);
  }
  const double overhead = (Quantile(wall_ratio, 0.5) - 1) * 100;
  const double overhead_cpu = (Quantile(cpu_ratio, 0.5) - 1) * 100;
  std::printf("scope pair, recording      P10 %6.2f   P50 %6.2f   P90 %6.2f ns\n", p10, p50, p90);
  std::printf("scope pair, buffer's first filling       mean %6.2f ns\n", first);
  std::printf("scope pair, not recording              P50 %6.2f ns\n", inert);
  std::printf("%d runs of async_pipeline    P20      P50      P80\n", runs);
  const auto row = [](const char* name, const std::vector<double>& values) {
    std::printf("  %-22s %8.2f %8.2f %8.2f ms\n", name, Quantile(values, 0.2),
                Quantile(values, 0.5), Quantile(values, 0.8));
  };
  row("recorded, wall", wall);
  row("plain, wall", wall_plain);
  row("recorded, CPU", cpu);
  row("plain, CPU", cpu_plain);
  std::printf("overhead, median of ratios: wall %.2f %%, CPU %.2f %%\n", overhead, overhead_cpu);
  std::printf(
      "{\"bench\":\"scope\",\"machine\":\"%s\",\"figures\":{\"pair_ns\":%.2f,\"overhead_pct\":%.2f,"
      "\"first_ns\":%.2f,\"inert_ns\":%.2f,\"overhead_cpu_pct\":%.2f}}\n",
      Machine().c_str(), p50, overhead, first, inert, overhead_cpu);
  return 0;
}
