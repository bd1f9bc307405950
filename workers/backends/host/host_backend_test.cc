// The host backend on what real programs leave.
#include "workers/backends/host/host_backend.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "proto/chunk/decoder.h"
#include "tests/catch.h"

namespace sextant::backends {
namespace {

using Options = std::map<std::string, std::string>;

// One pass of testing/recorded.cc without a sandbox.
class Pass {
 public:
  explicit Pass(Options options = {}) {
    char name[] = "/tmp/sextant-host-test-XXXXXX";
    directory_ = mkdtemp(name);
    for (const auto& [key, value] : options) {
      (*assignment_.mutable_spec()->mutable_options())[key] = value;
    }
    assignment_.mutable_workload()->add_argv("recorded");
  }
  ~Pass() { std::filesystem::remove_all(directory_); }

  // Runs the program with the environment that Prepare asks for.
  Pass& Run(const std::vector<std::string>& arguments, const char* program = SEXTANT_RECORDED) {
    const auto plan = backend_.Prepare(assignment_);
    REQUIRE(plan.ok());
    std::vector<std::string> env;
    for (const auto& [key, value] : plan->env) {
      env.push_back(key + "=" + (value == "/results" ? directory_.string() : value));
    }
    std::vector<char*> envp;
    for (std::string& variable : env) envp.push_back(variable.data());
    envp.push_back(nullptr);
    std::vector<std::string> words = {"recorded"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    run_.started_monotonic_ns = now.tv_sec * 1'000'000'000ull + now.tv_nsec;
    pid_t pid;
    REQUIRE(posix_spawn(&pid, program, nullptr, nullptr, argv.data(), envp.data()) == 0);
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    clock_gettime(CLOCK_MONOTONIC, &now);
    took_ns_ = now.tv_sec * 1'000'000'000ull + now.tv_nsec - run_.started_monotonic_ns;
    run_.exit.set_verdict(WIFSIGNALED(status) ? v1::SIGNALLED : v1::EXITED);
    if (WIFSIGNALED(status)) run_.exit.set_signal(WTERMSIG(status));
    if (WIFEXITED(status)) run_.exit.set_exit_code(WEXITSTATUS(status));
    return *this;
  }

  absl::StatusOr<Collected> Collect() {
    run_.assignment = &assignment_;
    run_.results_dir = directory_;
    return backend_.Collect(run_);
  }

  const std::filesystem::path& directory() const { return directory_; }
  uint64_t took_ns() const { return took_ns_; }
  v1::Assignment& assignment() { return assignment_; }
  const HostBackend& backend() const { return backend_; }

 private:
  HostBackend backend_;
  v1::Assignment assignment_;
  RunRecord run_;
  std::filesystem::path directory_;
  uint64_t took_ns_ = 0;
};

struct Event {
  chunk::Track track;
  std::string role, region;
  uint64_t start, duration;
};

std::vector<Event> Events(const Collected& collected) {
  std::vector<Event> events;
  for (const std::string& bytes : collected.chunks) {
    const auto decoded = chunk::DecodeUntrusted(bytes);
    REQUIRE(decoded.ok());
    for (const auto& slice : decoded->tracks) {
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        events.push_back({slice.track, decoded->header.roles(slice.track.role),
                          decoded->header.regions(decoded->region[i]), decoded->start[i],
                          decoded->duration[i]});
      }
    }
  }
  return events;
}

std::map<std::string, int> Count(const Collected& collected) {
  std::map<std::string, int> counts;
  for (const Event& event : Events(collected)) ++counts[event.region];
  return counts;
}

bool HasNote(const Collected& collected, const std::string& part) {
  for (const std::string& note : collected.notes) {
    if (note.find(part) != std::string::npos) return true;
  }
  return false;
}

using Counts = std::map<std::string, int>;

TEST_CASE("nested scopes become instances that lie within each other and within the pass") {
  Pass pass;
  const auto collected = pass.Run({"nested", "1000"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"outer", 1000}, {"inner", 1000}});
  CHECK(collected->events == 2000);
  CHECK(collected->dropped == 0);
  CHECK(collected->notes.empty());
  CHECK(collected->clock_hz > 1e5);
  std::vector<Event> outer, inner;
  for (const Event& event : Events(*collected)) {
    CHECK(event.role == "main");
    CHECK(event.start + event.duration <= pass.took_ns());
    (event.region == "outer" ? outer : inner).push_back(event);
  }
  for (size_t k = 0; k < outer.size(); ++k) {
    CHECK(outer[k].start <= inner[k].start);
    CHECK(inner[k].start + inner[k].duration <= outer[k].start + outer[k].duration);
  }
}

TEST_CASE("recursion and exceptions keep scopes balanced") {
  Pass recursive;
  const auto collected = recursive.Run({"recursive", "50"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"recursive", 50}});
  CHECK(collected->notes.empty());
  Pass thrown;
  const auto after_throw = thrown.Run({"throw"}).Collect();
  REQUIRE(after_throw.ok());
  CHECK(Count(*after_throw) == Counts{{"thrown", 1}});
}

