#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/rpc/addresses.h"
#include "server/rpc/calls.h"
#include "server/rpc/tls_credentials.h"

namespace sextant::rpc {
namespace {

// How long calls may take to end when the server stops.
constexpr std::chrono::seconds kGrace{3};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Rooms rooms,
                                                      v1::ServiceDescription description,
                                                      Options options) {
  std::unique_ptr<Server> server(
      new Server(rooms, std::move(description), std::move(options)));   // private constructor
  RETURN_IF_ERROR(server->Listen());
  server->health_ = std::thread([raw = server.get()] { raw->WatchHealth(); });
  return server;
}

Server::Server(Rooms rooms, v1::ServiceDescription description, Options options)
    : rooms_(rooms),
      options_(std::move(options)),
      max_message_bytes_(description.limits().max_message_bytes()),
      bytes_(rooms.access, &streams_, {.threads = options_.max_stream_threads, .idle = options_.upload_idle}),
      metrics_([this] { return Sample(); }),
      door_{rooms.access, rooms.ledger, &metrics_, &bytes_},
      quick_(options_.quick_threads, options_.max_queued_calls),
      slow_(options_.slow_threads, options_.max_queued_calls),
      sextant_({rooms.jobs, rooms.reads, rooms.blobs, rooms.query, rooms.analysis, rooms.engine,
                rooms.watches, rooms.tokens, rooms.quotas, rooms.audit},
               door_, {&quick_, &slow_}, &streams_, description),
      workers_({rooms.workers, rooms.engine, rooms.traces}, door_, &quick_, &streams_,
               description.limits(), options_.max_queued_calls) {}

Server::~Server() { Stop(); }

absl::Status Server::Listen() {
  if (options_.listen.empty()) return absl::InvalidArgumentError("--listen: at least one address");
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  std::vector<Address> wanted;
  const bool tls = options_.certificates != nullptr;
  for (const std::string& text : options_.listen) {
    ASSIGN_OR_RETURN(Address address, ParseAddress(text));
    RETURN_IF_ERROR(CheckReach("--listen", address, {tls, options_.anywhere}));
    if (!address.unix_path.empty()) RETURN_IF_ERROR(ClearStaleSocket(address.unix_path));
    wanted.push_back(std::move(address));
  }
  std::vector<int> ports(wanted.size(), 0);
  for (size_t i = 0; i < wanted.size(); ++i) {
    credentials_.push_back(tls && wanted[i].unix_path.empty() ? TlsServerCredentials(options_.certificates)
                                                              : grpc::InsecureServerCredentials());
    builder.AddListeningPort(wanted[i].text, credentials_.back(), &ports[i]);
  }
  builder.RegisterService(&sextant_);
  builder.RegisterService(&workers_);
  builder.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes_));
  builder.SetMaxSendMessageSize(-1);   // answers are bounded by what was asked for
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  grpc::ResourceQuota quota("sextantd");
  quota.SetMaxThreads(options_.max_stream_threads);
  builder.SetResourceQuota(quota);
  // A second server must not share a port silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Peers that are gone without a word are found within a minute or so.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 40'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);

  const mode_t mask = umask(0177);   // sockets are their owner's alone from the first moment
  server_ = builder.BuildAndStart();
  umask(mask);
  if (server_ == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", absl::StrJoin(options_.listen, ", "),
                     ": is a port taken, or a directory missing? Port 0 lets the system choose"));
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].unix_path.empty()) {
      addresses_.push_back(absl::StrCat("unix:", wanted[i].unix_path));
      sockets_.push_back(wanted[i].unix_path);
    } else {
      const absl::string_view text = wanted[i].text;
      addresses_.push_back(
          absl::StrCat(tls ? "tls://" : "", text.substr(0, text.rfind(':') + 1), ports[i]));
    }
  }
  Announce("grpc", absl::StrJoin(addresses_, " "));
  server_->GetHealthCheckService()->SetServingStatus(true);
  return absl::OkStatus();
}

void Server::Look(const access::Credentials& credentials, std::function<void()> look,
                  const std::function<void(const absl::Status&)>& done) {
  if (rooms_.access->Knows(credentials)) return look();
  if (!quick_.Submit(std::move(look))) done(Overloaded());
}

void Server::AdmitReader(const std::string& authorization, const std::string& peer,
                         std::function<void(const absl::Status&)> done) {
  const access::Credentials credentials{access::Credentials::From::kWithin, authorization, "http:" + peer};
  Look(credentials, [access = rooms_.access, credentials, done] { done(access->AdmitReader(credentials)); }, done);
}

void Server::Identify(const std::string& authorization, const std::string& peer, absl::string_view method,
                      std::function<void(const absl::Status&)> done) {
  const access::Credentials credentials{access::Credentials::From::kWithin, authorization, "http:" + peer};
  const auto look = [door = door_, credentials, method, done] {
    Call call(door, credentials, method);
    const absl::Status known = call.Identify();
    if (!known.ok()) call.End(known, nullptr, nullptr);
    done(known);
  };
  Look(credentials, look, done);
}

std::shared_ptr<grpc::Channel> Server::InProcess() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);   // as sent
  return server_->InProcessChannel(arguments);
}

Metrics::Sample Server::Sample() {
  Metrics::Sample sample;
  v1::ServiceDescription now;
  sample.database_up = rooms_.reads->Describe(&now, store::Reach::All()).ok();
  sample.ready_passes = now.ready_passes();
  sample.running_passes = now.running_passes();
  sample.duplicate_commits = now.duplicate_commits();
  for (const auto& worker : now.workers()) sample.workers_live += worker.live() ? 1 : 0;
  sample.workers_attached = rooms_.workers->attached();
  sample.watchers = rooms_.watches->watchers();
  sample.audit_overflown = rooms_.ledger->overflown();
  return sample;
}

void Server::WatchHealth() {
  bool serving = true;
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stop_), options_.health_every)) return;
    }
    const bool answers = !absl::IsUnavailable(rooms_.reads->Job(0).status());
    if (answers != serving) server_->GetHealthCheckService()->SetServingStatus(answers);
    serving = answers;
    streams_.CloseRefused();
  }
}

void Server::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    if (stop_) return;
    stop_ = true;
  }
  if (health_.joinable()) health_.join();
  if (server_ != nullptr) {
    server_->GetHealthCheckService()->Shutdown();
    streams_.CloseAll();
    server_->Shutdown(std::chrono::system_clock::now() + kGrace);
    server_->Wait();
  }
  quick_.Stop();
  slow_.Stop();
  server_.reset();
  for (const std::string& path : sockets_) unlink(path.c_str());
}

}  // namespace sextant::rpc
