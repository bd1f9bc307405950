// Launches, numbered and told apart, from records made by hand.
#include "workers/backends/injected/launches.h"

#include "proto/table/table.h"
#include "tests/catch.h"

namespace sextant::backends::injected {
namespace {

using inject::FunctionRecord;
using inject::KernelRecord;
using inject::LaunchedRecord;
using inject::ModuleRecord;

Process ProcessOf(uint32_t pid, uint64_t opened_ns, std::vector<std::string> names) {
  Process process;
  process.header.pid = pid;
  process.header.opened_monotonic_ns = opened_ns;
  process.texts.insert(process.texts.end(), names.begin(), names.end());
  return process;
}

KernelRecord KernelOf(uint32_t name, uint32_t correlation, uint64_t start_ns, uint64_t end_ns,
                      uint64_t node = 0) {
  KernelRecord record = {};
  record.name = name;
  record.correlation = correlation;
  record.start_ns = start_ns;
  record.end_ns = end_ns;
  record.graph_node = node;
  return record;
}

template <typename Record>
void Give(Launches& launches, const Process& process, uint32_t type,
          const std::vector<Record>& records) {
  launches.Take(process, type,
                {reinterpret_cast<const char*>(records.data()), records.size() * sizeof(Record)});
}

std::vector<std::pair<int64_t, std::string>> Numbered(const Launches& launches) {
  std::vector<std::pair<int64_t, std::string>> numbered;
  for (const Launch& launch : launches.launches()) {
    numbered.emplace_back(launch.number, launches.kernels()[launch.kernel].name);
  }
  return numbered;
}

TEST_CASE("launches are numbered in the order of their calls, not of their times") {
  const Process process = ProcessOf(1, 100, {"a", "b"});
  Launches launches("", 0);
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(2, 12, 50, 60), KernelOf(1, 10, 70, 80), KernelOf(1, 11, 10, 20)});
  launches.EndProcess(process);
  launches.Finish();
  CHECK(Numbered(launches) ==
        std::vector<std::pair<int64_t, std::string>>{{0, "a"}, {1, "a"}, {2, "b"}});
  CHECK(launches.launches()[0].record.start_ns == 70);
}

TEST_CASE("kernels of a graph count one by one, in the order of their nodes") {
  const Process process = ProcessOf(1, 100, {"a", "b", "c"});
  Launches launches("", 0);
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(3, 10, 30, 40, 9), KernelOf(1, 10, 50, 60, 7),
                      KernelOf(2, 10, 10, 20, 8), KernelOf(1, 11, 70, 80)});
  launches.EndProcess(process);
  launches.Finish();
  CHECK(Numbered(launches) ==
        std::vector<std::pair<int64_t, std::string>>{{0, "a"}, {1, "b"}, {2, "c"}, {3, "a"}});
}

TEST_CASE("each process counts its own, and processes stand in order of begin") {
  const Process late = ProcessOf(1, 200, {"late"});
  const Process early = ProcessOf(2, 100, {"early"});
  Launches launches("", 0);
  Give<KernelRecord>(launches, late, inject::kKernels, {KernelOf(1, 5, 10, 20)});
  launches.EndProcess(late);
  Give<KernelRecord>(launches, early, inject::kKernels, {KernelOf(1, 9, 10, 20)});
  launches.EndProcess(early);
  launches.Finish();
  CHECK(Numbered(launches) ==
        std::vector<std::pair<int64_t, std::string>>{{0, "early"}, {0, "late"}});
  CHECK(launches.launches()[0].process == 0);
  CHECK(launches.launches()[0].taken == 1);
}

TEST_CASE("what does not match takes no number") {
  const Process process = ProcessOf(1, 100, {"load", "matmul"});
  Launches launches("^mat", 0);
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(1, 1, 10, 20), KernelOf(2, 2, 30, 40), KernelOf(1, 3, 50, 60),
                      KernelOf(2, 4, 70, 80)});
  launches.EndProcess(process);
  launches.Finish();
  CHECK(Numbered(launches) ==
        std::vector<std::pair<int64_t, std::string>>{{0, "matmul"}, {1, "matmul"}});
  CHECK(launches.unmatched_launches() == 2);
  CHECK(launches.unmatched() == std::map<std::string, uint64_t>{{"load", 2}});
}