TEST_CASE("C and C++ parts of a program share one recorder") {
  Pass pass;
  const auto collected = pass.Run({"c"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"outer", 1}, {"inner", 3}, {"from_c", 3}});
  for (const Event& event : Events(*collected)) CHECK(event.track.warp == 0);
}

TEST_CASE("a library linked to the program shares the program's recorder") {
  Pass pass;
  const auto collected = pass.Run({"library"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"outer", 1}, {"inner", 1}, {"from_library", 1}});
  for (const Event& event : Events(*collected)) CHECK(event.track.warp == 0);
}

TEST_CASE("a plugin may be unloaded while the program goes on, and belongs to its process") {
  for (const char* program : {SEXTANT_RECORDED, SEXTANT_RECORDED_LOADER}) {
    Pass pass;
    const auto collected = pass.Run({"plugin"}, program).Collect();
    REQUIRE(collected.ok());
    CHECK(Count(*collected) == Counts{{"outer", 1}, {"inner", 1}, {"from_library", 4}});
    for (const Event& event : Events(*collected)) CHECK(event.track.launch == 0);
  }
}

TEST_CASE("regions of known length are as long as the program itself found") {
  Pass pass;
  const std::string truth_path = pass.directory() / "truth.json";
  const auto collected =
      pass.Run({"--instances", "50", "--truth", truth_path}, SEXTANT_CALIBRATED).Collect();
  REQUIRE(collected.ok());
  std::map<std::string, std::vector<double>> recorded;
  for (const Event& event : Events(*collected)) recorded[event.region].push_back(event.duration);
  const auto truth = nlohmann::json::parse(std::ifstream(truth_path));
  for (const auto& region : truth["regions"]) {
    auto& durations = recorded[region["region"].get<std::string>()];
    REQUIRE(durations.size() == 50);
    std::sort(durations.begin(), durations.end());
    for (const int percent : {20, 50, 80}) {
      const double known = region["p" + std::to_string(percent) + "_ns"];
      CHECK(durations[percent / 2 - 1] == Approx(known).epsilon(0.01).margin(1000));
    }
  }
}

TEST_CASE("a thousand short threads are a thousand tracks in one file") {
  Pass pass;
  const auto collected = pass.Run({"churn", "1000"}).Collect();
  REQUIRE(collected.ok());
  std::map<uint32_t, int> tracks;
  for (const Event& event : Events(*collected)) {
    CHECK(event.role == "short");
    ++tracks[event.track.warp];
  }
  CHECK(tracks.size() == 1000);
  CHECK(std::distance(std::filesystem::directory_iterator(pass.directory()), {}) == 2);
}

TEST_CASE("threads beyond the buffers there are run unrecorded and are counted") {
  Pass pass(Options{{"threads", "3"}});
  const auto collected = pass.Run({"together", "8"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"before", 3}});
  CHECK(HasNote(*collected, "5 threads were not recorded"));
}

TEST_CASE("a forked child is a process of its own that knows its parent's regions") {
  Pass pass;
  const auto collected = pass.Run({"fork"}).Collect();
  REQUIRE(collected.ok());
  std::map<std::string, uint32_t> launch;
  for (const Event& event : Events(*collected))
    launch[event.role + "/" + event.region] = event.track.launch;
  CHECK(launch == std::map<std::string, uint32_t>{{"parent/around", 0}, {"child/in_child", 1}});
}

TEST_CASE("what was recorded before SIGKILL is kept, and the open scope is named") {
  Pass pass;
  const auto collected = pass.Run({"kill", "100"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"outer", 100}, {"inner", 100}});
  CHECK(HasNote(*collected, "thread 0 (victim) of"));
  CHECK(HasNote(*collected, "was inside \"stuck\""));
}

TEST_CASE("leaving by _exit keeps what was recorded") {
  Pass pass;
  const auto collected = pass.Run({"exit", "10"}).Collect();
  REQUIRE(collected.ok());
  CHECK(collected->events == 20);
}

TEST_CASE("a full buffer keeps the last records and counts those overwritten") {
  Pass pass(Options{{"records", "512"}});
  const auto collected = pass.Run({"nested", "1000"}).Collect();
  REQUIRE(collected.ok());
  // 4,000 records, two marks of the thread more when it ends; 512 are kept.
  CHECK(collected->dropped >= 4000 - 512);
  CHECK(collected->events >= 254);
  CHECK(collected->events <= 256);
  for (const Event& event : Events(*collected)) CHECK(event.track.from_tail);
  CHECK(HasNote(*collected, "were overwritten"));
  CHECK_FALSE(HasNote(*collected, "not balanced"));
}

TEST_CASE("unbalanced calls are counted and do not disturb the others") {
  Pass pass;
  const auto collected = pass.Run({"unbalanced"}).Collect();
  REQUIRE(collected.ok());
  CHECK(Count(*collected) == Counts{{"a", 1}});
  CHECK(HasNote(*collected, "1 ends without a begin, 1 begins without an end"));
}

TEST_CASE("names beyond the table are refused, counted, and the rest recorded") {
  Pass pass;
  const auto collected = pass.Run({"names", "5000"}).Collect();
  REQUIRE(collected.ok());
  CHECK(collected->events == 4095);
  CHECK(HasNote(*collected, "905 names of regions or roles were not recorded"));
}

