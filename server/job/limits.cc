#include "server/job/limits.h"

#include "absl/strings/str_cat.h"

namespace sextant::job {
namespace {
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kGiB = 1 << 30;
}  // namespace

v1::ServiceLimits DefaultLimits() {
  v1::ServiceLimits limits;
  limits.set_max_tasks_per_job(10'000);
  limits.set_max_nesting(64);
  limits.set_max_name_bytes(256);
  limits.set_max_path_bytes(4096);
  limits.set_max_edges_per_task(10'000);
  limits.set_max_passes_per_task(10'000);
  limits.set_max_files_per_workload(20'000);
  limits.set_max_argv(4096);
  limits.set_max_argv_bytes(512 << 10);
  limits.set_max_env(512);
  limits.set_max_env_bytes(256 << 10);
  limits.set_max_blob_bytes(4 * kGiB);
  limits.set_max_blob_chunk_bytes(kMiB);
  limits.set_max_blobs_per_request(20'000);
  limits.set_blob_quota_bytes(64 * kGiB);
  limits.set_max_message_bytes(64 * kMiB);  // a 10,000-task graph, and a full trace chunk
  limits.set_max_labels(64);
  limits.set_max_label_bytes(256);
  limits.set_max_attempts(3);
  auto* run = limits.mutable_default_run();
  run->set_memory_bytes(8 * kGiB);  // a framework with its CUDA context takes 3 to 5 GiB
  run->set_cpu_cores(0);  // as many as the machine has
  run->set_pids(1024);  // its libraries start threads by the core
  run->set_wall_s(600);
  run->set_file_bytes(4 * kGiB);
  run->set_disk_bytes(8 * kGiB);
  run->set_output_bytes(16 * kMiB);
  run->set_open_files(1024);
  auto* max = limits.mutable_max_run();
  max->set_memory_bytes(1024 * kGiB);
  max->set_cpu_cores(1024);
  max->set_pids(32'768);
  max->set_wall_s(7 * 24 * 3600);
  max->set_file_bytes(256 * kGiB);
  max->set_disk_bytes(1024 * kGiB);
  max->set_output_bytes(256 * kMiB);
  max->set_open_files(65'536);
  max->set_hang_s(24 * 3600);
  limits.set_max_events_per_chunk(64 << 10);
  limits.set_max_chunk_bytes(4 * kMiB);
  limits.set_max_tracks_per_chunk(64 << 10);
  limits.set_max_regions_per_pass(4096);
  limits.set_max_events_per_pass(1'000'000'000);
  limits.set_max_quantiles(16);
  limits.set_max_buckets(4096);
  limits.set_max_timeline_instances(2000);
  limits.set_query_max_rows(10'000);
  limits.set_query_max_bytes(16 * kMiB);
  limits.set_query_max_s(10);
  limits.set_query_max_sql_bytes(64 << 10);
  limits.set_worker_lease_s(60);
  limits.set_max_page_size(10'000);
  limits.set_max_artifacts_per_pass(1000);
  limits.set_max_result_bytes(8 * kMiB);
  limits.set_max_open_jobs_per_submitter(100'000);
  limits.set_trace_retention_days(30);
  limits.set_max_stdin_bytes(kMiB);
  limits.set_max_deadline_s(30 * 24 * 3600);
  limits.set_max_queued_passes_per_tenant(1'000'000);
  limits.set_max_running_devices_per_tenant(0);   // no bound: submitters take turns at what there is
  limits.set_max_calls_per_s_per_tenant(10'000);
  limits.set_audit_days(365);
  return limits;
}

namespace {

template <typename T>
absl::Status Fill(absl::string_view field, absl::string_view name, T limit, T standard, T* value) {
  if (!(*value >= 0)) {  // also NaN
    return absl::InvalidArgumentError(absl::StrCat(field, ".", name, " must not be negative"));
  }
  if (*value == 0) *value = standard;
  if (limit != 0 && *value > limit) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".", name, " is ", *value,
                                                   ", at most max_run.", name, " = ", limit,
                                                   " is allowed"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FillRunLimits(const v1::ServiceLimits& limits, absl::string_view field,
                           v1::ResourceLimits* asked) {
  const auto& standard = limits.default_run();
  const auto& max = limits.max_run();
  absl::Status status;
#define FILL(name)                                                              \
  {                                                                             \
    auto value = asked->name();                                                 \
    status.Update(Fill(field, #name, max.name(), standard.name(), &value));     \
    asked->set_##name(value);                                                   \
  }
  FILL(memory_bytes)
  FILL(cpu_cores)
  FILL(pids)
  FILL(wall_s)
  FILL(file_bytes)
  FILL(disk_bytes)
  FILL(output_bytes)
  FILL(open_files)
  FILL(hang_s)
#undef FILL
  return status;
}

}  // namespace sextant::job
