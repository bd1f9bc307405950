// The policy is text, so it is tested as text: testdata/*.txt. After a wanted change, run this
// program with SEXTANT_BLESS=1 and read the difference.
#include "workers/sandbox/policy.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/catch.h"

namespace sextant::sandbox {
namespace {

// One option per line, so that a difference is a line.
std::string Text(const std::vector<std::string>& args) {
  std::string text;
  for (const std::string& arg : args) {
    const bool option = absl::StartsWith(arg, "--");
    if (!text.empty()) text += option ? "\n" : " ";
    text += arg;
  }
  return text + "\n";
}

void CheckGolden(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat("workers/sandbox/testdata/", name, ".txt");
  if (getenv("SEXTANT_BLESS") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  INFO(path);
  CHECK(text == expected.str());
}

RunSpec Ordinary() {
  RunSpec spec;
  spec.argv = {"./train", "--steps", "3"};
  spec.env = {{"OMP_NUM_THREADS", "2"}};
  spec.work_dir = "/var/lib/sextant/pass-7-1/work";
  spec.results_dir = "/var/lib/sextant/pass-7-1/results";
  spec.name = "pass-7-1";
  spec.limits.set_memory_bytes(1 << 30);
  spec.limits.set_cpu_cores(2);
  spec.limits.set_pids(128);
  spec.limits.set_wall_s(60);
  spec.limits.set_file_bytes(1 << 28);
  spec.limits.set_disk_bytes(1 << 29);
  spec.limits.set_output_bytes(1 << 20);
  spec.limits.set_open_files(1024);
  return spec;
}

HostFacts Debian() {
  HostFacts facts;
  facts.root = {{"bin", "usr/bin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"},
                {"sbin", "usr/sbin"}, {"usr", ""}};
  facts.etc = {"alternatives", "ld.so.cache", "localtime"};
  return facts;
}

TEST_CASE("an ordinary program sees a read-only system, its own directories and no network") {
  CheckGolden("ordinary", Text(BwrapArguments(Ordinary(), Debian())));
}

TEST_CASE("a program on a GPU gets the devices of its lease and no bound on address space") {
  RunSpec spec = Ordinary();
  for (const char* node : {"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"}) {
    spec.devices.push_back({node, node});
  }
  spec.mounts = {{"/opt/tool/libinject.so", "/sextant/libinject.so", false},
                 {"/var/cache/shared", "/cache", true}};
  CheckGolden("devices", Text(BwrapArguments(spec, Debian())));
}

TEST_CASE("a MIG instance brings its capabilities' nodes, from wherever the driver has its root") {
  RunSpec spec = Ordinary();
  for (const char* node : {"/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm",
                           "/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13"}) {
    spec.devices.push_back({std::string("/run/nvidia/driver") + node, node});
  }
  spec.env["CUDA_VISIBLE_DEVICES"] = "MIG-2c7d2f5e-0000-5000-8000-000000000000";
  CheckGolden("mig", Text(BwrapArguments(spec, Debian())));
}

TEST_CASE("directories that the site exposes are seen where they are, read-only") {
  RunSpec spec = Ordinary();
  spec.mounts = {{"/opt/torch", "/opt/torch", false}};
  spec.env["PATH"] = "/opt/torch/.venv/bin:/usr/bin:/bin";
  CheckGolden("exposed", Text(BwrapArguments(spec, Debian())));
}

TEST_CASE("a root file system of the user's replaces the machine's, read-only") {
  RunSpec spec = Ordinary();
  spec.rootfs = "/srv/roots/alpine";
  HostFacts facts;
  facts.root = {{"bin", ""}, {"etc", ""}, {"lib", ""}, {"sbin", ""}, {"usr", ""}};
  CheckGolden("rootfs", Text(BwrapArguments(spec, facts)));
}

TEST_CASE("without a limit on cores none is set on their time") {
  RunSpec spec = Ordinary();
  spec.limits.clear_cpu_cores();
  CHECK_FALSE(absl::StrContains(Text(BwrapArguments(spec, Debian())), " cpu="));
}

TEST_CASE("a person's shell keeps the terminal's session") {
  RunSpec spec = Ordinary();
  spec.argv = {"/bin/sh"};
  CheckGolden("interactive", Text(BwrapArguments(spec, Debian(), /*interactive=*/true)));
}

TEST_CASE("the facts of this machine hold no home directory and no secrets") {
  const auto facts = ReadHostFacts("");
  REQUIRE(facts.ok());
  REQUIRE_FALSE(facts->root.empty());
  for (const auto& entry : facts->root) {
    CHECK((entry.name == "usr" || entry.name == "bin" || entry.name == "sbin" ||
           absl::StartsWith(entry.name, "lib")));
  }
  for (const std::string& path : facts->etc) CHECK(path != "shadow");
}

TEST_CASE("a root file system that is not there is named") {
  const auto facts = ReadHostFacts("/nowhere/at/all");
  REQUIRE_FALSE(facts.ok());
  CHECK(absl::StrContains(facts.status().message(), "/nowhere/at/all"));
}

}  // namespace
}  // namespace sextant::sandbox
