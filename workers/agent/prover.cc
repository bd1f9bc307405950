#include "workers/agent/prover.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "proto/table/table.h"
#include "spdlog/spdlog.h"
#include "workers/agent/digest.h"
#include "workers/agent/log.h"
#include "workers/gpu/selftest/facts.h"

namespace sextant::agent {
namespace {

namespace selftest = gpu::selftest;

// Room for the hungriest tools: a profiler that starts a framework.
constexpr double kProofWallS = 120;
constexpr uint64_t kProofMemoryBytes = 16ull << 30;
constexpr uint32_t kProofPids = 2048;
constexpr double kProofCores = 4;
constexpr uint64_t kMostTableBytes = 64 << 20;

AgentOptions Apart(AgentOptions options) {
  options.state_dir /= "proofs";
  return options;
}

// The tables among the artifacts of an entry.
std::vector<v1::DataTable> ReadTables(const SpoolEntry& entry) {
  std::vector<v1::DataTable> tables;
  for (const v1::Artifact& artifact : entry.commit.result().artifacts()) {
    if (artifact.kind() != table::kArtifactKind || artifact.size_bytes() > kMostTableBytes) continue;
    for (const BlobRange& range : entry.blobs) {
      if (range.digest != artifact.digest()) continue;
      std::string bytes;
      const absl::Status read = ReadPieces(entry.file.get(), range.offset, range.size_bytes,
                                           [&bytes](std::string_view piece) {
                                             bytes.append(piece);
                                             return absl::OkStatus();
                                           });
      absl::StatusOr<v1::DataTable> decoded =
          read.ok() ? table::DecodeUntrusted(bytes) : absl::StatusOr<v1::DataTable>(read);
      if (decoded.ok()) tables.push_back(*std::move(decoded));
      break;
    }
  }
  return tables;
}

// Whether `value`, summed over the rows of each launch whose kernel is `kernel` and whose `by` is
// `name`, is `each`; rows of launch −1 (or without launches) are sums over all launches. Empty: it
// is, or there is no such row.
std::string CheckSums(const v1::DataTable& table, const char* kernel, const char* by,
                      const char* name, const char* value, double each) {
  const v1::DataColumn* kernels = table::Find(table, "kernel");
  const v1::DataColumn* names = table::Find(table, by);
  const v1::DataColumn* values = table::Find(table, value);
  const v1::DataColumn* launches = table::Find(table, "launch");
  if (kernels == nullptr || names == nullptr || values == nullptr) return "";
  std::map<double, double> sums;  // by launch
  for (uint64_t row = 0; row < table.rows(); ++row) {
    if (table::TextAt(*kernels, row).find(kernel) != std::string_view::npos &&
        table::TextAt(*names, row) == name) {
      sums[launches == nullptr ? -1 : table::NumberAt(*launches, row)] +=
          table::NumberAt(*values, row);
    }
  }
  for (const auto& [launch, sum] : sums) {
    const double expected = launch < 0 ? each * selftest::kLaunches : each;
    if (sum == expected) continue;
    return absl::StrCat("table ", table.name(), ": ", name, " of ", kernel, " is ", sum,
                        " where the self-test program makes it ", expected);
  }
  return "";
}

std::string CheckTable(const v1::DataTable& table) {
  if (table.name() == "launches") {
    const v1::DataColumn* kernels = table::Find(table, "kernel");
    std::map<std::string, unsigned> seen;
    for (uint64_t row = 0; kernels != nullptr && row < table.rows(); ++row) {
      ++seen[std::string(table::TextAt(*kernels, row))];
    }
    for (const char* kernel :
         {selftest::kSpinKernel, selftest::kFfmaKernel, selftest::kCopyKernel}) {
      if (seen[kernel] != selftest::kLaunches) {
        return absl::StrCat("table launches has ", seen[kernel], " launches of ", kernel, ", not ",
                            selftest::kLaunches);
      }
    }
  }
  if (table.name() == "sass_metrics") {
    return CheckSums(table, selftest::kFfmaKernel, "opcode", "FFMA", "executed",
                     selftest::kFfmaWarpInstructions);
  }
  if (table.name() == "counters") {
    return CheckSums(table, selftest::kFfmaKernel, "metric",
                     "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", "value",
                     selftest::kFfmaThreadInstructions);
  }
  return "";
}

}  // namespace

std::string WhyNotProved(const v1::PassResult& result, const std::vector<v1::DataTable>& tables) {
  if (result.has_failure()) {
    return absl::StrCat(result.failure().message(), result.failure().remedy().empty() ? "" : "; ",
                        result.failure().remedy());
  }
  bool left = result.events() > 0 || result.counters_size() > 0;
  for (const v1::Artifact& artifact : result.artifacts()) left |= artifact.kind() != "log";
  if (!left) return "it recorded nothing of a program that launches kernels";
  for (const v1::DataTable& table : tables) {
    if (std::string why = CheckTable(table); !why.empty()) return why;
  }
  return "";
}

void Apply(const ProofVerdict& verdict, const v1::BackendOffer& probed, v1::BackendOffer& offer) {
  offer.set_available(verdict.available);
  offer.set_reason(verdict.reason.empty() ? probed.reason() : verdict.reason);
  *offer.mutable_features() = probed.features();   // "being-proved" is over
}

Prover::Prover(const AgentOptions& options, RunnerRooms rooms, Proved proved)
    : options_(Apart(options)),
      rooms_(rooms),
      proved_(std::move(proved)),
      runner_(options_, rooms_, [] {}),
      thread_([this] { Loop(); }) {}

Prover::~Prover() {
  std::shared_ptr<Pass> running;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    running = running_;
  }
  wakeup_.Wake();
  if (running) running->Stop("the worker stopped");
  thread_.join();
}

