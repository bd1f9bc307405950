#include "workers/agent/agent.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "spdlog/spdlog.h"
#include "workers/agent/log.h"
#include "workers/agent/spool.h"

namespace sextant::agent {
namespace {

constexpr char kCpu[] = "cpu";
constexpr auto kLookAgain = std::chrono::seconds(10);  // at a GPU that is not well

AgentOptions WithName(AgentOptions options) {
  if (options.name.empty()) options.name = DefaultWorkerName(ReadMachine(), options.state_dir);
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(
    AgentOptions options, std::unique_ptr<sandbox::Sandbox> sandbox,
    std::vector<std::unique_ptr<backends::Backend>> backends) {
  options.endpoint.address = options.coordinator;
  ASSIGN_OR_RETURN(endpoint::Endpoint endpoint, endpoint::Endpoint::Make(options.endpoint));
  const StateDirs dirs(options.state_dir);
  RETURN_IF_ERROR(MakeDirectory(dirs.root, 0711), "--state");
  Fd lock(open((dirs.root / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.ok()) return ErrnoStatus(errno, absl::StrCat("--state ", dirs.root.string()));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--state ", dirs.root.string(),
                     " is used by another worker: stop it, or give this one another directory"));
  }
  std::unique_ptr<Agent> agent(new Agent(WithName(std::move(options)), std::move(endpoint), std::move(lock),
                                         std::move(sandbox), std::move(backends)));
  RETURN_IF_ERROR(agent->Open());
  return agent;
}

Agent::Agent(AgentOptions options, endpoint::Endpoint endpoint, Fd lock, std::unique_ptr<sandbox::Sandbox> sandbox,
             std::vector<std::unique_ptr<backends::Backend>> backends)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      machine_(ReadMachine()),
      sandbox_(std::move(sandbox)),
      gpus_(gpu::Pool::Open(options_.gpu)),
      backends_(Probe(std::move(backends))),
      coordinator_(std::move(endpoint), options_.limits, options_.times),
      blobs_(StateDirs(options_.state_dir).blobs, options_.limits.blob_cache_bytes,
             [this](const std::string& digest, const auto& piece) {
               return coordinator_.GetBlob(digest, piece);
             }),
      warm_(*sandbox_, options_.warm),
      runner_(options_, RunnerRooms{*sandbox_, blobs_, backends_, machine_, *gpus_, warm_},
              [this] { Poke(); }),
      info_(DescribeWorker(options_, machine_, *sandbox_, *gpus_, backends_)) {}

absl::Status Agent::Open() {
  const StateDirs dirs(options_.state_dir);
  RETURN_IF_ERROR(RemoveTree(dirs.passes), "clearing what an earlier worker left");
  RETURN_IF_ERROR(MakeDirectory(dirs.passes, 0711));
  RETURN_IF_ERROR(MakeDirectory(dirs.spool, 0700));
  RETURN_IF_ERROR(MakeDirectory(dirs.kept, 0711));
  RETURN_IF_ERROR(blobs_.Open());

  committer_ = std::make_unique<Committer>(
      coordinator_, options_,
      [this](const PassKey& key, v1::CommitOutcome outcome, const std::string& message) {
        OnSettled(key, outcome, message);
      });
  std::vector<std::string> bad;
  for (SpoolEntry& entry : LoadSpool(dirs.spool, &bad)) {
    v1::Assignment known;
    *known.mutable_pass() = entry.commit.pass();
    {
      absl::MutexLock lock(&mutex_);
      passes_[KeyOf(known.pass())] = std::make_shared<Pass>(known, Phase::kSpooled);
    }
    spdlog::info("msg=\"took over a spooled result\" pass={} epoch={}", known.pass().pass_id(),
                 known.pass().epoch());
    committer_->Add(std::make_unique<SpoolEntry>(std::move(entry)), /*uploaded=*/false);
  }
  for (const std::string& what : bad)
    spdlog::warn("msg=\"dropped from the spool\" entry={}", Quoted(what));

  std::vector<std::string> devices;
  const v1::WorkerInfo own = info();
  for (const v1::Device& device : own.devices()) devices.push_back(device.name());
  lanes_ = std::make_unique<Lanes>(devices, options_.cpu_slots);
  lease_ = std::make_unique<Lease>([this] { OnLeaseEnded(); });
  attachment_ = std::make_unique<Attachment>(
      coordinator_, options_.times,
      Attachment::Calls{[this](bool first) { return State(first); },
                        [this](v1::DesiredState desired) { OnDesired(std::move(desired)); },
                        [this] { committer_->Retry(); }});
  {
    absl::MutexLock lock(&mutex_);
    attachment_view_ = attachment_.get();
  }
  if (!gpus_->gpus().empty() && !Prover::Backends(backends_).empty()) {
    prover_ = std::make_unique<Prover>(
        options_, RunnerRooms{*sandbox_, blobs_, backends_, machine_, *gpus_, warm_},
        [this](const std::string& backend, const Prover::Verdict& verdict) {
          OnProved(backend, verdict);
        });
  }
  return absl::OkStatus();
}

Agent::~Agent() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    attachment_view_ = nullptr;
  }
  attachment_.reset();
  lease_.reset();
  for (const auto& pass : Held()) pass->StopUnlessRan("the worker stopped");
  lanes_.reset();
  prover_.reset();  // after the lanes, which tell it of GPUs
  committer_.reset();
}

