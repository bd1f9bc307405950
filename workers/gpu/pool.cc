#include "workers/gpu/pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sextant::gpu {
namespace fs = std::filesystem;
namespace {

constexpr unsigned kEventWaitMs = 500;      // how long closing may have to wait
constexpr size_t kMostXids = 64;            // remembered for one GPU

}  // namespace

std::unique_ptr<Pool> Pool::Open(PoolOptions options) {
  if (options.lock_directory.empty()) options.lock_directory = GpuLock::DefaultDirectory();
  std::unique_ptr<Pool> pool(new Pool(std::move(options)));
  const fs::path& root = pool->options_.driver_root;
  absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Load(root);
  if (!nvml.ok()) {
    pool->why_none_ = std::string(nvml.status().message());
    return pool;
  }
  absl::StatusOr<std::vector<Gpu>> gpus = ReadInventory(**nvml, root);
  if (!gpus.ok() || gpus->empty()) {
    pool->why_none_ = gpus.ok() ? "the driver is there, but it shows no GPU (or only GPUs whose MIG "
                                  "mode is on without instances)"
                                : std::string(gpus.status().message());
    return pool;
  }
  pool->nvml_ = *std::move(nvml);
  pool->gpus_ = *std::move(gpus);
  pool->driver_files_ = FindDriverFiles(root, pool->nvml_->path());
  if (pool->options_.lock_clocks_mhz > 0) pool->LockClocks();
  for (const Gpu& gpu : pool->gpus_) {
    pool->at_start_[gpu.device] = pool->Read(gpu);
    pool->Check(gpu);
  }
  pool->ListenForXids();
  return pool;
}

Pool::~Pool() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  if (listener_.joinable()) listener_.join();
  if (events_ != nullptr) nvml_->Try(nvml_->call().EventSetFree, events_);
  if (options_.lock_clocks_mhz > 0 && nvml_ != nullptr) {
    for (const Gpu& gpu : gpus_) {
      nvml_->Try(nvml_->call().DeviceResetGpuLockedClocks, gpu.physical);
    }
  }
}

void Pool::LockClocks() {
  const unsigned mhz = options_.lock_clocks_mhz;
  for (Gpu& gpu : gpus_) {
    const nvml::Code code =
        nvml_->Try(nvml_->call().DeviceSetGpuLockedClocks, gpu.physical, mhz, mhz);
    if (code == nvml::kSuccess) {
      gpu.clock_policy = absl::StrCat("locked:", mhz);
    } else {
      absl::MutexLock lock(&mutex_);
      broken_[gpu.device] = absl::StrCat("its clocks cannot be locked to ", mhz, " MHz as the site "
                                         "asks: ", nvml_->Describe(code));
    }
  }
}

void Pool::ListenForXids() {
  const nvml::Functions& call = nvml_->call();
  if (nvml_->Try(call.EventSetCreate, &events_) != nvml::kSuccess) return;
  bool any = false;
  for (const Gpu& gpu : gpus_) {
    any |= nvml_->Try(call.DeviceRegisterEvents, gpu.physical, nvml::kXidEvent, events_) ==
           nvml::kSuccess;
  }
  if (!any || call.EventSetWait_v2 == nullptr) return;
  listener_ = std::thread([this] {
    for (;;) {
      nvml::Event event = {};
      const nvml::Code code = nvml_->call().EventSetWait_v2(events_, &event, kEventWaitMs);
      absl::MutexLock lock(&mutex_);
      if (closing_ || (code != nvml::kSuccess && code != nvml::kTimeout)) return;
      if (code != nvml::kSuccess || event.type != nvml::kXidEvent) continue;
      for (const Gpu& gpu : gpus_) {
        if (gpu.physical != event.device) continue;
        auto& xids = xids_[gpu.device];
        if (xids.size() < kMostXids) xids.push_back(event.data);
        if (const std::string meaning = XidMeaning(event.data); !meaning.empty()) {
          broken_[gpu.device] = absl::StrCat("Xid ", event.data, ": ", meaning);
        }
      }
    }
  });
}

const Gpu* Pool::Find(const std::string& device) const {
  const auto it = std::find_if(gpus_.begin(), gpus_.end(),
                               [&](const Gpu& gpu) { return gpu.device == device; });
  return it == gpus_.end() ? nullptr : &*it;
}

absl::StatusOr<GpuLock> Pool::Lock(const Gpu& gpu) const {
  return GpuLock::Try(options_.lock_directory, gpu.uuid);
}

Snapshot Pool::Read(const Gpu& gpu) const { return ReadSnapshot(*nvml_, gpu); }

std::string Pool::Check(const Gpu& gpu) {
  std::string why = WhyUnhealthy(Read(gpu), at_start_.at(gpu.device));
  for (const std::string& node : gpu.nodes) {
    std::error_code error;
    // Tools beyond the program's own use it; programs run without.
    if (node == "dev/nvidia-uvm-tools" || fs::exists(options_.driver_root / node, error)) continue;
    if (!why.empty()) why += "; ";
    absl::StrAppend(&why, (options_.driver_root / node).string(), " is not there");
  }
  absl::MutexLock lock(&mutex_);
  if (const auto broken = broken_.find(gpu.device); broken != broken_.end()) {
    why = why.empty() ? broken->second : absl::StrCat(broken->second, "; ", why);
  }
  unhealthy_[gpu.device] = why;
  return why;
}

std::string Pool::Unhealthy(const Gpu& gpu) const {
  absl::MutexLock lock(&mutex_);
  const auto it = unhealthy_.find(gpu.device);
  return it == unhealthy_.end() ? "" : it->second;
}

std::vector<uint64_t> Pool::TakeXids(const Gpu& gpu) {
  absl::MutexLock lock(&mutex_);
  return std::exchange(xids_[gpu.device], {});
}

}  // namespace sextant::gpu
