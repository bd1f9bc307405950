// The GPU room over a fake NVML, loaded as the real one is.
#include "workers/gpu/gpu.h"

#include <thread>

#include "tests/catch.h"
#include "workers/gpu/pool.h"
#include "workers/gpu/testing/fake_driver.h"

namespace sextant::gpu {
namespace {

PoolOptions OptionsOf(const FakeDriver& driver) {
  PoolOptions options;
  options.driver_root = driver.root();
  options.lock_directory = driver.locks();
  return options;
}

// Waits for what another thread is about to find.
template <typename Condition>
void Await(Condition condition) {
  for (int i = 0; i < 4000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(condition());
}

}  // namespace

TEST_CASE("a machine without a driver has no GPUs and says so") {
  PoolOptions options;
  options.driver_root = "/nonexistent";
  const auto pool = Pool::Open(options);
  CHECK(pool->gpus().empty());
  CHECK_THAT(pool->why_none(), Catch::Contains("there is no NVIDIA driver"));
}

TEST_CASE("a driver that does not work is told apart from none") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  driver.Set("init", "9");
  const auto pool = Pool::Open(OptionsOf(driver));
  CHECK(pool->gpus().empty());
  CHECK_THAT(pool->why_none(), Catch::Contains("driver not loaded"));
}

TEST_CASE("the inventory says what each GPU is, and which nodes a program on it needs") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 2);
  driver.Set("1.minor", "5");
  driver.Touch("nvidia5");
  const auto pool = Pool::Open(OptionsOf(driver));
  REQUIRE(pool->gpus().size() == 2);
  const Gpu& gpu = *pool->Find("gpu1");
  CHECK(gpu.uuid == "GPU-1000");
  CHECK(gpu.pci == "00000000:11:00.0");
  CHECK(gpu.memory_bytes == 150000000000);
  CHECK(gpu.compute_major == 9);
  CHECK(gpu.cuda == "13.0");
  CHECK(gpu.MachineClass() == "gpu:Fake H200:580.1:default");
  CHECK(gpu.nodes == std::vector<std::string>{"dev/nvidia5", "dev/nvidiactl", "dev/nvidia-uvm",
                                              "dev/nvidia-uvm-tools"});
  CHECK(pool->Find("gpu2") == nullptr);
}

TEST_CASE("applied clocks are part of what may be compared") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  driver.Set("0.sm_target", "1500");
  CHECK(Pool::Open(OptionsOf(driver))->gpus()[0].MachineClass() ==
        "gpu:Fake H200:580.1:applications-1500");
  driver.Set("0.sm_target", "1980");
  driver.Set("0.lock_clocks", "0");
  PoolOptions locked = OptionsOf(driver);
  locked.lock_clocks_mhz = 1200;
  CHECK(Pool::Open(locked)->gpus()[0].MachineClass() == "gpu:Fake H200:580.1:locked-1200");
  driver.Set("0.lock_clocks", "4");
  const auto refused = Pool::Open(locked);
  CHECK_THAT(refused->Unhealthy(refused->gpus()[0]), Catch::Contains("cannot be locked to 1200 MHz"));
}

TEST_CASE("MIG instances take the place of their GPU, with their capabilities' nodes") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 2);
  driver.Set("0.mig", "1");
  driver.Set("0.mig2.uuid", "MIG-a");
  driver.Set("0.mig2.name", "Fake H200 MIG 1g.18gb");
  driver.Set("0.mig2.gi", "7");
  driver.Set("0.mig2.ci", "0");
  const auto caps = driver.root() / "proc/driver/nvidia/capabilities/gpu0/mig/gi7";
  std::filesystem::create_directories(caps / "ci0");
  std::ofstream(caps / "access") << "DeviceFileMinor: 66\nDeviceFileMode: 292\n";
  std::ofstream(caps / "ci0/access") << "DeviceFileMinor: 67\n";
  const auto pool = Pool::Open(OptionsOf(driver));
  REQUIRE(pool->gpus().size() == 2);
  const Gpu& part = pool->gpus()[0];
  CHECK(part.device == "gpu0.0");
  CHECK(part.uuid == "MIG-a");
  CHECK(part.physical_uuid == "GPU-0000");
  CHECK(part.nodes == std::vector<std::string>{"dev/nvidia0", "dev/nvidiactl", "dev/nvidia-uvm",
                                               "dev/nvidia-uvm-tools",
                                               "dev/nvidia-caps/nvidia-cap66",
                                               "dev/nvidia-caps/nvidia-cap67"});
  CHECK(pool->gpus()[1].device == "gpu1");
}