std::vector<std::string> Prover::Backends(const std::map<std::string, OfferedBackend>& all) {
  std::vector<std::string> names;
  for (const auto& [name, offered] : all) {
    if (offered.offer.device_kind() == "gpu" && offered.offer.available()) names.push_back(name);
  }
  return names;
}

void Prover::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&idle_));
}

const gpu::Gpu* Prover::WellGpu() const {
  for (const gpu::Gpu& gpu : rooms_.gpus.gpus()) {
    if (rooms_.gpus.Unhealthy(gpu).empty()) return &gpu;
  }
  return nullptr;
}

void Prover::Loop() {
  const StateDirs dirs(options_.state_dir);
  absl::Status made = MakeDirectory(dirs.root, 0711);
  if (made.ok()) made = RemoveTree(dirs.passes);
  if (made.ok()) made = RemoveTree(dirs.spool);
  if (made.ok()) made = MakeDirectory(dirs.passes, 0711);
  if (made.ok()) made = MakeDirectory(dirs.spool, 0700);
  if (!made.ok()) spdlog::error("msg=\"no proofs can be run\" error={}", Quoted(made.message()));
  for (const std::string& name : Backends(rooms_.backends)) {
    const OfferedBackend& offered = rooms_.backends.at(name);
    const gpu::Gpu* gpu = nullptr;
    for (;;) {
      gpu = WellGpu();
      {
        absl::MutexLock lock(&mutex_);
        if (closing_) return;
        idle_ = gpu == nullptr;
      }
      if (gpu != nullptr) break;
      wakeup_.Wait();
    }
    const std::filesystem::path known = options_.state_dir / absl::StrCat(Key(offered, *gpu), ".ok");
    std::error_code error;
    const bool proved_before = std::filesystem::exists(known, error);
    const Verdict verdict = proved_before ? Verdict{true, ""} : Prove(offered, *gpu);
    {
      absl::MutexLock lock(&mutex_);
      if (closing_) return;
    }
    spdlog::info("msg=\"backend {}\" backend={} device={} before={} reason={}",
                 verdict.available ? "proved" : "off", name, gpu->device, proved_before,
                 Quoted(verdict.reason));
    if (verdict.available && verdict.reason.empty() && !proved_before) std::ofstream(known) << name;
    proved_(name, verdict);
  }
  absl::MutexLock lock(&mutex_);
  idle_ = true;
}

std::string Prover::Key(const OfferedBackend& offered, const gpu::Gpu& gpu) const {
  return Hex(Digest(absl::StrCat(offered.offer.name(), "\n", offered.offer.tool_digest(), "\n",
                                 gpu.MachineClass(), "\n", SEXTANT_VERSION)))
      .substr(0, 32);
}

Prover::Verdict Prover::Prove(const OfferedBackend& offered, const gpu::Gpu& gpu) {
  const backends::Proof proof = offered.backend->HowToProve();
  if (!proof.needed) return {true, ""};
  v1::Assignment assignment;
  assignment.mutable_pass()->set_pass_id(kProofPass);
  assignment.mutable_pass()->set_epoch(1);
  assignment.set_task("proof");
  assignment.set_kind("profile");
  assignment.set_device(gpu.device);
  assignment.mutable_spec()->set_backend(offered.offer.name());
  for (const auto& [name, value] : proof.options) {
    (*assignment.mutable_spec()->mutable_options())[name] = value;
  }
  v1::Workload& workload = *assignment.mutable_workload();
  for (const std::string& word : proof.argv) workload.add_argv(word);
  workload.set_stdin_text(proof.stdin_text);
  if (proof.argv.empty()) {
    std::error_code error;
    if (!std::filesystem::exists(options_.site.libraries / selftest::kProgram, error)) {
      return {true, absl::StrCat("not proved: ", selftest::kProgram, " is not in --lib-dir")};
    }
    workload.add_argv(absl::StrCat(backends::kInsideLibraries, "/", selftest::kProgram));
  }
  workload.mutable_limits()->set_wall_s(kProofWallS);
  workload.mutable_limits()->set_memory_bytes(kProofMemoryBytes);
  workload.mutable_limits()->set_pids(kProofPids);
  workload.mutable_limits()->set_cpu_cores(kProofCores);
  auto pass = std::make_shared<Pass>(std::move(assignment));
  {
    absl::MutexLock lock(&mutex_);
    if (closing_) return {};
    running_ = pass;
  }
  std::unique_ptr<SpoolEntry> entry = runner_.Run(*pass);
  {
    absl::MutexLock lock(&mutex_);
    running_ = nullptr;
  }
  if (!entry) return {false, "the proof was stopped"};
  const std::string why = WhyNotProved(
      entry->commit.result(),
      proof.argv.empty() ? ReadTables(*entry) : std::vector<v1::DataTable>());
  entry->Remove();
  return {why.empty(), why.empty() ? "" : absl::StrCat("the self-test on ", gpu.device, " failed: ", why)};
}

}  // namespace sextant::agent