void Agent::Drain(std::chrono::nanoseconds patience) {
  const SteadyTime now = std::chrono::steady_clock::now();
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    if (patience < SteadyTime::max() - now) {
      drain_deadline_ = std::min(drain_deadline_, now + patience);
    }
  }
  draining_changed_.Wake();
  Poke();
}

bool Agent::WaitDrained() {
  bool killed = false;
  for (;;) {
    SteadyTime deadline;
    {
      absl::MutexLock lock(&mutex_);
      if (draining_ && passes_.empty()) return !killed;
      deadline = drain_deadline_;
    }
    if (killed) deadline += options_.times.last_words;
    const bool passed = std::chrono::steady_clock::now() >= deadline;
    if (passed && killed) return false;
    if (passed) {
      spdlog::warn("msg=\"not drained in time; running passes are killed\"");
      for (const auto& pass : Held()) pass->StopUnlessRan("the worker stopped");
      killed = true;
    } else if (deadline == SteadyTime::max()) {
      draining_changed_.Wait();
    } else {
      draining_changed_.WaitUntil(deadline);
    }
  }
}

void Agent::OnDesired(v1::DesiredState desired) {
  if (!desired.message().empty()) {
    spdlog::info("msg=\"from the coordinator\" text={}", Quoted(desired.message()));
  }
  if (desired.lease_s() > 0) {
    lease_->Renew(std::chrono::nanoseconds(static_cast<int64_t>(desired.lease_s() * 1e9)));
  }
  for (const v1::PassRef& ref : desired.stop()) Stop(ref, "cancelled");
  for (v1::Assignment& assignment : *desired.mutable_start()) Accept(std::move(assignment));
  if (desired.drain()) Drain();
}

std::string Agent::Conflict(const v1::Assignment& assignment) const {
  if (assignment.device().empty()) {
    return options_.cpu_slots > 0 ? "" : "this worker has no CPU slots (--cpu-slots)";
  }
  const bool known =
      std::any_of(info_.devices().begin(), info_.devices().end(),
                  [&](const v1::Device& device) { return device.name() == assignment.device(); });
  if (!known) return absl::StrCat("this worker has no device \"", assignment.device(), "\"");
  for (const auto& [key, pass] : passes_) {
    if (pass->assignment().device() != assignment.device() || pass->stopped()) continue;
    const Phase phase = pass->phase();
    if (phase == Phase::kUpload || phase == Phase::kSpooled) continue;
    return absl::StrCat("device \"", assignment.device(), "\" is measuring pass ", key.first);
  }
  return "";
}

void Agent::Accept(v1::Assignment assignment) {
  const PassKey key = KeyOf(assignment.pass());
  std::shared_ptr<Pass> older;
  std::shared_ptr<Pass> pass;
  Lane* lane = nullptr;
  std::string conflict;
  {
    absl::MutexLock lock(&mutex_);
    if (passes_.count(key) || ended_.count(key)) return;
    auto other = passes_.lower_bound({key.first, 0});
    for (; other != passes_.end() && other->first.first == key.first; ++other) {
      if (other->first.second > key.second) return;  // came late
      older = other->second;
    }
  }
  if (older) Stop(older->ref(), "given out anew");
  {
    absl::MutexLock lock(&mutex_);
    conflict = Conflict(assignment);
    const bool refused = !conflict.empty();
    pass = std::make_shared<Pass>(std::move(assignment), refused ? Phase::kSpooled : Phase::kFetch);
    passes_[key] = pass;
    if (!refused) lane = lanes_->For(pass->assignment().device());
  }
  if (lane) {
    lane->Post([this, pass] { RunOnLane(pass); });
    return;
  }
  spdlog::warn("msg=\"refused an assignment\" job={} task={} pass={} epoch={} why={}",
               pass->assignment().job_id(), Quoted(pass->assignment().task()), key.first,
               key.second, Quoted(conflict));
  committer_->Add(std::make_unique<SpoolEntry>(
                      runner_.Refuse(pass->assignment(), "prepare", conflict,
                                     "nothing to do here: the scheduler asked for too much")),
                  /*uploaded=*/true);
  Poke();
}

