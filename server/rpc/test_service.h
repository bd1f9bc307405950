// A whole coordinator in a test program: real PostgreSQL, real gRPC on a port the system chooses.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "proto/chunk/chunk.h"
#include "proto/chunk/encoder.h"
#include "sextant/v1/sextant.grpc.pb.h"
#include "sextant/v1/worker.grpc.pb.h"
#include "server/analysis/builtin_runner.h"
#include "server/job/limits.h"
#include "server/rpc/server.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::rpc {

class TestService {
 public:
  // `require_tokens`: also of calls over the port the test talks to; see Token.
  explicit TestService(v1::ServiceLimits limits = job::DefaultLimits(), bool require_tokens = false,
                       absl::Duration upload_idle = absl::Seconds(60))
      : conninfo_(store::TestCluster::Shared().NewDatabase()),
        database_(Open(conninfo_)),
        jobs_(database_.get()),
        reads_(database_.get()),
        queue_(database_.get(), {.running_devices = limits.max_running_devices_per_tenant(),
                                .stored_bytes = require_tokens ? limits.blob_quota_bytes() : 0,
                                .fresh = absl::ZeroDuration()}),
        steps_(database_.get(), limits.max_queued_passes_per_tenant()),
        blobs_(database_.get(), limits),
        traces_(database_.get()),
        query_({store::TestCluster::AsReader(conninfo_)}, limits),
        tokens_(database_.get()),
        tenants_(database_.get()),
        quotas_(database_.get(), limits),
        audit_(database_.get()),
        ledger_(&audit_, &tokens_, {.gather = absl::Milliseconds(5)}),
        access_({&tokens_, &tenants_, &ledger_}, {.require_tokens = require_tokens, .limits = limits, .fresh = absl::ZeroDuration()}),
        watches_(&reads_),
        workers_(&queue_, {.lease_s = limits.worker_lease_s(),
                           .passing = [this](const v1::Event& e) { watches_.Passing(e); }}),
        engine_({&jobs_, &queue_, &steps_, &workers_, &watches_, nullptr},
                {.poll = absl::Milliseconds(50)}),
        analysis_(&reads_, &traces_, &blobs_, limits),
        builtin_({&queue_, &blobs_, &analysis_},
                 {.name = "coordinator-test",
                  .poll = absl::Milliseconds(20),
                  .committed = [this] { engine_.Wake(); }}) {
    spdlog::set_level(spdlog::level::off);
    v1::ServiceDescription about;
    about.set_version("test");
    *about.mutable_limits() = limits;
    auto server = Server::Start({&jobs_, &reads_, &blobs_, &query_, &traces_, &analysis_, &engine_,
                                 &watches_, &workers_, &tokens_, &quotas_, &audit_, &access_, &ledger_},
                                about, {.listen = {"127.0.0.1:0", "unix://" + directory_ + "/s.sock"},
                                        .upload_idle = upload_idle,
                                        .health_every = absl::Milliseconds(20)});
    if (!server.ok()) FAIL(server.status().ToString());
    server_ = *std::move(server);
    engine_.Start();
    builtin_.Start();
    channel_ = grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
    socket_ = grpc::CreateChannel("unix:" + directory_ + "/s.sock", grpc::InsecureChannelCredentials());
    client = v1::Sextant::NewStub(channel_);
    worker = v1::Workers::NewStub(channel_);
  }
  ~TestService() {
    server_->Stop();
    builtin_.Stop();
    engine_.Stop();
    ledger_.Stop();
    std::filesystem::remove_all(directory_);
  }

