#include "workers/agent/committer.h"

#include <algorithm>
#include <map>

#include "spdlog/spdlog.h"
#include "workers/agent/failures.h"
#include "workers/agent/log.h"

namespace sextant::agent {
namespace {

v1::Failure UploadFailure(const absl::Status& status) {
  const bool too_much = absl::IsResourceExhausted(status);
  return MakeFailure(too_much ? v1::REJECTED : v1::TOOL_FAILED, "upload", status.message(),
                     too_much ? "leave less behind, or raise the limit named"
                              : "run it again with --keep; the worker's log has more");
}

}  // namespace

Committer::Committer(Coordinator& coordinator, const AgentOptions& options, Settled settled)
    : coordinator_(coordinator),
      options_(options),
      settled_(std::move(settled)),
      thread_([this] { Loop(); }) {}

Committer::~Committer() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  wakeup_.Wake();
  thread_.join();
}

bool Committer::Upload(SpoolEntry& entry) {
  v1::PassResult& result = *entry.commit.mutable_result();
  absl::Status blobs = coordinator_.UploadBlobs(entry.blobs);
  if (IsTransient(blobs)) return false;
  if (!blobs.ok()) result.clear_artifacts();
  absl::Status trace;
  if (blobs.ok() && !entry.chunks.empty()) {
    const absl::StatusOr<v1::TraceReceipt> receipt =
        coordinator_.UploadTrace(entry.commit.pass(), entry.chunks);
    trace = receipt.status();
    if (IsTransient(trace)) return false;
    if (receipt.ok() && receipt->trace_digest() != result.trace_digest()) {
      trace = absl::DataLossError("the coordinator stored another trace than was sent");
    }
  }
  const absl::Status& failed = blobs.ok() ? trace : blobs;
  if (!failed.ok()) {
    spdlog::warn("msg=\"upload refused\" pass={} epoch={} error={}", entry.commit.pass().pass_id(),
                 entry.commit.pass().epoch(), Quoted(failed.message()));
    result.clear_trace_digest();
    result.set_events(0);
    if (!result.has_failure()) *result.mutable_failure() = UploadFailure(failed);
    result.add_notes("what was recorded could not be uploaded");
  }
  return true;
}

void Committer::Add(std::unique_ptr<SpoolEntry> entry, bool uploaded) {
  {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back({std::move(entry), uploaded});
  }
  wakeup_.Wake();
}

bool Committer::Drop(const PassKey& pass) {
  absl::MutexLock lock(&mutex_);
  auto it = std::find_if(waiting_.begin(), waiting_.end(), [&pass](const Waiting& waiting) {
    return KeyOf(waiting.entry->commit.pass()) == pass;
  });
  if (it == waiting_.end()) return false;
  it->entry->Remove();
  waiting_.erase(it);
  return true;
}

void Committer::Retry() { wakeup_.Wake(); }

std::vector<Committer::Waiting> Committer::Take() {
  std::vector<Waiting> batch;
  size_t bytes = 0;
  absl::MutexLock lock(&mutex_);
  while (!waiting_.empty() && batch.size() < options_.limits.commits_per_request) {
    bytes += waiting_.front().entry->commit.ByteSizeLong();
    if (!batch.empty() && bytes > options_.limits.commit_request_bytes) break;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

void Committer::Loop() {
  Backoff backoff(options_.times.reconnect);
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
    }
    std::vector<Waiting> batch = Take();
    if (batch.empty()) {
      wakeup_.Wait();
      continue;
    }
    const bool answered = Commit(batch);
    {
      // What could not be brought home goes back to the front, in its order.
      absl::MutexLock lock(&mutex_);
      for (auto it = batch.rbegin(); it != batch.rend(); ++it) {
        if (it->entry) waiting_.push_front(std::move(*it));
      }
    }
    if (answered) {
      backoff.Reset();
    } else {
      wakeup_.WaitUntil(std::chrono::steady_clock::now() + backoff.Next());
    }
  }
}

// True when every entry of the batch was settled.
bool Committer::Commit(std::vector<Waiting>& batch) {
  v1::CommitPassesRequest request;
  request.set_worker(options_.name);
  bool all = true;
  std::map<PassKey, Waiting*> sent;
  for (Waiting& waiting : batch) {
    if (!waiting.uploaded) waiting.uploaded = Upload(*waiting.entry);
    if (!waiting.uploaded) {
      all = false;
      continue;
    }
    *request.add_commits() = waiting.entry->commit;
    sent[KeyOf(waiting.entry->commit.pass())] = &waiting;
  }
  if (sent.empty()) return false;
  const absl::StatusOr<v1::CommitPassesResponse> response = coordinator_.CommitPasses(request);
  if (!response.ok()) {
    if (IsTransient(response.status())) return false;
    // One bad commit must not hold up the others: each is sent alone, and alone it is refused.
    if (sent.size() == 1) {
      Settle(*sent.begin()->second, v1::REFUSED, std::string(response.status().message()));
      return all;
    }
    for (auto& [key, waiting] : sent) {
      std::vector<Waiting> one;
      one.push_back(std::move(*waiting));
      all = Commit(one) && all;
      *waiting = std::move(one.front());
    }
    return all;
  }
  for (const auto& outcome : response->outcomes()) {
    auto it = sent.find(KeyOf(outcome.pass()));
    if (it == sent.end() || outcome.outcome() == v1::COMMIT_OUTCOME_UNSPECIFIED) continue;
    Settle(*it->second, outcome.outcome(), outcome.message());
    sent.erase(it);
  }
  return all && sent.empty();
}

void Committer::Settle(Waiting& waiting, v1::CommitOutcome outcome, const std::string& message) {
  const PassKey key = KeyOf(waiting.entry->commit.pass());
  waiting.entry->Remove();
  waiting.entry.reset();
  settled_(key, outcome, message);
}

}  // namespace sextant::agent