void Agent::RunOnLane(const std::shared_ptr<Pass>& pass) {
  const v1::Assignment& assignment = pass->assignment();
  const PassKey key = KeyOf(pass->ref());
  std::unique_ptr<SpoolEntry> entry = runner_.Run(*pass);
  if (!entry) {
    // A pass whose lease ended may be given to this worker again with the same epoch; one that was
    // stopped may not.
    spdlog::info("msg=\"pass dropped\" job={} task={} pass={} epoch={} why={}", assignment.job_id(),
                 Quoted(assignment.task()), key.first, key.second, Quoted(pass->stop_reason()));
    Forget(key, /*remember=*/false);
    return;
  }
  pass->Enter(Phase::kUpload);
  Poke();
  const v1::PassResult& result = entry->commit.result();
  spdlog::info(
      "msg=\"pass ran\" job={} task={} pass={} epoch={} verdict={} events={} wall_s={} "
      "failure={}",
      assignment.job_id(), Quoted(assignment.task()), key.first, key.second,
      v1::Verdict_Name(result.exit().verdict()), result.events(), result.exit().wall_s(),
      Quoted(result.failure().message()));
  const bool uploaded = committer_->Upload(*entry);
  pass->Enter(Phase::kSpooled);
  if (pass->stopped()) {
    entry->Remove();
    Forget(key, /*remember=*/true);
    return;
  }
  committer_->Add(std::move(entry), uploaded);
  Poke();
}

void Agent::Stop(const v1::PassRef& ref, const std::string& reason) {
  const PassKey key = KeyOf(ref);
  std::shared_ptr<Pass> pass;
  {
    absl::MutexLock lock(&mutex_);
    auto it = passes_.find(key);
    if (it != passes_.end()) pass = it->second;
  }
  if (pass) pass->Stop(reason);
  if (committer_->Drop(key)) Forget(key, /*remember=*/true);
}

void Agent::OnSettled(const PassKey& key, v1::CommitOutcome outcome, const std::string& message) {
  if (outcome == v1::COMMITTED) {
    spdlog::info("msg=\"pass committed\" pass={} epoch={}", key.first, key.second);
  } else {
    spdlog::warn("msg=\"result not taken\" pass={} epoch={} outcome={} text={}", key.first,
                 key.second, v1::CommitOutcome_Name(outcome), Quoted(message));
  }
  Forget(key, /*remember=*/true);
}

void Agent::OnLeaseEnded() {
  spdlog::warn("msg=\"lease ended; running passes are killed\"");
  for (const auto& pass : Held()) pass->StopUnlessRan("lease ended");
}

void Agent::OnProved(const std::string& backend, const Prover::Verdict& verdict) {
  {
    absl::MutexLock lock(&mutex_);
    for (v1::BackendOffer& offer : *info_.mutable_backends()) {
      if (offer.name() == backend) Apply(verdict, backends_.at(backend).offer, offer);
    }
    info_changed_ = true;
  }
  Poke();
}

v1::WorkerInfo Agent::info() const {
  absl::MutexLock lock(&mutex_);
  return info_;
}

bool Agent::RefreshDevices() {
  bool changed = false;
  for (v1::Device& device : *info_.mutable_devices()) {
    const gpu::Gpu* gpu = gpus_->Find(device.name());
    if (gpu == nullptr) continue;
    const std::string why = gpus_->Unhealthy(*gpu);
    if (why == device.unhealthy()) continue;
    if (why.empty()) {
      spdlog::info("msg=\"a GPU is well again\" device={} uuid={}", device.name(), gpu->uuid);
    } else {
      spdlog::error("msg=\"a GPU is not well and gets no work\" device={} uuid={} why={}",
                    device.name(), gpu->uuid, Quoted(why));
    }
    device.set_unhealthy(why);
    changed = true;
  }
  return changed;
}

