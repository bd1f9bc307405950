#include "workers/agent/fake_coordinator.h"

#include <algorithm>

#include <grpcpp/grpcpp.h>

#include "sextant/v1/sextant.grpc.pb.h"
#include "sextant/v1/worker.grpc.pb.h"
#include "workers/agent/digest.h"

namespace sextant::agent {

struct FakeCoordinator::Services {
  // OK when the call carries the token asked for.
  static grpc::Status Admit(FakeCoordinator& fake, const grpc::ServerContext& context) {
    absl::MutexLock lock(&fake.mutex_);
    if (fake.token_.empty()) return grpc::Status::OK;
    const auto sent = context.client_metadata().find("authorization");
    if (sent != context.client_metadata().end() && sent->second == "Bearer " + fake.token_) return grpc::Status::OK;
    ++fake.refused_;
    return {grpc::StatusCode::UNAUTHENTICATED, "the token is not known"};
  }

  struct WorkersPort : v1::Workers::Service {
    explicit WorkersPort(FakeCoordinator& fake) : fake(fake) {}

    grpc::Status Attach(
        grpc::ServerContext* context,
        grpc::ServerReaderWriter<v1::DesiredState, v1::WorkerState>* stream) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      {
        absl::MutexLock lock(&fake.mutex_);
        ++fake.attached_;
        fake.send_ = [stream](const v1::DesiredState& desired) { stream->Write(desired); };
      }
      v1::WorkerState state;
      while (stream->Read(&state)) {
        absl::MutexLock lock(&fake.mutex_);
        fake.states_.push_back(state);
        if (fake.lease_s_ <= 0) continue;
        v1::DesiredState answer;
        answer.set_lease_s(fake.lease_s_);
        stream->Write(answer);
      }
      absl::MutexLock lock(&fake.mutex_);
      fake.send_ = nullptr;
      return grpc::Status::OK;
    }

    grpc::Status UploadTrace(grpc::ServerContext* context,
                             grpc::ServerReader<v1::TraceUpload>* reader,
                             v1::TraceReceipt* receipt) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      v1::TraceUpload upload;
      std::vector<std::string> chunks;
      Sha256 sha;
      int64_t pass_id = 0;
      while (reader->Read(&upload)) {
        if (upload.has_pass()) pass_id = upload.pass().pass_id();
        if (Digest(upload.chunk()) != upload.digest()) {
          return {grpc::StatusCode::DATA_LOSS, "a chunk's digest does not match"};
        }
        sha.Update(upload.digest());
        chunks.push_back(upload.chunk());
      }
      receipt->set_chunks(chunks.size());
      receipt->set_trace_digest(sha.Finish());
      absl::MutexLock lock(&fake.mutex_);
      fake.traces_[pass_id] = std::move(chunks);
      return grpc::Status::OK;
    }

    grpc::Status CommitPasses(grpc::ServerContext* context, const v1::CommitPassesRequest* request,
                              v1::CommitPassesResponse* response) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      absl::MutexLock lock(&fake.mutex_);
      if (fake.fail_commits_ > 0) {
        --fake.fail_commits_;
        return {grpc::StatusCode::UNAVAILABLE, "the database is away"};
      }
      for (const v1::PassCommit& commit : request->commits()) {
        auto* outcome = response->add_outcomes();
        *outcome->mutable_pass() = commit.pass();
        auto set = fake.outcomes_.find({commit.pass().pass_id(), commit.pass().epoch()});
        outcome->set_outcome(set == fake.outcomes_.end() ? v1::COMMITTED : set->second);
        fake.commits_.push_back(commit);
      }
      return grpc::Status::OK;
    }

    FakeCoordinator& fake;
  };

  struct ClientsPort : v1::Sextant::Service {
    explicit ClientsPort(FakeCoordinator& fake) : fake(fake) {}

    grpc::Status FindMissingBlobs(grpc::ServerContext* context,
                                  const v1::FindMissingBlobsRequest* request,
                                  v1::FindMissingBlobsResponse* response) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      absl::MutexLock lock(&fake.mutex_);
      for (const std::string& digest : request->digests()) {
        if (fake.blobs_.count(digest) == 0) response->add_missing(digest);
      }
      return grpc::Status::OK;
    }

    grpc::Status UploadBlobs(grpc::ServerContext* context,
                             grpc::ServerReader<v1::UploadBlobsRequest>* reader,
                             v1::UploadBlobsResponse* response) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      v1::UploadBlobsRequest piece;
      std::string digest, content;
      while (reader->Read(&piece)) {
        if (!piece.digest().empty()) digest = piece.digest();
        content += piece.data();
        if (!piece.last()) continue;
        if (Digest(content) != digest) {
          return {grpc::StatusCode::DATA_LOSS, "a blob's digest does not match"};
        }
        absl::MutexLock lock(&fake.mutex_);
        fake.blobs_[digest] = std::move(content);
        content.clear();
      }
      return grpc::Status::OK;
    }

    grpc::Status GetBlob(grpc::ServerContext* context, const v1::GetBlobRequest* request,
                         grpc::ServerWriter<v1::GetBlobResponse>* writer) override {
      if (const grpc::Status refusal = Admit(fake, *context); !refusal.ok()) return refusal;
      v1::GetBlobResponse response;
      {
        absl::MutexLock lock(&fake.mutex_);
        auto it = fake.blobs_.find(request->digest());
        if (it == fake.blobs_.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
        response.set_data(it->second);
      }
      response.set_size_bytes(response.data().size());
      writer->Write(response);
      return grpc::Status::OK;
    }

    FakeCoordinator& fake;
  };

  explicit Services(FakeCoordinator& fake) : workers(fake), clients(fake) {}
  WorkersPort workers;
  ClientsPort clients;
  std::unique_ptr<grpc::Server> server;
};

