// The worker with GPUs: a fake NVML below a driver's root of the test's own.
#include <unistd.h>

#include <cstdlib>

#include "proto/table/table.h"
#include "spdlog/spdlog.h"
#include "tests/catch.h"
#include "workers/agent/agent.h"
#include "workers/agent/fake_coordinator.h"
#include "workers/agent/fakes.h"
#include "workers/backends/run/run_backend.h"
#include "workers/gpu/selftest/facts.h"
#include "workers/gpu/testing/fake_driver.h"

namespace sextant::agent {
namespace {

// Looks into kernels, as far as the worker can tell: leaves the table `launches` the test gives it.
class FakeGpuBackend : public backends::Backend {
 public:
  explicit FakeGpuBackend(unsigned launches) : launches_(launches) {}
  std::string Name() const override { return "looker"; }
  v1::BackendOffer Probe() const override {
    v1::BackendOffer offer;
    offer.set_name(Name());
    offer.set_available(true);
    offer.set_device_kind("gpu");
    offer.set_tool_digest("77");
    return offer;
  }
  absl::StatusOr<backends::LaunchPlan> Prepare(const v1::Assignment& assignment) const override {
    backends::LaunchPlan plan;
    plan.argv = {assignment.workload().argv(0)};
    return plan;
  }
  absl::StatusOr<backends::Collected> Collect(const backends::RunRecord& run) const override {
    backends::Collected collected;
    table::Builder builder("launches");
    const auto kernel = builder.Text("kernel");
    for (unsigned i = 0; i < launches_; ++i) {
      for (const char* name : {gpu::selftest::kSpinKernel, gpu::selftest::kFfmaKernel,
                               gpu::selftest::kCopyKernel}) {
        builder.Set(kernel, name);
        builder.EndRow();
      }
    }
    collected.tables.push_back(builder.Finish());
    return collected;
  }

 private:
  const unsigned launches_;
};

class GpuStage {
 public:
  explicit GpuStage(int gpus) : driver(SEXTANT_FAKE_NVML_LIBRARY, gpus), coordinator(Root() / "socket") {
    spdlog::set_level(spdlog::level::off);
    WriteFile(root_ / gpu::selftest::kProgram, "");
    coordinator.Start();
  }
  ~GpuStage() {
    worker.reset();
    coordinator.Stop();
    RemoveTree(root_).IgnoreError();
  }

  void StartWorker(FakeRunning::Program program, unsigned launches = gpu::selftest::kLaunches) {
    AgentOptions options;
    options.coordinator = coordinator.address();
    options.state_dir = root_ / "state";
    options.name = "w";
    options.gpu.driver_root = driver.root();
    options.gpu.lock_directory = driver.locks();
    options.site.libraries = root_;
    options.times.reconnect = {std::chrono::milliseconds(1), std::chrono::milliseconds(5)};
    std::vector<std::unique_ptr<backends::Backend>> backends;
    backends.push_back(std::make_unique<backends::RunBackend>());
    backends.push_back(std::make_unique<FakeGpuBackend>(launches));
    auto started = Agent::Start(options, std::make_unique<FakeSandbox>(std::move(program)),
                                std::move(backends));
    REQUIRE(started.ok());
    worker = *std::move(started);
  }

  // The worker's word on its backend once it differs from "being proved".
  v1::BackendOffer AwaitVerdict() {
    const v1::WorkerInfo info = coordinator.AwaitInfo([](const v1::WorkerInfo& info) {
      return info.backends(0).reason().find("being proved") == std::string::npos;
    });
    REQUIRE(info.backends(0).name() == "looker");
    return info.backends(0);
  }

 private:
  const std::filesystem::path& Root() {
    char name[] = "/tmp/sextant-agent-XXXXXX";
    root_ = mkdtemp(name);
    return root_;
  }
  std::filesystem::path root_;