TEST_CASE("CLOCK_MONOTONIC serves where asked for") {
  Pass pass(Options{{"clock", "monotonic"}});
  const auto collected = pass.Run({"nested", "10"}).Collect();
  REQUIRE(collected.ok());
  CHECK(collected->events == 20);
  CHECK(collected->clock_hz == 1e9);
}

TEST_CASE("counters are summed by role and region, and refused ones are named with the reason") {
  Pass pass(Options{{"counters", "task-clock+page-faults+cycles"}});
  const auto collected = pass.Run({"nested", "100"}).Collect();
  REQUIRE(collected.ok());
  CHECK(collected->events == 200);
  std::map<std::string, v1::Counter> counters;
  for (const v1::Counter& counter : collected->counters) {
    counters[counter.name() + "/" + counter.region()] = counter;
  }
  REQUIRE(counters.count("task-clock/outer") == 1);
  REQUIRE(counters.count("task-clock/inner") == 1);
  CHECK(counters["task-clock/outer"].unit() == "ns");
  CHECK(counters["task-clock/outer"].role() == "main");
  CHECK(counters["task-clock/outer"].instances() == 100);
  CHECK(counters["task-clock/outer"].value() > counters["task-clock/inner"].value());
  CHECK(counters.count("page-faults/outer") == 1);
  // One or the other, never a made-up zero.
  CHECK((counters.count("cycles/outer") == 1) != HasNote(*collected, "counter cycles was not"));
}

TEST_CASE("an empty capture says what to do") {
  SECTION("a program without scopes") {
    Pass pass;
    const auto collected = pass.Collect();
    CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK(collected.status().message().find("does not include sextant/scope.h") !=
          std::string::npos);
  }
  SECTION("no scope was reached") {
    Pass pass;
    const auto collected = pass.Run({"nothing"}).Collect();
    CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK(collected.status().message().find("came through a SEXTANT_SCOPE") != std::string::npos);
  }
  SECTION("killed inside the first scope") {
    Pass pass;
    const auto collected = pass.Run({"stuck"}).Collect();
    CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK(collected.status().message().find("none ended") != std::string::npos);
    CHECK(collected.status().message().find("signal 9") != std::string::npos);
  }
}

TEST_CASE("links and special files in the results directory are left out with a note") {
  Pass pass;
  pass.Run({"nested", "1"});
  std::filesystem::create_symlink("/etc/passwd", pass.directory() / "sextant-1-0.0.thread");
  REQUIRE(mkfifo((pass.directory() / "sextant-2-0.process").c_str(), 0600) == 0);
  std::filesystem::create_directory(pass.directory() / "sextant-3-0.0.counters");
  std::ofstream(pass.directory() / "sextant-4-0.process") << "short";
  const auto collected = pass.Collect();
  REQUIRE(collected.ok());
  CHECK(collected->events == 2);
  CHECK(HasNote(*collected, "sextant-1-0.0.thread was left out"));
  CHECK(HasNote(*collected, "sextant-2-0.process was left out"));
  CHECK(HasNote(*collected, "sextant-3-0.0.counters was left out"));
  CHECK(HasNote(*collected, "sextant-4-0.process was left out"));
}

TEST_CASE("options are checked by name and value") {
  const auto prepare = [](Options options) {
    Pass pass(std::move(options));
    return std::string(pass.backend().Prepare(pass.assignment()).status().message());
  };
  CHECK(prepare({{"recrods", "1"}}).find("options[\"recrods\"]") != std::string::npos);
  CHECK(prepare({{"recrods", "1"}}).find("records, threads, counters, clock") != std::string::npos);
  CHECK(prepare({{"records", "many"}}).find("number from 512") != std::string::npos);
  CHECK(prepare({{"counters", "cycles+flops"}}).find("no counter \"flops\"") != std::string::npos);
  CHECK(prepare({{"clock", "sundial"}}).find("sundial") != std::string::npos);
  CHECK(prepare({{"counters", "cycles"}, {"records", "65536"}}).empty());
}

TEST_CASE("buffers fit the largest file allowed, and a wish for more is refused beforehand") {
  Pass pass;
  v1::ResourceLimits& limits = *pass.assignment().mutable_workload()->mutable_limits();
  limits.set_file_bytes(1 << 20);
  const auto fitted = pass.backend().Prepare(pass.assignment());
  REQUIRE(fitted.ok());
  CHECK(fitted->env.at("SEXTANT_HOST_RECORDS") == "130560");  // 255 pages and the header
  (*pass.assignment().mutable_spec()->mutable_options())["records"] = "131072";
  const auto refused = pass.backend().Prepare(pass.assignment());
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status().message().find("limits.file_bytes allows 1048576") != std::string::npos);
  limits.set_file_bytes(4096);
  CHECK(pass.backend()
            .Prepare(pass.assignment())
            .status()
            .message()
            .find("limits.file_bytes: 4096") != std::string::npos);
}

}  // namespace
}  // namespace sextant::backends
