#include "server/rpc/commit_queue.h"

#include <utility>

namespace sextant::rpc {

bool CommitQueue::Add(const v1::CommitPassesRequest* request, Done done) {
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.size() >= max_waiting_) return false;
    waiting_.push_back({request, std::move(done)});
    if (writing_) return true;
    writing_ = true;
  }
  executor_->Post([this] { WriteGroup(); });
  return true;
}

std::vector<CommitQueue::Waiting> CommitQueue::Take() {
  std::vector<Waiting> group;
  int passes = 0;
  size_t bytes = 0;
  while (!waiting_.empty()) {
    passes += waiting_.front().request->commits_size();
    bytes += waiting_.front().request->ByteSizeLong();
    if (!group.empty() && (passes > kMaxPasses || bytes > kMaxBytes)) break;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

void CommitQueue::WriteGroup() {
  std::vector<Waiting> group;
  {
    absl::MutexLock lock(&mutex_);
    group = Take();
  }
  std::vector<const v1::CommitPassesRequest*> requests;
  for (const auto& waiting : group) requests.push_back(waiting.request);
  const auto answers = workers_->Commit(requests);
  engine_->Wake();
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    more = writing_ = !waiting_.empty();
  }
  // The next group is written while this one is answered.
  if (more) executor_->Post([this] { WriteGroup(); });
  for (size_t i = 0; i < group.size(); ++i) group[i].done(answers[i]);
}

}  // namespace sextant::rpc