TEST_CASE("a snapshot has clocks, power, temperature, throttling in words and processes") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  driver.Set("0.throttle", "68");
  driver.Set("0.processes", "77 78");
  const auto pool = Pool::Open(OptionsOf(driver));
  const Snapshot now = pool->Read(pool->gpus()[0]);
  CHECK(now.sm_clock_mhz == 1980);
  CHECK(now.mem_clock_mhz == 3201);
  CHECK(now.power_w == Approx(120.5));
  CHECK(now.temperature_c == 41);
  CHECK(now.throttle == std::vector<std::string>{"power cap", "hardware thermal"});
  REQUIRE(now.processes.size() == 2);
  CHECK(now.processes[1].pid == 78);
  CHECK(now.power_limit_w == -1);  // this GPU does not say
  CHECK(now.error.empty());
  CHECK(ThrottleWords(1ull << 40) == std::vector<std::string>{"reason 0x10000000000"});
}

TEST_CASE("errors that were there when the worker started are not held against a GPU; new ones are") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  driver.Set("0.ecc_uncorrected", "3");
  const auto pool = Pool::Open(OptionsOf(driver));
  const Gpu& gpu = pool->gpus()[0];
  CHECK(pool->Unhealthy(gpu).empty());
  driver.Set("0.ecc_uncorrected", "5");
  CHECK(pool->Check(gpu) == "2 new uncorrectable ECC errors");
  CHECK(pool->Unhealthy(gpu) == "2 new uncorrectable ECC errors");
}

TEST_CASE("a GPU that is lost, forbidden or without its node is not well, and recovers with it") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  const auto pool = Pool::Open(OptionsOf(driver));
  const Gpu& gpu = pool->gpus()[0];
  CHECK(pool->Check(gpu).empty());
  driver.Set("0.power_mw.error", "15");
  CHECK_THAT(pool->Check(gpu), Catch::Contains("reading power: GPU is lost"));
  driver.Set("0.power_mw.error", "3");
  driver.Set("0.compute_mode", "2");
  CHECK_THAT(pool->Check(gpu), Catch::Contains("prohibited"));
  driver.Set("0.compute_mode", "0");
  CHECK(pool->Check(gpu).empty());
  std::filesystem::remove(driver.root() / "dev/nvidia0");
  CHECK_THAT(pool->Check(gpu), Catch::Contains("dev/nvidia0 is not there"));
}

TEST_CASE("an Xid of the hardware condemns its GPU alone; one of the program's is only told") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 2);
  const auto pool = Pool::Open(OptionsOf(driver));
  const Gpu& first = pool->gpus()[0];
  const Gpu& second = pool->gpus()[1];
  driver.Set("xid.a", "0:31");
  std::vector<uint64_t> heard;
  Await([&] {
    for (uint64_t xid : pool->TakeXids(first)) heard.push_back(xid);
    return !heard.empty();
  });
  CHECK(heard == std::vector<uint64_t>{31});
  CHECK(pool->Check(first).empty());
  driver.Set("xid.b", "0:79");
  Await([&] { return !pool->Check(first).empty(); });
  CHECK_THAT(pool->Check(first), Catch::Contains("Xid 79: GPU has fallen off the bus"));
  CHECK(pool->Check(second).empty());
}

TEST_CASE("a GPU's lock keeps others out until it is let go, whoever they are") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 2);
  const auto one = Pool::Open(OptionsOf(driver));
  const auto other = Pool::Open(OptionsOf(driver));
  {
    auto held = one->Lock(one->gpus()[0]);
    REQUIRE(held.ok());
    CHECK(absl::IsUnavailable(other->Lock(other->gpus()[0]).status()));
    CHECK(other->Lock(other->gpus()[1]).ok());
    GpuLock moved = *std::move(held);
    CHECK_FALSE(other->Lock(other->gpus()[0]).ok());
  }
  CHECK(other->Lock(other->gpus()[0]).ok());
  CHECK(GpuLock::Try("/nonexistent", "GPU-x").status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("the driver's libraries are found beside NVML, under the names programs use") {
  FakeDriver driver(SEXTANT_FAKE_NVML_LIBRARY, 1);
  const auto place = driver.root() / "usr/lib/x86_64-linux-gnu";
  std::ofstream(place / "libcuda.so.580.1") << "x";
  std::filesystem::create_symlink("libcuda.so.580.1", place / "libcuda.so.1");
  std::ofstream(place / "libc.so.6") << "not the driver's";
  const DriverFiles files = FindDriverFiles(driver.root(), place / "libnvidia-ml.so.1");
  CHECK(files.directory == place);
  CHECK_FALSE(files.in_linker_cache);
  std::map<std::string, std::string> names;
  for (const auto& library : files.libraries) names[library.name] = library.file.filename();
  CHECK(names["libcuda.so.1"] == "libcuda.so.580.1");
  CHECK(names.count("libc.so.6") == 0);
  const auto cache = driver.root() / "ld.so.cache";
  std::ofstream(cache) << "xx" << (place / "libcuda.so.1").string() << '\0';
  CHECK(FindDriverFiles(driver.root(), {}, cache).in_linker_cache);
}

}  // namespace sextant::gpu
