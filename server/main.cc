// sextantd: builds the rooms in order, serves, stops.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/access/access.h"
#include "server/analysis/builtin_runner.h"
#include "server/dispatch/notifier.h"
#include "server/flags.h"
#include "server/front.h"
#include "server/housekeeping.h"
#include "server/process.h"
#include "server/rpc/addresses.h"
#include "server/rpc/server.h"
#include "server/store/faults.h"
#include "server/store/migrator.h"

namespace sextant {
namespace {

// Waits for a signal; zero seconds: only looks. Returns whether one came.
bool Signalled(const sigset_t& signals, int seconds) {
  const timespec time = {seconds, 0};
  return sigtimedwait(&signals, nullptr, &time) > 0;
}

absl::StatusOr<std::unique_ptr<store::Database>> OpenDatabase(const store::DatabaseOptions& options,
                                                              const sigset_t& signals) {
  for (;;) {
    auto database = store::Database::Open(options);
    if (!absl::IsUnavailable(database.status())) return database;
    spdlog::warn("database step=open error=\"{}\"", database.status().ToString());
    if (Signalled(signals, 1)) return absl::CancelledError("stopped before the database answered");
  }
}

// `cluster` is null where the database is somebody else's.
absl::Status Serve(const Flags& flags, store::Cluster* cluster, const sigset_t& signals) {
  ASSIGN_OR_RETURN(const auto faults, store::Faults::Parse(flags.faults), "--fault");
  ASSIGN_OR_RETURN(const auto certificates, tls::Certificates::Load(flags.tls));
  ASSIGN_OR_RETURN(const auto database,
                   OpenDatabase({.conninfo = cluster ? cluster->Conninfo() : flags.database,
                                 .connections = flags.connections,
                                 .faults = flags.faults.empty() ? nullptr : faults.get()},
                                signals));
  ASSIGN_OR_RETURN(const int schema, store::Migrate(database.get()), "migrating the database");

  const std::string self = InstanceName(flags.state);
  const v1::ServiceLimits& limits = flags.limits;
  store::JobStore jobs(database.get());
  store::JobReads reads(database.get());
  store::QueueStore queue(database.get(),
                          {.running_devices = limits.max_running_devices_per_tenant(),
                           .stored_bytes = flags.require_tokens ? limits.blob_quota_bytes() : 0});
  store::StepStore steps(database.get(), limits.max_queued_passes_per_tenant());
  store::BlobStore blobs(database.get(), limits);
  store::TraceStore traces(database.get());
  store::QueryRunner query({cluster ? cluster->ReaderConninfo() : flags.query_database}, limits);
  store::TokenStore tokens(database.get());
  store::TenantStore tenants(database.get());
  store::QuotaStore quotas(database.get(), limits);
  store::AuditStore audit(database.get());
  store::Retention retention(database.get(), &traces, &blobs, &audit);
  store::Signals channel(database.get(), absl::StrCat(self, "-", getpid()));

  dispatch::WatchHub watches(&reads);
  dispatch::WorkerHub workers(&queue, {.lease_s = limits.worker_lease_s(),
                                       .passing = [&](const v1::Event& e) { watches.Passing(e); }});
  dispatch::Notifier notifier(&channel);
  dispatch::Engine engine({&jobs, &queue, &steps, &workers, &watches, &notifier}, {});

  access::Ledger ledger(&audit, &tokens, {});
  access::Access access({&tokens, &tenants, &ledger}, {.require_tokens = flags.require_tokens, .limits = limits});

  analysis::Analysis analysis(&reads, &traces, &blobs, limits);
  analysis::BuiltinRunner builtin({&queue, &blobs, &analysis},
                                  {.name = "coordinator-" + self,
                                   .lease_s = limits.worker_lease_s(),
                                   .committed = [&] { engine.Wake(); }});

  v1::ServiceDescription about;
  about.set_version(SEXTANT_VERSION);
  *about.mutable_limits() = limits;
  about.set_database(absl::StrCat("PostgreSQL ", database->server_version(),
                                  cluster ? ", embedded at " + cluster->directory() : ""));
  about.set_schema_version(schema);
  for (const std::string& view : store::QueryRunner::Views()) about.add_views(view);
  ASSIGN_OR_RETURN(const auto server,
                   rpc::Server::Start({&jobs, &reads, &blobs, &query, &traces, &analysis, &engine,
                                       &watches, &workers, &tokens, &quotas, &audit, &access, &ledger},
                                      about, {flags.listen, flags.anywhere, certificates.get()}));
  std::unique_ptr<Front> front;
  if (!flags.http.empty()) {
    ASSIGN_OR_RETURN(front, Front::Start(server.get(), flags, certificates.get()));
  }
  engine.Start();
  builtin.Start();
  {
    Housekeeping housekeeping(
        cluster, &retention,
        {.trace_days = limits.trace_retention_days(), .job_days = flags.job_days,
         .audit_days = limits.audit_days()});
    const std::string addresses = absl::StrJoin(server->addresses(), "\n") + "\n";
    RETURN_IF_ERROR(rpc::WriteFileAtomically(flags.AddressPath(), addresses));
    if (!flags.pid_file.empty())
      RETURN_IF_ERROR(rpc::WriteFileAtomically(flags.pid_file, absl::StrCat(getpid(), "\n")));
    std::cout << addresses << (front ? front->address() + "\n" : "") << std::flush;
    spdlog::info("serving addresses=\"{}\" database=\"{}\" schema={}",
                 absl::StrJoin(server->addresses(), " "), about.database(), schema);
    while (!Signalled(signals, 3600)) {
    }
  }
  spdlog::info("stopping");
  if (front != nullptr) front->Drain();
  server->Stop();
  front.reset();
  builtin.Stop();
  engine.Stop();
  ledger.Stop();
  unlink(flags.AddressPath().c_str());
  if (!flags.pid_file.empty()) unlink(flags.pid_file.c_str());
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags, const sigset_t& signals) {
  RETURN_IF_ERROR(LockState(flags.state));
  if (!flags.database.empty()) return Serve(flags, nullptr, signals);
  ASSIGN_OR_RETURN(const auto cluster,
                   store::Cluster::Start({.directory = flags.state + "/postgresql",
                                          .binaries = {.prefix = OwnPrefix()}}),
                   "starting the private PostgreSQL");
  const absl::Status status = Serve(flags, cluster.get(), signals);
  const absl::Status stopped = cluster->Stop();
  return status.ok() ? stopped : status;
}

}  // namespace
}  // namespace sextant

int main(int argc, char** argv) {
  sextant::Flags flags;
  if (const int code = sextant::ParseFlags(argc, argv, &flags); code >= 0) return code;
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;   // blocked in every thread, taken by main alone
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  sextant::SetUpLog(flags.log_level, flags.log_file);
  const absl::Status status = sextant::Run(flags, signals);
  if (status.ok() || absl::IsCancelled(status)) return 0;
  spdlog::error("ended error=\"{}\"", status.ToString());
  std::cerr << "sextantd: " << status.message() << "\n";
  return 1;
}
