#include "server/rpc/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace sextant::rpc {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

prometheus::Family<prometheus::Counter>* Counters(prometheus::Registry* registry, const char* name,
                                                  const char* help) {
  return &BuildCounter().Name(name).Help(help).Register(*registry);
}

prometheus::Family<prometheus::Gauge>* Gauges(prometheus::Registry* registry, const char* name,
                                              const char* help) {
  return &BuildGauge().Name(name).Help(help).Register(*registry);
}

const prometheus::Histogram::BucketBoundaries& LatencyBounds() {
  static const prometheus::Histogram::BucketBoundaries bounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60};
  return bounds;
}

}  // namespace

Metrics::Metrics(std::function<Sample()> sample)
    : sample_(std::move(sample)),
      registry_(std::make_unique<prometheus::Registry>()),
      calls_(Counters(registry_.get(), "sextant_rpc_calls_total", "Calls ended, by method and code")),
      latencies_(&BuildHistogram()
                      .Name("sextant_rpc_latency_seconds")
                      .Help("From a call's arrival to its answer, by method")
                      .Register(*registry_)),
      commits_(Counters(registry_.get(), "sextant_commits_total", "Passes committed, by outcome")),
      events_(&Counters(registry_.get(), "sextant_trace_events_total",
                        "Instances stored, chunks sent twice not counted again")
                   ->Add({})),
      trace_bytes_(&Counters(registry_.get(), "sextant_trace_bytes_total",
                             "Bytes of chunks and rollups stored")
                        ->Add({})),
      database_errors_(&Counters(registry_.get(), "sextant_database_errors_total",
                                 "Calls that ended UNAVAILABLE, UNKNOWN or INTERNAL")
                            ->Add({})),
      passes_(Gauges(registry_.get(), "sextant_passes", "Passes in the queue, by state")),
      workers_(Gauges(registry_.get(), "sextant_workers",
                      "Workers: attached here, and alive in the database")),
      watchers_(&Gauges(registry_.get(), "sextant_watchers", "Watchers of jobs")->Add({})),
      duplicates_(&Gauges(registry_.get(), "sextant_duplicate_commits",
                          "Commits refused or repeated since the database was made")
                       ->Add({})),
      database_up_(&Gauges(registry_.get(), "sextant_database_up", "1: the database answers")
                        ->Add({})),
      audit_overflown_(&Gauges(registry_.get(), "sextant_audit_overflown",
                               "Audit entries that are in the log alone, since the start")
                            ->Add({})),
      audit_left_out_(&Counters(registry_.get(), "sextant_audit_left_out_total",
                                "Refused calls that the audit trail leaves out: too many in a second")
                           ->Add({})) {}

Metrics::~Metrics() = default;

void Metrics::Called(absl::string_view method, const absl::Status& status, absl::Duration took) {
  const std::string name(method);
  calls_->Add({{"method", name}, {"code", absl::StatusCodeToString(status.code())}}).Increment();
  latencies_->Add({{"method", name}}, LatencyBounds()).Observe(absl::ToDoubleSeconds(took));
  if (absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsInternal(status))
    database_errors_->Increment();
}

void Metrics::Committed(v1::CommitOutcome outcome) {
  commits_->Add({{"outcome", v1::CommitOutcome_Name(outcome)}}).Increment();
}

void Metrics::LeftOut() { audit_left_out_->Increment(); }

void Metrics::Stored(const v1::TraceReceipt& receipt) {
  events_->Increment(static_cast<double>(receipt.events()));
  trace_bytes_->Increment(static_cast<double>(receipt.stored_bytes()));
}

std::string Metrics::Page() {
  {
    absl::MutexLock lock(&mutex_);
    if (absl::Now() - sampled_ >= kSampleEvery) {
      sampled_ = absl::Now();
      const Sample sample = sample_();
      database_up_->Set(sample.database_up ? 1 : 0);
      watchers_->Set(sample.watchers);
      audit_overflown_->Set(static_cast<double>(sample.audit_overflown));
      workers_->Add({{"state", "attached"}}).Set(sample.workers_attached);
      if (sample.database_up) {
        workers_->Add({{"state", "alive"}}).Set(sample.workers_live);
        passes_->Add({{"state", "ready"}}).Set(static_cast<double>(sample.ready_passes));
        passes_->Add({{"state", "running"}}).Set(static_cast<double>(sample.running_passes));
        duplicates_->Set(static_cast<double>(sample.duplicate_commits));
      }
    }
  }
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace sextant::rpc
