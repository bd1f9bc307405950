// What surrounds runs: specs kept as files, a person's shell, what the machine can do, the filter,
// and the bookkeeping of disks and cgroups.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "absl/strings/str_split.h"
#include "workers/sandbox/disk.h"
#include "workers/sandbox/probe.h"
#include "workers/sandbox/processes.h"
#include "workers/sandbox/seccomp.h"
#include "workers/sandbox/shell.h"
#include "workers/sandbox/spawn.h"
#include "workers/sandbox/spec_file.h"
#include "workers/sandbox/testing.h"

namespace sextant::sandbox {
namespace {

TEST_CASE("a spec comes back from its file as it was") {
  Bench bench;
  RunSpec spec = bench.Spec({"good", "a \"quoted\" argument\n"});
  spec.env = {{"A", "ü"}, {"EMPTY", ""}};
  spec.rootfs = "/srv/root";
  spec.devices = {{"/dev/null", "/dev/null"}};
  spec.allow_perf_events = true;
  spec.stdin_text = "in";
  spec.limits.set_hang_s(1.5);
  const auto file = bench.path() / "spec.json";
  REQUIRE(WriteRunSpec(spec, file).ok());
  const auto read = ReadRunSpec(file);
  INFO(read.status().ToString());
  REQUIRE(read.ok());
  CHECK(read->argv == spec.argv);
  CHECK(read->env == spec.env);
  CHECK(read->rootfs == spec.rootfs);
  CHECK(read->work_dir == spec.work_dir);
  CHECK(read->results_dir == spec.results_dir);
  REQUIRE(read->devices.size() == 1);
  CHECK(read->devices[0].source == "/dev/null");
  CHECK(read->devices[0].target == "/dev/null");
  CHECK(read->mounts.size() == 1);
  CHECK(read->mounts[0].target == "/hostile");
  CHECK(read->limits.SerializeAsString() == spec.limits.SerializeAsString());
  CHECK(read->allow_perf_events);
  CHECK(read->stdin_text == "in");
  CHECK(read->name == spec.name);
  struct stat st;
  REQUIRE(stat(file.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
}

TEST_CASE("a spec file that is missing or damaged is named") {
  Bench bench;
  CHECK(ReadRunSpec(bench.path() / "none").status().code() == absl::StatusCode::kNotFound);
  std::ofstream(bench.path() / "bad") << "{\"version\": 1, \"name\": 3}";
  const auto bad = ReadRunSpec(bench.path() / "bad");
  CHECK(bad.status().code() == absl::StatusCode::kDataLoss);
  CHECK(absl::StrContains(bad.status().message(), "bad"));
}

TEST_CASE("a shell sees the files, the command's environment and the limits of the pass") {
  Bench bench;
  RunSpec spec = bench.Spec({"good"});
  std::ofstream(spec.work_dir / "input") << "of the pass\n";
  spec.env = {{"GREETING", "hello"}};
  const auto code = ShellInto(
      spec, {"/bin/sh", "-c", "cat input >/results/seen && echo $GREETING >>/results/seen; exit 7"});
  INFO(code.status().ToString());
  REQUIRE(code.ok());
  CHECK(*code == 7);
  CHECK(ReadAll(spec.results_dir / "seen") == "of the pass\nhello\n");
  const auto missing = ShellInto(spec, {"/no/such/shell"});
  CHECK(missing.status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("the probe says of everything whether it works and why") {
  const SandboxFacts facts = Probe();
  for (const char* name : {"bubblewrap", "namespaces", "seccomp", "memory", "pids", "cpu",
                           "perf_software", "perf_hardware"}) {
    INFO(name);
    const SandboxFact* fact = facts.Find(name);
    REQUIRE(fact != nullptr);
    INFO(fact->reason);
    CHECK_FALSE(fact->reason.empty());
    CHECK((fact->works || !fact->remedy.empty() || absl::StartsWith(name, "perf")));
  }
  CHECK(facts.Find("namespaces")->works);
  SandboxOptions options;
  options.bwrap_path = "/nowhere/bwrap";
  CHECK_FALSE(Probe(options).Find("bubblewrap")->works);
}

TEST_CASE("every forbidden call has a reason, and the filter can be built") {
  for (const ForbiddenCall& call : ForbiddenCalls()) CHECK(*call.why != 0);
  const auto without = BuildSeccompFilter(false), with = BuildSeccompFilter(true);
  REQUIRE(without.ok());
  REQUIRE(with.ok());
  CHECK(without->size() % 8 == 0);
  CHECK(*without != *with);
}

TEST_CASE("performance events are counted only where the spec allows it") {
  auto sandbox = MustMake();
  Bench bench;
  RunSpec spec = bench.Spec({"perf_counter"});
  CHECK(bench.Run(*sandbox, spec).exit_code() == 1);  // EPERM
  spec.allow_perf_events = true;
  // Allowed by the sandbox; whether the kernel allows it too is the machine's policy.
  const SandboxFacts facts = Probe();
  if (facts.perf_event_paranoid <= 2) CHECK(bench.Run(*sandbox, spec).exit_code() == 0);
}

TEST_CASE("disk use counts what lies below, follows no link and gives everything away") {
  TempDir dir;
  const auto below = dir.Make("a/b/c");
  std::ofstream(below / "file") << std::string(100000, 'x');
  std::filesystem::create_symlink("/etc/passwd", below / "link");
  std::filesystem::create_symlink("/", dir.path() / "root");
  const auto use = MeasureDisk(dir.path());
  REQUIRE(use.ok());
  CHECK(use->files == 6);
  CHECK(use->bytes >= 100000);
  CHECK(use->bytes < 1000000);
  CHECK_FALSE(use->too_deep);
  if (geteuid() == 0) {
    REQUIRE(MeasureDisk(dir.path(), Owner{65534, 65534}).ok());
    struct stat st;
    REQUIRE(stat((below / "file").c_str(), &st) == 0);
    CHECK(st.st_uid == 65534);
    REQUIRE(stat("/etc/passwd", &st) == 0);
    CHECK(st.st_uid == 0);
  }
  CHECK(MeasureDisk(dir.path() / "none").status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("directories nested without end are noticed, not followed without end") {
  TempDir dir;
  const int start = open(dir.path().c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  int at = dup(start);
  for (int i = 0; i < kMaxDepth + 50; ++i) {
    REQUIRE(mkdirat(at, "d", 0755) == 0);
    const int next = openat(at, "d", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    close(at);
    at = next;
  }
  close(at);
  close(start);
  const auto use = MeasureDisk(dir.path());
  REQUIRE(use.ok());
  CHECK(use->too_deep);
}

TEST_CASE("cgroups of dead workers are swept, those of living ones are not") {
  const CgroupMaker maker = CgroupMaker::Find();
  if (!maker.available()) return;
  v1::ResourceLimits limits;
  limits.set_memory_bytes(1 << 26);
  const pid_t worker = fork();
  if (worker == 0) {
    auto group = CgroupMaker::Find().Make("left-behind", limits, 0);
    (void)group->release();
    _exit(0);
  }
  REQUIRE(waitpid(worker, nullptr, 0) == worker);
  CHECK_FALSE(CgroupsOf(worker).empty());
  auto mine = maker.Make("mine", limits, 0);
  REQUIRE(mine.ok());
  const std::string elsewhere = absl::StrCat(maker.parents()[0], "/sextant.", worker, ".1.",
                                             PidNamespace() + 1, ".x");
  REQUIRE(mkdir(elsewhere.c_str(), 0755) == 0);
  CHECK(maker.Sweep() > 0);
  CHECK(CgroupsOf(worker) == std::vector<std::string>{elsewhere});
  CHECK(rmdir(elsewhere.c_str()) == 0);
  CHECK_FALSE(CgroupsOf(getpid()).empty());
  mine->reset();
  CHECK(CgroupsOf(getpid()).empty());
}

TEST_CASE("a machine without cgroups says why") {
  const CgroupMaker maker = CgroupMaker::Find("", "");
  CHECK_FALSE(maker.available());
  CHECK(maker.why_not() == "no cgroup file system is mounted");
  const auto group = maker.Make("x", v1::ResourceLimits(), 0);
  REQUIRE(group.ok());
  CHECK(*group == nullptr);
}

TEST_CASE("a process can be born in a cgroup of version 2") {
  const std::string mounts = ReadSmallFile("/proc/self/mountinfo", 1 << 20);
  std::string root;
  for (absl::string_view line : absl::StrSplit(mounts, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (absl::StrContains(line, " - cgroup2 ") && words.size() > 4) root = words[4];
  }
  const std::string directory = absl::StrCat(root, "/sextant-test-", getpid());
  if (root.empty() || mkdir(directory.c_str(), 0755) != 0) return;  // not ours to make here
  const Fd door(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto out = MakePipe("a test");
  REQUIRE(out.ok());
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  SpawnRequest request;
  request.path = "/bin/cat";
  request.argv = {"cat", "/proc/self/cgroup"};
  request.stdio[0] = request.stdio[2] = null.get();
  request.stdio[1] = out->write.get();
  request.cgroup_directory = door.get();
  auto spawned = Spawn(request);
  REQUIRE(spawned.ok());
  REQUIRE(spawned->pid > 0);
  CHECK(spawned->pidfd.valid());
  int status = -1;
  REQUIRE(waitpid(spawned->pid, &status, 0) == spawned->pid);
  CHECK(status == 0);
  char text[4096];
  const ssize_t n = read(out->read.get(), text, sizeof text);
  REQUIRE(n > 0);
  CHECK(absl::StrContains(std::string(text, static_cast<size_t>(n)),
                          absl::StrCat("/sextant-test-", getpid())));
  CHECK(rmdir(directory.c_str()) == 0);
}

TEST_CASE("version 2 is used where its controllers are handed down") {
  TempDir dir;
  const std::string at = dir.path();
  const std::string mountinfo =
      absl::StrCat("30 23 0:26 / ", at, " rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
  const auto service = dir.Make("service");
  std::ofstream(service / "cgroup.controllers") << "cpu memory pids\n";
  std::ofstream(service / "cgroup.subtree_control") << "cpu memory pids\n";
  const CgroupMaker maker = CgroupMaker::Find(mountinfo, "0::/service\n");
  CHECK(maker.available());
  CHECK(maker.v2());
  CHECK(maker.controls().memory);
  CHECK(maker.parents() == std::vector<std::string>{service.string()});
}

}  // namespace
}  // namespace sextant::sandbox
