// Many streams at once, what ends them, and a database that goes away.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

constexpr int kMany = 1000;

int Threads() {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    (void)entry;
    ++n;
  }
  return n;
}

// Counts down at its first event, and at its end.
class Watcher : public grpc::ClientReadReactor<v1::Event> {
 public:
  Watcher(v1::Sextant::Stub* stub, int64_t job_id, absl::BlockingCounter* began,
          absl::BlockingCounter* ended)
      : began_(began), ended_(ended) {
    request_.set_job_id(job_id);
    stub->async()->WatchJob(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (!seen_) began_->DecrementCount();
    seen_ = true;
    StartRead(&event_);
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    ended_->DecrementCount();
  }
  const grpc::Status& status() const { return status_; }

 private:
  absl::BlockingCounter* const began_;
  absl::BlockingCounter* const ended_;
  grpc::ClientContext context_;
  v1::WatchJobRequest request_;
  v1::Event event_;
  bool seen_ = false;
  grpc::Status status_;
};

// An idle worker: counts down when the service has answered its first message, and at its end.
class IdleWorker : public grpc::ClientBidiReactor<v1::WorkerState, v1::DesiredState> {
 public:
  IdleWorker(v1::Workers::Stub* stub, const std::string& name, absl::BlockingCounter* began,
             absl::BlockingCounter* ended)
      : began_(began), ended_(ended) {
    state_.mutable_info()->set_name(name);
    state_.mutable_info()->set_incarnation("1");
    state_.mutable_info()->set_cpu_slots(1);
    stub->async()->Attach(&context_, this);
    StartWrite(&state_);
    StartRead(&desired_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (!seen_) began_->DecrementCount();
    seen_ = true;
    StartRead(&desired_);
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    ended_->DecrementCount();
  }
  const grpc::Status& status() const { return status_; }

 private:
  absl::BlockingCounter* const began_;
  absl::BlockingCounter* const ended_;
  grpc::ClientContext context_;
  v1::WorkerState state_;
  v1::DesiredState desired_;
  bool seen_ = false;
  grpc::Status status_;
};

// grpc.health.v1.HealthCheckResponse.status; 0 when it cannot be asked.
int Health(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice empty("", 0);
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check",
                                    grpc::ByteBuffer(&empty, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  std::vector<grpc::Slice> slices;
  if (!status.ok() || !reply.Dump(&slices).ok()) return 0;
  std::string bytes;
  for (const auto& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes.size() == 2 && bytes[0] == 8 ? bytes[1] : 0;
}

}  // namespace

TEST_CASE("a thousand watchers and a thousand idle workers hold no thread, and a stop ends them") {
  TestService service;
  v1::SubmitJobRequest request;
  request.set_request_id("watched");
  v1::TaskSpec* task = request.mutable_graph()->add_tasks();
  task->set_name("t");
  task->mutable_external();
  v1::SubmitJobResponse response;
  REQUIRE(Call(*service.client, &v1::Sextant::Stub::SubmitJob, request, &response).ok());

  absl::BlockingCounter began(2 * kMany), ended(2 * kMany);
  std::vector<std::unique_ptr<Watcher>> watchers;
  std::vector<std::unique_ptr<IdleWorker>> workers;
  const int before = Threads();
  for (int i = 0; i < kMany; ++i) {
    watchers.push_back(
        std::make_unique<Watcher>(service.client.get(), response.job_id(), &began, &ended));
    workers.push_back(std::make_unique<IdleWorker>(service.worker.get(), absl::StrCat("w", i),
                                                   &began, &ended));
  }
  began.Wait();
  CHECK(service.workers().attached() == kMany);
  CHECK(service.watches().watchers() == kMany);
  CHECK(Threads() < before + 64);
  service.server().Stop();
  ended.Wait();
  int unavailable = 0;
  for (const auto& watcher : watchers)
    unavailable += watcher->status().error_code() == grpc::StatusCode::UNAVAILABLE;
  for (const auto& worker : workers)
    unavailable += worker->status().error_code() == grpc::StatusCode::UNAVAILABLE;
  CHECK(unavailable == 2 * kMany);
}

TEST_CASE("a passing event does not overtake what a watcher has not seen yet") {
  TestService service;
  v1::SubmitJobRequest request;
  request.set_request_id("passing");
  v1::TaskSpec* task = request.mutable_graph()->add_tasks();
  task->set_name("t");
  task->mutable_external();
  v1::SubmitJobResponse response;
  REQUIRE(Call(*service.client, &v1::Sextant::Stub::SubmitJob, request, &response).ok());
  v1::Event percent;
  percent.set_job_id(response.job_id());
  percent.set_what("percent");
  absl::Mutex mutex;
  std::vector<std::string> seen;   // guarded by mutex
  const int64_t watch = service.watches().Watch(response.job_id(), 0, [&](const v1::Event& event, bool) {
    absl::MutexLock lock(&mutex);
    seen.push_back(event.what());
  });
  const auto has_passed = [&] {
    service.watches().Passing(percent);
    absl::MutexLock lock(&mutex);
    return !seen.empty() && seen.back() == "percent";
  };
  while (!has_passed()) REQUIRE(service.watches().Pump().ok());
  service.watches().Unwatch(watch);
  CHECK(seen.front() == "accepted");
}

TEST_CASE("a worker whose stream ends is detached") {
  TestService service;
  {
    FakeWorker worker(service.worker.get(), "w");
    while (service.workers().attached() == 0) std::this_thread::yield();
  }
  while (service.workers().attached() != 0) std::this_thread::yield();
  CHECK(service.workers().attached() == 0);
}

TEST_CASE("a first message without a name is refused") {
  TestService service;
  grpc::ClientContext context;
  auto stream = service.worker->Attach(&context);
  stream->Write(v1::WorkerState());
  v1::DesiredState desired;
  CHECK_FALSE(stream->Read(&desired));
  CHECK(stream->Finish().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("while the database is away the service says so, and goes on when it is back") {
  TestService service;
  REQUIRE(Health(service.channel()) == 1);
  REQUIRE(store::TestCluster::Shared().cluster().Stop().ok());
  v1::ListJobsResponse jobs;
  CHECK(Call(*service.client, &v1::Sextant::Stub::ListJobs, v1::ListJobsRequest(), &jobs)
            .error_code() == grpc::StatusCode::UNAVAILABLE);
  while (Health(service.channel()) != 2) std::this_thread::yield();
  CHECK_THAT(service.server().metrics()->Page(), Catch::Contains("sextant_database_up 0"));
  REQUIRE(store::TestCluster::Shared().cluster().EnsureRunning().ok());
  while (Health(service.channel()) != 1) std::this_thread::yield();
  CHECK(Call(*service.client, &v1::Sextant::Stub::ListJobs, v1::ListJobsRequest(), &jobs).ok());
}

}  // namespace sextant::rpc