TEST_CASE("one name with two codes is two kernels") {
  Process process = ProcessOf(1, 100, {"tuned"});
  process.modules = {{.loaded_monotonic_ns = 5, .module = 1},
                     {.loaded_monotonic_ns = 6, .module = 2}};
  process.functions = {{.module = 1, .name = 1, .symbol = 3, .sass_digest = {0xaa}},
                       {.module = 2, .name = 1, .symbol = 3, .sass_digest = {0xbb}}};
  Launches launches("", 0);
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(1, 1, 10, 20), KernelOf(1, 2, 30, 40), KernelOf(1, 3, 50, 60)});
  Give<LaunchedRecord>(
      launches, process, inject::kLaunched,
      {{.correlation = 1, .module = 1, .symbol = 3}, {.correlation = 2, .module = 2, .symbol = 3}});
  launches.EndProcess(process);
  launches.Finish();
  REQUIRE(launches.kernels().size() == 2);
  CHECK(launches.kernels()[0].sass_digest.substr(0, 2) == "aa");
  CHECK(launches.kernels()[1].sass_digest.substr(0, 2) == "bb");
  CHECK(launches.kernels()[0].launches == 1);
  // Nothing told of the third: it is the code that was loaded last.
  CHECK(launches.kernels()[1].launches == 2);
}

TEST_CASE("before a second code was loaded a launch ran the first") {
  Process process = ProcessOf(1, 100, {"tuned"});
  process.modules = {{.loaded_monotonic_ns = 5, .module = 1},
                     {.loaded_monotonic_ns = 500, .module = 2}};
  process.functions = {{.module = 1, .name = 1, .sass_digest = {0xaa}},
                       {.module = 2, .name = 1, .sass_digest = {0xbb}}};
  Launches launches("", 0);
  Give<KernelRecord>(launches, process, inject::kKernels, {KernelOf(1, 1, 10, 20)});
  launches.EndProcess(process);
  launches.Finish();
  REQUIRE(launches.kernels().size() == 1);
  CHECK(launches.kernels()[0].sass_digest.substr(0, 2) == "aa");
}

TEST_CASE("a kernel seen running counts once, and not when it ended after all") {
  const Process process = ProcessOf(1, 100, {"long", "hung"});
  Launches launches("", 0);
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(1, 1, 0, 0), KernelOf(2, 2, 0, 0)});
  Give<KernelRecord>(launches, process, inject::kKernels,
                     {KernelOf(1, 1, 10, 20), KernelOf(2, 2, 0, 0)});
  launches.EndProcess(process);
  launches.Finish();
  REQUIRE(launches.launches().size() == 2);
  CHECK(launches.launches()[0].ended);
  CHECK_FALSE(launches.launches()[1].ended);
  // Its number is taken, but a table of times has no row for it.
  CHECK(launches.launches()[1].number == 1);
  CHECK(launches.LaunchTable().rows() == 1);
}

TEST_CASE("times are since the begin of the pass, and impossible ones are left out") {
  const Process process = ProcessOf(1, 100, {"a"});
  Launches launches("", 1000);
  Give<KernelRecord>(
      launches, process, inject::kKernels,
      {KernelOf(1, 1, 1500, 1700), KernelOf(1, 2, 900, 800), KernelOf(1, 3, 1, UINT64_MAX)});
  launches.EndProcess(process);
  launches.Finish();
  CHECK(launches.malformed() == 2);
  const v1::DataTable table = launches.LaunchTable();
  REQUIRE(table.rows() == 1);
  CHECK(table::Find(table, "start_ns")->ints(0) == 500);
  CHECK(table::Find(table, "duration_ns")->ints(0) == 200);
}

TEST_CASE("occupancy is calculated from the device's own limits") {
  const Process process = ProcessOf(1, 100, {"a", "NVIDIA H200"});
  Launches launches("", 0);
  inject::DeviceRecord device = {};
  device.major = 9;
  device.warp_threads = 32;
  device.max_warps = 64;
  device.max_blocks = 32;
  device.max_registers = device.max_block_registers = 65536;
  device.max_shared_bytes = 233472;
  device.max_block_threads = 1024;
  Give<inject::DeviceRecord>(launches, process, inject::kDevices, {device});
  KernelRecord record = KernelOf(1, 1, 10, 20);
  record.block[0] = 256;
  record.block[1] = record.block[2] = 1;
  record.registers = 64;
  Give<KernelRecord>(launches, process, inject::kKernels, {record});
  launches.EndProcess(process);
  launches.Finish();
  const v1::DataTable table = launches.LaunchTable();
  CHECK(table::Find(table, "occupancy_pct")->numbers(0) == 50);
  CHECK(table::TextAt(*table::Find(table, "occupancy_limiter"), 0) == "registers");
}

}  // namespace
}  // namespace sextant::backends::injected