 public:
  gpu::FakeDriver driver;
  FakeCoordinator coordinator;
  std::unique_ptr<Agent> worker;
};

v1::Assignment PassOn(const std::string& device, int64_t pass_id) {
  v1::Assignment assignment;
  assignment.mutable_pass()->set_pass_id(pass_id);
  assignment.mutable_pass()->set_epoch(1);
  assignment.set_task("t");
  assignment.set_kind("profile");
  assignment.set_device(device);
  assignment.mutable_spec()->set_backend("run");
  assignment.mutable_workload()->add_argv("program");
  return assignment;
}

v1::ExitReport Succeed(const sandbox::RunSpec&, FakeRunning&) { return Exit(0); }

std::vector<std::string> Targets(const sandbox::RunSpec& spec) {
  std::vector<std::string> targets;
  for (const auto& device : spec.devices) targets.push_back(device.target);
  return targets;
}

}  // namespace

TEST_CASE("each GPU is a device; a program on it sees that one alone") {
  GpuStage stage(2);
  absl::Mutex mutex;
  std::map<std::string, sandbox::RunSpec> specs;
  absl::Notification both;
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    if (spec.argv[0] != "program") return Exit(0);
    {
      absl::MutexLock lock(&mutex);
      specs[spec.env.at("CUDA_VISIBLE_DEVICES")] = spec;
      if (specs.size() == 2) both.Notify();
    }
    both.WaitForNotification();  // two GPUs measure at the same time
    return Exit(0);
  });
  const v1::WorkerInfo info =
      stage.coordinator.AwaitInfo([](const v1::WorkerInfo&) { return true; });
  REQUIRE(info.devices_size() == 3);
  CHECK(info.devices(1).name() == "gpu0");
  CHECK(info.devices(1).kind() == "gpu");
  CHECK(info.devices(1).machine_class() == "gpu:Fake H200:580.1:default");
  CHECK(info.devices(2).properties().at("uuid") == "GPU-1000");

  stage.AwaitVerdict();  // so that no proof holds gpu0
  stage.coordinator.Assign(PassOn("gpu0", 1));
  stage.coordinator.Assign(PassOn("gpu1", 2));
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  stage.coordinator.AwaitCommit(2, 1);
  CHECK_FALSE(result.has_failure());
  CHECK(Targets(specs["GPU-0000"]) == std::vector<std::string>{"/dev/nvidia0", "/dev/nvidiactl",
                                                               "/dev/nvidia-uvm",
                                                               "/dev/nvidia-uvm-tools"});
  CHECK(specs["GPU-1000"].devices[0].source == stage.driver.root() / "dev/nvidia1");
  const v1::Provenance& provenance = result.provenance();
  CHECK(provenance.machine_class() == "gpu:Fake H200:580.1:default");
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"gpu", "Fake H200"}, {"gpu_uuid", "GPU-0000"}, {"driver", "580.1"}, {"cuda", "13.0"},
           {"sm_clock_mhz_before", "1980"}, {"mem_clock_mhz_after", "3201"},
           {"power_w_after", "120.5"}, {"temperature_c_before", "41"}, {"throttle_after", ""},
           {"energy_j", "0.0"}, {"foreign_processes", "0"}}) {
    INFO(name);
    REQUIRE(provenance.extra().count(name) == 1);
    CHECK(provenance.extra().at(name) == value);
  }
}

TEST_CASE("a GPU that another worker of the machine uses is waited for") {
  GpuStage stage(1);
  std::atomic<int> runs{0};
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    if (spec.argv[0] == "program") ++runs;
    return Exit(0);
  });
  stage.AwaitVerdict();
  auto held = gpu::GpuLock::Try(stage.driver.locks(), "GPU-0000");
  REQUIRE(held.ok());
  stage.coordinator.Assign(PassOn("gpu0", 1));
  stage.coordinator.Assign(PassOn("cpu", 2));
  stage.coordinator.AwaitCommit(2, 1);  // the others go on
  CHECK(runs == 1);
  held->Release();
  CHECK_FALSE(stage.coordinator.AwaitCommit(1, 1).result().has_failure());
  CHECK(runs == 2);
}

TEST_CASE("a pass that waits for a GPU can be stopped") {
  GpuStage stage(1);
  stage.StartWorker(Succeed);
  stage.AwaitVerdict();
  auto held = gpu::GpuLock::Try(stage.driver.locks(), "GPU-0000");
  stage.coordinator.Assign(PassOn("gpu0", 1));
  stage.coordinator.AwaitState([](const v1::WorkerState& state) { return state.running_size() == 1; });
  v1::DesiredState stop;
  *stop.add_stop() = PassOn("gpu0", 1).pass();
  stage.coordinator.Send(stop);
  stage.coordinator.AwaitState([](const v1::WorkerState& state) { return state.running_size() == 0; });
  CHECK(stage.coordinator.Commits(1) == 0);
}

TEST_CASE("an unhealthy GPU ends the pass with its evidence and is reported") {
  GpuStage stage(1);
  stage.StartWorker(Succeed);
  stage.AwaitVerdict();
  stage.driver.Set("0.ecc_uncorrected", "4");
  stage.coordinator.Assign(PassOn("gpu0", 1));
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  CHECK(result.failure().cause() == v1::DEVICE_UNHEALTHY);
  CHECK_THAT(result.failure().message(), Catch::Contains("4 new uncorrectable ECC errors"));
  CHECK_THAT(result.failure().message(), Catch::Contains("GPU-0000"));
  const v1::WorkerInfo told = stage.coordinator.AwaitInfo(
      [](const v1::WorkerInfo& info) { return !info.devices(1).unhealthy().empty(); });
  CHECK(told.devices(1).unhealthy() == "4 new uncorrectable ECC errors");
}

