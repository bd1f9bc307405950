// What the tests of this room share: a directory per test, runs with small limits, and the question
// whether anything was left behind.
#pragma once

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/catch.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/files.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

inline std::string ReadAll(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Waits for something another process does. False after a time no healthy machine needs.
inline bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    poll(nullptr, 0, 2);
  }
  return true;
}

// On disk: /tmp may be memory (Debian 13), and what a program writes there counts as its memory.
class TempDir {
 public:
  explicit TempDir(const std::string& base = "/var/tmp") {
    std::string pattern = absl::StrCat(base, "/sextant-sandbox-XXXXXX");
    path_ = mkdtemp(pattern.data());
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path Make(const std::string& name) const {
    std::filesystem::create_directories(path_ / name);
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// Processes of this machine whose command line holds `marker`, this one excepted.
inline std::vector<pid_t> ProcessesWith(const std::string& marker) {
  std::vector<pid_t> found;
  std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), &closedir);
  while (const dirent* entry = readdir(proc.get())) {
    const pid_t pid = atoi(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    if (absl::StrContains(ReadSmallFile(absl::StrCat("/proc/", pid, "/cmdline")), marker)) {
      found.push_back(pid);
    }
  }
  return found;
}

inline std::vector<std::string> CgroupsOf(pid_t worker) {
  std::vector<std::string> found;
  const std::string prefix = absl::StrCat("sextant.", worker, ".");
  const CgroupMaker maker = CgroupMaker::Find();
  for (const std::string& parent : maker.parents()) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
      if (absl::StartsWith(entry.path().filename().string(), prefix)) {
        found.push_back(entry.path());
      }
    }
  }
  return found;
}

// One place to run the programs of tests/programs/hostile in.
class Bench {
 public:
  Bench() : marker_(absl::StrCat("marker-", getpid(), "-", absl::GetCurrentTimeNanos())) {
    std::filesystem::copy(SEXTANT_HOSTILE_DIR, dir_.path() / "hostile",
                          std::filesystem::copy_options::recursive);
  }

  // Small limits, and directories of its own.
  RunSpec Spec(std::vector<std::string> argv) {
    const std::filesystem::path home = dir_.Make(absl::StrCat("run-", ++runs_));
    RunSpec spec;
    argv[0] = absl::StrCat("/hostile/", argv[0]);
    spec.argv = std::move(argv);
    spec.mounts = {{dir_.path() / "hostile", "/hostile", false}};
    spec.work_dir = home / "work";
    spec.results_dir = home / "results";
    std::filesystem::create_directories(spec.work_dir);
    std::filesystem::create_directories(spec.results_dir);
    spec.stdout_path = home / "stdout";
    spec.stderr_path = home / "stderr";
    spec.name = absl::StrCat("run-", runs_);
    spec.limits.set_memory_bytes(96 << 20);
    spec.limits.set_cpu_cores(2);
    spec.limits.set_pids(40);
    spec.limits.set_wall_s(60);
    spec.limits.set_file_bytes(16 << 20);
    spec.limits.set_disk_bytes(48 << 20);
    spec.limits.set_output_bytes(1 << 20);
    spec.limits.set_open_files(256);
    return spec;
  }

  v1::ExitReport Run(Sandbox& sandbox, const RunSpec& spec) {
    auto running = sandbox.Start(spec);
    INFO(running.status().ToString());
    REQUIRE(running.ok());
    v1::ExitReport report = (*running)->Wait();
    UNSCOPED_INFO(report.ShortDebugString());
    UNSCOPED_INFO("stdout: " << ReadAll(spec.stdout_path).substr(0, 500));
    UNSCOPED_INFO("stderr: " << ReadAll(spec.stderr_path).substr(0, 500));
    return report;
  }

  // After something bad: an honest run is as before, and nothing is left.
  void CheckUnharmed(Sandbox& sandbox) {
    CHECK(ProcessesWith(marker_).empty());
    CHECK(CgroupsOf(getpid()).empty());
    CHECK_FALSE(absl::StrContains(ReadSmallFile("/proc/self/mountinfo", 1 << 20),
                                  dir_.path().string()));
    RunSpec spec = Spec({"good"});
    spec.stdin_text = "in\n";
    const v1::ExitReport report = Run(sandbox, spec);
    CHECK(report.verdict() == v1::EXITED);
    CHECK(report.exit_code() == 0);
    CHECK(ReadAll(spec.stdout_path) == "in\ngood\n");
    CHECK(ReadAll(spec.results_dir / "result") == "result\n");
  }

  const std::string& marker() const { return marker_; }
  const std::filesystem::path& path() const { return dir_.path(); }
  const TempDir& dir() const { return dir_; }

 private:
  TempDir dir_;
  const std::string marker_;
  int runs_ = 0;
};

inline std::unique_ptr<Sandbox> MustMake(bool cgroups = true) {
  SandboxOptions options;
  options.cgroups = cgroups;
  auto sandbox = MakeBubblewrapSandbox(options);
  INFO(sandbox.status().ToString());
  REQUIRE(sandbox.ok());
  return *std::move(sandbox);
}

}  // namespace sextant::sandbox