  // Made over the service's own socket.
  std::string Token(std::vector<v1::TokenScope> scopes, const std::string& tenant = "", double lifetime_s = 0) {
    v1::CreateTokenRequest request;
    request.set_tenant(tenant);
    request.set_lifetime_s(lifetime_s);
    for (const v1::TokenScope scope : scopes) request.add_scopes(scope);
    v1::CreateTokenResponse response;
    grpc::ClientContext context;
    const grpc::Status status = v1::Sextant::NewStub(socket_)->CreateToken(&context, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return response.secret();
  }
  // The header of an administrator's token.
  std::string AdminHeader() { return "Bearer " + Token({v1::ADMIN}); }
  // One call with this Authorization header.
  template <typename Response, typename Request>
  grpc::Status CallAs(const std::string& authorization,
                      grpc::Status (v1::Sextant::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request, Response* response) {
    grpc::ClientContext context;
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    return ((*client).*method)(&context, request, response);
  }

  const std::string& address() const { return server_->addresses()[0]; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::shared_ptr<grpc::Channel>& socket() const { return socket_; }   // the service's own
  Server& server() { return *server_; }
  access::Ledger& ledger() { return ledger_; }
  dispatch::WatchHub& watches() { return watches_; }
  dispatch::WorkerHub& workers() { return workers_; }

  std::unique_ptr<v1::Sextant::Stub> client;
  std::unique_ptr<v1::Workers::Stub> worker;

 private:
  static std::unique_ptr<store::Database> Open(const std::string& conninfo) {
    auto database = store::Database::Open({.conninfo = conninfo, .connections = 24});
    if (!database.ok()) FAIL(database.status().ToString());
    return *std::move(database);
  }

  static std::string MakeDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "sextant-service-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) FAIL("mkdtemp");
    return name;
  }

  const std::string directory_ = MakeDirectory();
  const std::string conninfo_;
  const std::unique_ptr<store::Database> database_;
  store::JobStore jobs_;
  store::JobReads reads_;
  store::QueueStore queue_;
  store::StepStore steps_;
  store::BlobStore blobs_;
  store::TraceStore traces_;
  store::QueryRunner query_;
  store::TokenStore tokens_;
  store::TenantStore tenants_;
  store::QuotaStore quotas_;
  store::AuditStore audit_;
  access::Ledger ledger_;
  access::Access access_;
  dispatch::WatchHub watches_;
  dispatch::WorkerHub workers_;
  dispatch::Engine engine_;
  analysis::Analysis analysis_;
  analysis::BuiltinRunner builtin_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<grpc::Channel> socket_;
};

// One call with a context of its own.
template <typename Response, typename Stub, typename Request>
grpc::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
  grpc::ClientContext context;
  return (stub.*method)(&context, request, response);
}

// A profile task "p" of `passes` host passes.
inline v1::SubmitJobRequest ProfileJob(const std::string& request_id, int passes) {
  v1::SubmitJobRequest request;
  request.set_request_id(request_id);
  request.mutable_graph()->set_name("test");
  v1::TaskSpec* task = request.mutable_graph()->add_tasks();
  task->set_name("p");
  task->mutable_profile()->mutable_workload()->add_argv("program");
  v1::PassSpec* spec = task->mutable_profile()->add_passes();
  spec->set_backend("host");
  spec->set_repeat(passes);
  return request;
}

// A worker without programs: attaches, and leaves what the test says.
class FakeWorker {
 public:
  FakeWorker(v1::Workers::Stub* stub, const std::string& name, const std::string& token = "")
      : stub_(stub), name_(name), token_(token) {
    Sign(&context_);
    stream_ = stub->Attach(&context_);
    v1::WorkerState state;
    v1::WorkerInfo* info = state.mutable_info();
    info->set_name(name);
    info->set_incarnation("1");
    info->set_cpu_slots(1);
    info->set_machine_class("test-machine");
    v1::Device* device = info->add_devices();
    device->set_name("cpu");
    device->set_kind("host");
    device->set_machine_class("test-machine");
    for (const char* backend : {"host", "run"}) {
      v1::BackendOffer* offer = info->add_backends();
      offer->set_name(backend);
      offer->set_available(true);
      offer->set_tool_digest("00");
    }
    REQUIRE(stream_->Write(state));
  }
  ~FakeWorker() {
    context_.TryCancel();
    stream_->Finish();
  }

  // Waits for work.
  v1::Assignment Next() {
    while (assigned_.empty()) {
      v1::DesiredState desired;
      REQUIRE(stream_->Read(&desired));
      for (const auto& assignment : desired.start()) assigned_.push_back(assignment);
    }
    v1::Assignment next = assigned_.front();
    assigned_.erase(assigned_.begin());
    return next;
  }

  v1::TraceReceipt Upload(const v1::Assignment& assignment,
                          const std::vector<chunk::EncodedChunk>& chunks) {
    grpc::ClientContext context;
    Sign(&context);
    v1::TraceReceipt receipt;
    auto writer = stub_->UploadTrace(&context, &receipt);
    for (size_t i = 0; i < chunks.size(); ++i) {
      v1::TraceUpload message;
      if (i == 0) *message.mutable_pass() = assignment.pass();
      message.set_chunk(chunks[i].bytes);
      message.set_digest(chunks[i].digest);
      writer->Write(message);
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    INFO(status.error_message());
    REQUIRE(status.ok());
    return receipt;
  }

  v1::CommitPassesResponse Commit(const v1::Assignment& assignment,
                                  const v1::TraceReceipt& receipt) {
    v1::CommitPassesRequest request;
    request.set_worker(name_);
    v1::PassCommit* commit = request.add_commits();
    *commit->mutable_pass() = assignment.pass();
    v1::PassResult* result = commit->mutable_result();
    result->mutable_exit()->set_verdict(v1::EXITED);
    result->mutable_provenance()->set_machine_class("test-machine");
    result->mutable_provenance()->set_backend(assignment.spec().backend());
    result->set_trace_digest(receipt.trace_digest());
    result->set_events(receipt.events());
    v1::CommitPassesResponse response;
    grpc::ClientContext context;
    Sign(&context);
    const grpc::Status status = stub_->CommitPasses(&context, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return response;
  }

 private:
  void Sign(grpc::ClientContext* context) const {
    if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
  }

  v1::Workers::Stub* const stub_;
  const std::string name_;
  const std::string token_;   // empty: none is shown
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerState, v1::DesiredState>> stream_;
  std::vector<v1::Assignment> assigned_;
};

// A trace of one thread: `tile` k lasts 100 + 10·k + shift ns, and a `load` of 5 ns is inside each.
inline std::vector<chunk::EncodedChunk> TilesTrace(uint64_t tiles, uint64_t shift) {
  chunk::TraceInfo info{.kernel = "program", .regions = {"tile", "load"}, .roles = {"worker"}};
  info.tracks.push_back({});
  std::vector<chunk::Instance> instances;
  for (uint64_t k = 0; k < tiles; ++k) {
    instances.push_back({0, 0, 1000 * k, 100 + 10 * k + shift});
    instances.push_back({0, 1, 1000 * k + 1, 5});
  }
  auto chunks = chunk::EncodeTrace(info, std::move(instances));
  REQUIRE(chunks.ok());
  return *std::move(chunks);
}

}  // namespace sextant::rpc