TEST_CASE("numbers of a pass during which the GPU broke are not believed") {
  GpuStage stage(1);
  stage.StartWorker([&](const sandbox::RunSpec& spec, FakeRunning&) {
    if (spec.argv[0] == "program") stage.driver.Set("0.power_mw.error", "15");
    return Exit(0);
  });
  stage.AwaitVerdict();
  stage.coordinator.Assign(PassOn("gpu0", 1));
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  CHECK(result.failure().cause() == v1::DEVICE_UNHEALTHY);
  CHECK_THAT(result.failure().message(), Catch::Contains("GPU is lost"));
}

TEST_CASE("programs of others on the GPU are written down") {
  GpuStage stage(1);
  stage.StartWorker(Succeed);
  stage.AwaitVerdict();
  stage.driver.Set("0.processes", absl::StrCat(getpid()));
  stage.coordinator.Assign(PassOn("gpu0", 1));
  const v1::PassResult result = stage.coordinator.AwaitCommit(1, 1).result();
  CHECK(result.provenance().extra().at("foreign_processes") == "1");
  REQUIRE(result.notes_size() > 0);
  CHECK_THAT(result.notes(0), Catch::Contains("the GPU was not alone"));
  CHECK_THAT(result.notes(0), Catch::Contains(absl::StrCat("pid ", getpid(), ", 64 MiB")));
}

TEST_CASE("a GPU backend is offered once the self-test has proved it, and the proof is remembered") {
  GpuStage stage(1);
  std::atomic<int> proofs{0};
  const auto program = [&](const sandbox::RunSpec& spec, FakeRunning&) {
    proofs += spec.argv[0] == "/sextant/lib/sextant-gpu-selftest";
    CHECK(spec.env.at("CUDA_VISIBLE_DEVICES") == "GPU-0000");
    return Exit(0);
  };
  stage.StartWorker(program);
  CHECK(stage.AwaitVerdict().available());
  CHECK(proofs == 1);
  stage.worker.reset();
  stage.StartWorker(program);
  CHECK(stage.AwaitVerdict().available());
  CHECK(proofs == 1);
}

TEST_CASE("a GPU backend that sees too little of the self-test stays off, with the reason") {
  GpuStage stage(1);
  stage.StartWorker(Succeed, /*launches=*/1);
  const v1::BackendOffer offer = stage.AwaitVerdict();
  CHECK_FALSE(offer.available());
  CHECK_THAT(offer.reason(), Catch::Contains("has 1 launches of sextant_selftest_spin, not 2"));
}

TEST_CASE("a GPU backend is off where there is no GPU") {
  GpuStage stage(0);
  stage.StartWorker(Succeed);
  const v1::WorkerInfo info =
      stage.coordinator.AwaitInfo([](const v1::WorkerInfo&) { return true; });
  CHECK_FALSE(info.backends(0).available());
  CHECK_THAT(info.backends(0).reason(), Catch::Contains("no GPU"));
}

TEST_CASE("a self-test is held to its known counts, by launch and in sum") {
  v1::PassResult result;
  result.add_artifacts()->set_kind("table");
  const auto sass = [](double executed) {
    table::Builder builder("sass_metrics");
    const auto kernel = builder.Text("kernel");
    const auto opcode = builder.Text("opcode");
    const auto value = builder.Number("executed");
    for (int i = 0; i < 4; ++i) {
      builder.Set(kernel, gpu::selftest::kFfmaKernel);
      builder.Set(opcode, "FFMA");
      builder.Set(value, executed / 4);
      builder.EndRow();
    }
    return builder.Finish();
  };
  const double all = 1.0 * gpu::selftest::kFfmaWarpInstructions * gpu::selftest::kLaunches;
  CHECK(WhyNotProved(result, {sass(all)}).empty());
  CHECK_THAT(WhyNotProved(result, {sass(all - 4)}), Catch::Contains("where the self-test program"));
  result.clear_artifacts();
  result.add_artifacts()->set_kind("log");
  CHECK_THAT(WhyNotProved(result, {}), Catch::Contains("recorded nothing"));
  result.mutable_failure()->set_message("the tool has no permission");
  CHECK_THAT(WhyNotProved(result, {}), Catch::Contains("no permission"));
}

}  // namespace sextant::agent