void Agent::LookAgain() {
  std::vector<const gpu::Gpu*> ill;
  {
    absl::MutexLock lock(&mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (draining_ || now - looked_again_ < kLookAgain) return;
    looked_again_ = now;
    for (const v1::Device& device : info_.devices()) {
      if (!device.unhealthy().empty()) ill.push_back(gpus_->Find(device.name()));
    }
  }
  for (const gpu::Gpu* gpu : ill) {
    if (gpu == nullptr) continue;
    lanes_->For(gpu->device)->Post([this, gpu] {
      if (!gpus_->Check(*gpu).empty()) return;
      if (prover_) prover_->GpuIsWell();
      Poke();
    });
  }
}

v1::WorkerState Agent::State(bool first) {
  LookAgain();
  v1::WorkerState state;
  absl::MutexLock lock(&mutex_);
  if (RefreshDevices()) info_changed_ = true;
  if (first || info_changed_) *state.mutable_info() = info_;
  info_changed_ = false;
  for (const auto& [key, pass] : passes_) {
    if (!pass->stopped()) *state.add_running() = pass->Progress();
  }
  state.set_draining(draining_);
  return state;
}

void Agent::Forget(const PassKey& key, bool remember) {
  {
    absl::MutexLock lock(&mutex_);
    passes_.erase(key);
    if (remember && ended_.insert(key).second) ended_order_.push_back(key);
    while (ended_order_.size() > options_.limits.remembered_passes) {
      ended_.erase(ended_order_.front());
      ended_order_.pop_front();
    }
  }
  draining_changed_.Wake();
  Poke();
}

std::vector<std::shared_ptr<Pass>> Agent::Held() {
  std::vector<std::shared_ptr<Pass>> held;
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, pass] : passes_) held.push_back(pass);
  return held;
}

void Agent::Poke() {
  absl::MutexLock lock(&mutex_);
  if (attachment_view_) attachment_view_->Poke();
}

v1::WorkerInfo DescribeWorker(const AgentOptions& options, const Machine& machine,
                              const sandbox::Sandbox& sandbox, const gpu::Pool& gpus,
                              const std::map<std::string, OfferedBackend>& backends) {
  v1::WorkerInfo info;
  info.set_name(options.name);
  info.set_incarnation(NewIncarnation());
  info.set_hostname(machine.hostname);
  info.set_version(SEXTANT_VERSION);
  v1::Device& device = *info.add_devices();
  device.set_name(kCpu);
  device.set_kind("host");
  device.set_machine_class(machine.machine_class);
  (*device.mutable_properties())["cpu_model"] = machine.cpu_model;
  (*device.mutable_properties())["cpu_cores"] = absl::StrCat(machine.cpu_cores);
  (*device.mutable_properties())["governor"] = machine.governor;
  for (const gpu::Gpu& gpu : gpus.gpus()) {
    v1::Device& one = *info.add_devices();
    one.set_name(gpu.device);
    one.set_kind("gpu");
    one.set_machine_class(gpu.MachineClass());
    for (const auto& [name, value] : gpu.Properties()) (*one.mutable_properties())[name] = value;
    one.set_unhealthy(gpus.Unhealthy(gpu));
  }
  info.set_cpu_slots(options.cpu_slots);
  for (const auto& [name, offered] : backends) {
    v1::BackendOffer& offer = *info.add_backends() = offered.offer;
    if (offer.device_kind() != "gpu" || !offer.available()) continue;
    // Probe found its tool; whether it sees anything is found out on the GPU.
    offer.set_available(false);
    if (gpus.gpus().empty()) {
      offer.set_reason(absl::StrCat("this machine has no GPU: ", gpus.why_none()));
    } else {
      offer.set_reason("it is being proved by a self-test on the GPU; this takes seconds");
      offer.add_features("being-proved");
    }
  }
  info.set_sandbox(sandbox.Description());
  for (const std::string& prefix : options.rootfs_allowed) info.add_rootfs_allowed(prefix);
  info.set_machine_class(machine.machine_class);
  return info;
}

std::map<std::string, OfferedBackend> Probe(
    std::vector<std::unique_ptr<backends::Backend>> backends) {
  std::map<std::string, OfferedBackend> offered;
  for (auto& backend : backends) {
    const std::string name = backend->Name();
    OfferedBackend& one = offered[name];
    one.offer = backend->Probe();
    one.backend = std::move(backend);
  }
  return offered;
}

}  // namespace sextant::agent