FakeCoordinator::FakeCoordinator(const std::string& socket_path)
    : address_("unix://" + socket_path), services_(std::make_unique<Services>(*this)) {}

FakeCoordinator::~FakeCoordinator() { Stop(); }

void FakeCoordinator::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + address_.substr(7), grpc::InsecureServerCredentials());
  builder.RegisterService(&services_->workers);
  builder.RegisterService(&services_->clients);
  services_->server = builder.BuildAndStart();
}

void FakeCoordinator::Stop() {
  if (!services_->server) return;
  services_->server->Shutdown(std::chrono::system_clock::now());
  services_->server->Wait();
  services_->server.reset();
}

void FakeCoordinator::AskForToken(const std::string& token) {
  absl::MutexLock lock(&mutex_);
  token_ = token;
}

void FakeCoordinator::AwaitRefused(int calls) {
  absl::MutexLock lock(&mutex_);
  auto refused = [this, calls]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return refused_ >= calls; };
  mutex_.Await(absl::Condition(&refused));
}

void FakeCoordinator::SetLease(double lease_s) {
  absl::MutexLock lock(&mutex_);
  lease_s_ = lease_s;
}

void FakeCoordinator::SetOutcome(int64_t pass_id, int64_t epoch, v1::CommitOutcome outcome) {
  absl::MutexLock lock(&mutex_);
  outcomes_[{pass_id, epoch}] = outcome;
}

void FakeCoordinator::FailCommits(int count) {
  absl::MutexLock lock(&mutex_);
  fail_commits_ = count;
}

std::string FakeCoordinator::PutBlob(const std::string& content) {
  const std::string digest = Digest(content);
  absl::MutexLock lock(&mutex_);
  blobs_[digest] = content;
  return digest;
}

bool FakeCoordinator::HasBlob(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  return blobs_.count(digest) > 0;
}

std::string FakeCoordinator::Blob(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  return blobs_[digest];
}

void FakeCoordinator::Send(const v1::DesiredState& desired) {
  absl::MutexLock lock(&mutex_);
  auto attached = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return send_ != nullptr; };
  mutex_.Await(absl::Condition(&attached));
  send_(desired);
}

void FakeCoordinator::Assign(const v1::Assignment& assignment) {
  v1::DesiredState desired;
  *desired.add_start() = assignment;
  Send(desired);
}

v1::WorkerState FakeCoordinator::AwaitState(
    const std::function<bool(const v1::WorkerState&)>& wanted) {
  absl::MutexLock lock(&mutex_);
  auto seen = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !states_.empty() && wanted(states_.back());
  };
  mutex_.Await(absl::Condition(&seen));
  return states_.back();
}

v1::WorkerInfo FakeCoordinator::AwaitInfo(
    const std::function<bool(const v1::WorkerInfo&)>& wanted) {
  v1::WorkerInfo last;
  absl::MutexLock lock(&mutex_);
  auto seen = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto said = std::find_if(states_.rbegin(), states_.rend(),
                                   [](const v1::WorkerState& state) { return state.has_info(); });
    if (said != states_.rend()) last = said->info();
    return said != states_.rend() && wanted(last);
  };
  mutex_.Await(absl::Condition(&seen));
  return last;
}

v1::PassCommit FakeCoordinator::AwaitCommit(int64_t pass_id, int64_t epoch) {
  v1::PassCommit found;
  absl::MutexLock lock(&mutex_);
  auto seen = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const v1::PassCommit& commit : commits_) {
      if (commit.pass().pass_id() != pass_id || commit.pass().epoch() != epoch) continue;
      found = commit;
      return true;
    }
    return false;
  };
  mutex_.Await(absl::Condition(&seen));
  return found;
}

void FakeCoordinator::AwaitAttached(int times) {
  absl::MutexLock lock(&mutex_);
  auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return attached_ >= times; };
  mutex_.Await(absl::Condition(&enough));
}

int FakeCoordinator::Commits(int64_t pass_id) {
  absl::MutexLock lock(&mutex_);
  int count = 0;
  for (const v1::PassCommit& commit : commits_) count += commit.pass().pass_id() == pass_id;
  return count;
}

std::vector<std::string> FakeCoordinator::Trace(int64_t pass_id) {
  absl::MutexLock lock(&mutex_);
  return traces_[pass_id];
}

}  // namespace sextant::agent
