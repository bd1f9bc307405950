// A coordinator in memory, behind real gRPC on a unix socket, for the worker's tests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/sextant.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::agent {

// Keeps what it was told over Stop and Start, as a database would. Thread-safe.
class FakeCoordinator {
 public:
  explicit FakeCoordinator(const std::string& socket_path);
  ~FakeCoordinator();

  std::string address() const { return address_; }
  void Start();
  void Stop();

  // Every message of the worker is answered with this lease; 0: with silence.
  void SetLease(double lease_s);
  // What commits of this pass and epoch are told; else COMMITTED.
  void SetOutcome(int64_t pass_id, int64_t epoch, v1::CommitOutcome outcome);
  // From now on calls without this token are answered UNAUTHENTICATED; empty: none is asked for.
  void AskForToken(const std::string& token);
  // The next commits are answered UNAVAILABLE, this many.
  void FailCommits(int count);

  std::string PutBlob(const std::string& content);
  bool HasBlob(const std::string& digest);
  std::string Blob(const std::string& digest);

  // To the worker that is attached; waits until one is.
  void Send(const v1::DesiredState& desired);
  void Assign(const v1::Assignment& assignment);

  // These wait until it is so.
  v1::WorkerState AwaitState(const std::function<bool(const v1::WorkerState&)>& wanted);
  // Of what the worker said of itself last.
  v1::WorkerInfo AwaitInfo(const std::function<bool(const v1::WorkerInfo&)>& wanted);
  v1::PassCommit AwaitCommit(int64_t pass_id, int64_t epoch);
  void AwaitAttached(int times);
  void AwaitRefused(int calls);   // for their token

  int Commits(int64_t pass_id);
  std::vector<std::string> Trace(int64_t pass_id);  // serialized chunks

  struct Services;

 private:
  friend struct Services;
  using Key = std::pair<int64_t, int64_t>;

  const std::string address_;
  std::unique_ptr<Services> services_;

  absl::Mutex mutex_;
  double lease_s_ ABSL_GUARDED_BY(mutex_) = 600;
  int attached_ ABSL_GUARDED_BY(mutex_) = 0;
  int fail_commits_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  int refused_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(const v1::DesiredState&)> send_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WorkerState> states_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, v1::CommitOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::PassCommit> commits_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, std::vector<std::string>> traces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::agent
