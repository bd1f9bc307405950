// Tiny programs that each do one bad thing: the sandbox says what they did, the next run is
// unharmed, and nothing is left. Each is run with cgroups, where this machine lets us make them,
// and with the limits watched from /proc.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "workers/sandbox/testing.h"

namespace sextant::sandbox {
namespace {

TEST_CASE("a fork bomb is a violation of pids") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"fork_bomb", bench.marker()}));
  CHECK(report.verdict() == v1::VIOLATION);
  CHECK(absl::StrContains(report.detail(), "pids = 40"));
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a memory bomb runs out of memory") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"memory_bomb", bench.marker()}));
  CHECK(report.verdict() == v1::OUT_OF_MEMORY);
  CHECK(absl::StrContains(report.detail(), "memory_bytes = 100663296"));
  CHECK(report.peak_memory_bytes() > (64 << 20));
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a disk filler is a violation of disk_bytes") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  const std::string how = GENERATE("named", "nameless");
  RunSpec spec = bench.Spec({"disk_filler", how, bench.marker()});
  spec.limits.set_open_files(100000);
  const auto report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::VIOLATION);
  CHECK(absl::StrContains(report.detail(), "disk_bytes = 50331648"));
  std::filesystem::remove_all(spec.work_dir);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a giant file is a violation of file_bytes") {
  auto sandbox = MustMake();
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"giant_file", bench.marker()}));
  CHECK(report.verdict() == v1::VIOLATION);
  CHECK(absl::StrContains(report.detail(), "file_bytes = 16777216"));
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("an output flood is stopped at output_bytes and what came before is kept") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  const RunSpec spec = bench.Spec({"output_flood", bench.marker()});
  const auto report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::OUTPUT_LIMIT);
  CHECK(absl::StrContains(report.detail(), "output_bytes = 1048576"));
  CHECK(report.stdout_bytes() == 1 << 20);
  CHECK(std::filesystem::file_size(spec.stdout_path) == 1 << 20);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a network caller reaches nobody") {
  const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(bind(tcp, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(tcp, 4) == 0);
  REQUIRE(getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  Bench bench;
  const int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path + 1, bench.marker().data(), bench.marker().size());
  REQUIRE(bind(local, reinterpret_cast<sockaddr*>(&name),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                      bench.marker().size())) == 0);
  REQUIRE(listen(local, 4) == 0);

  auto sandbox = MustMake();
  const std::string port = absl::StrCat(ntohs(address.sin_port));
  const auto report = bench.Run(*sandbox, bench.Spec({"network_caller", port, bench.marker()}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  close(tcp);
  close(local);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a home reader finds no home, no secret and no state") {
  auto sandbox = MustMake();
  Bench bench;
  const char* home = getenv("HOME");
  const auto report = bench.Run(
      *sandbox, bench.Spec({"home_reader", "/root", "/home", "/etc/shadow", "/var", "/root/.ssh",
                            "/proc/1/root", "/proc/1/cwd", home != nullptr ? home : "/root",
                            bench.path().string()}));
  // HOME may be /tmp for the tests' user too; inside it is another, empty one.
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a sibling run can be neither traced nor read") {
  auto sandbox = MustMake();
  Bench bench;
  auto sibling = sandbox->Start(bench.Spec({"sleeper", bench.marker()}));
  REQUIRE(sibling.ok());
  REQUIRE(Eventually([&] { return !ProcessesWith(bench.marker()).empty(); }));
  std::vector<std::string> argv = {"ptrace_sibling"};
  for (pid_t pid : ProcessesWith(bench.marker())) argv.push_back(absl::StrCat(pid));
  const auto report = bench.Run(*sandbox, bench.Spec(argv));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  (*sibling)->Kill("seen enough");
  CHECK((*sibling)->Wait().verdict() == v1::KILLED);
  sibling->reset();
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("nobody becomes root inside") {
  auto sandbox = MustMake();
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"setuid_caller"}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("what a program leaves running ends with it") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"double_fork", bench.marker()}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("ignoring signals helps neither against kill nor against wall_s") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  RunSpec spec = bench.Spec({"signal_ignorer", bench.marker()});
  SECTION("kill") {
    auto running = sandbox->Start(spec);
    REQUIRE(running.ok());
    REQUIRE(Eventually([&] { return absl::StrContains(ReadAll(spec.stdout_path), "ignoring"); }));
    (*running)->Kill("cancelled by a test");
    (*running)->Kill("a second reason");
    const auto report = (*running)->Wait();
    CHECK(report.verdict() == v1::KILLED);
    CHECK(report.detail() == "cancelled by a test");
  }
  SECTION("wall_s") {
    spec.limits.set_wall_s(0.3);
    const auto report = bench.Run(*sandbox, spec);
    CHECK(report.verdict() == v1::TIMED_OUT);
    CHECK(absl::StrContains(report.detail(), "wall_s = 0.3"));
  }
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("the processes of others are invisible") {
  auto sandbox = MustMake();
  Bench bench;
  auto sibling = sandbox->Start(bench.Spec({"sleeper", bench.marker()}));
  REQUIRE(sibling.ok());
  const auto report = bench.Run(*sandbox, bench.Spec({"proc_reader"}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  sibling->reset();
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("the results of another run cannot be written") {
  auto sandbox = MustMake();
  Bench bench;
  const RunSpec victim = bench.Spec({"good"});
  CHECK(bench.Run(*sandbox, victim).exit_code() == 0);
  const std::string other = victim.results_dir.string();
  const auto report = bench.Run(
      *sandbox, bench.Spec({"results_writer", other + "/result", "/results/../" + other + "/x",
                            "/proc/1/root" + other + "/x", "/proc/1/fd/4", "/usr/x", "/x",
                            "/hostile/good", "/dev/x", "/etc/passwd"}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  CHECK(ReadAll(victim.results_dir / "result") == "result\n");
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("nothing can be mounted, and no namespace made in which it could") {
  auto sandbox = MustMake();
  Bench bench;
  const auto report = bench.Run(*sandbox, bench.Spec({"mounter"}));
  CHECK(report.verdict() == v1::EXITED);
  CHECK(report.exit_code() == 0);
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a call no honest program makes is a violation") {
  auto sandbox = MustMake();
  Bench bench;
  const RunSpec spec = bench.Spec({"forbidden_call", bench.marker()});
  const auto report = bench.Run(*sandbox, spec);
  CHECK(report.verdict() == v1::VIOLATION);
  CHECK(report.signal() == 31);
  CHECK(ReadAll(spec.stdout_path).empty());
  bench.CheckUnharmed(*sandbox);
}

TEST_CASE("a program that sleeps for ever is a hang, one that computes is not") {
  auto sandbox = MustMake(GENERATE(true, false));
  Bench bench;
  RunSpec sleeper = bench.Spec({"sleeper", bench.marker()});
  sleeper.limits.set_hang_s(0.3);
  const auto hung = bench.Run(*sandbox, sleeper);
  CHECK(hung.verdict() == v1::HANG);
  CHECK(absl::StrContains(hung.detail(), "hang_s = 0.3"));
  RunSpec spinner = bench.Spec({"spinner", bench.marker()});
  spinner.limits.set_hang_s(20);
  spinner.limits.set_wall_s(1);
  CHECK(bench.Run(*sandbox, spinner).verdict() == v1::TIMED_OUT);
  bench.CheckUnharmed(*sandbox);
}

}  // namespace
}  // namespace sextant::sandbox
