// What this coordinator counts, for Prometheus.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "sextant/v1/sextant.pb.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
template <typename T>
class Family;
}  // namespace prometheus

namespace sextant::rpc {

// Thread-safe.
class Metrics {
 public:
  // What is not counted but looked at when somebody asks: at most once in kSampleEvery.
  struct Sample {
    uint64_t ready_passes = 0;
    uint64_t running_passes = 0;
    uint64_t duplicate_commits = 0;
    uint32_t workers_live = 0;
    int workers_attached = 0;
    int watchers = 0;
    uint64_t audit_overflown = 0;
    bool database_up = false;
  };
  static constexpr absl::Duration kSampleEvery = absl::Seconds(2);

  explicit Metrics(std::function<Sample()> sample);
  ~Metrics();

  void Called(absl::string_view method, const absl::Status& status, absl::Duration took);
  void Committed(v1::CommitOutcome outcome);
  // A refusal that is not in the audit trail, because there were too many.
  void LeftOut();
  void Stored(const v1::TraceReceipt& receipt);

  // The page, in Prometheus' text format.
  std::string Page();

 private:
  const std::function<Sample()> sample_;
  const std::unique_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>* const calls_;
  prometheus::Family<prometheus::Histogram>* const latencies_;
  prometheus::Family<prometheus::Counter>* const commits_;
  prometheus::Counter* const events_;
  prometheus::Counter* const trace_bytes_;
  prometheus::Counter* const database_errors_;
  prometheus::Family<prometheus::Gauge>* const passes_;
  prometheus::Family<prometheus::Gauge>* const workers_;
  prometheus::Gauge* const watchers_;
  prometheus::Gauge* const duplicates_;
  prometheus::Gauge* const database_up_;
  prometheus::Gauge* const audit_overflown_;
  prometheus::Counter* const audit_left_out_;
  absl::Mutex mutex_;
  absl::Time sampled_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace sextant::rpc
