#include "server/housekeeping.h"

#include <spdlog/spdlog.h>

namespace sextant {

Housekeeping::Housekeeping(store::Cluster* cluster, store::Retention* retention,
                           store::RetentionPolicy policy)
    : cluster_(cluster), retention_(retention), policy_(policy) {
  if (cluster_ != nullptr) watch_ = std::thread([this] { WatchCluster(); });
  remove_ = std::thread([this] { RemoveOld(); });
}

Housekeeping::~Housekeeping() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (watch_.joinable()) watch_.join();
  remove_.join();
}

bool Housekeeping::Wait(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stop_), time);
}

void Housekeeping::WatchCluster() {
  while (Wait(kWatchEvery)) {
    if (absl::Status status = cluster_->EnsureRunning(); !status.ok())
      spdlog::error("database step=restart error=\"{}\"", status.ToString());
  }
}

void Housekeeping::RemoveOld() {
  absl::Duration pause = absl::Minutes(1);   // first, let the service come up
  while (Wait(pause)) {
    auto report = retention_->Run(policy_);
    if (!report.ok()) {
      spdlog::warn("retention error=\"{}\"", report.status().ToString());
    } else if (report->jobs + report->trace_days > 0 || report->blobs.blobs > 0) {
      spdlog::info("retention jobs={} trace_days={} blobs={} blob_bytes={}", report->jobs,
                   report->trace_days, report->blobs.blobs, report->blobs.bytes);
    }
    pause = report.ok() && report->more ? kWatchEvery : kRemoveEvery;
  }
}

}  // namespace sextant
