#include "server/access/ledger.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace sextant::access {
namespace {

constexpr size_t kAtOnce = 1000;
constexpr absl::Duration kAgainAfter = absl::Seconds(1);

void Log(const v1::AuditEntry& entry) {
  spdlog::warn("audit at_unix_ns={} tenant={} token={} method={} subject=\"{}\" outcome={} peer={}",
               entry.at_unix_ns(), entry.tenant(), entry.token_id(), entry.method(), entry.subject(),
               entry.outcome(), entry.peer());
}

}  // namespace

Ledger::Ledger(store::AuditStore* audit, store::TokenStore* tokens, Options options)
    : audit_(audit), tokens_(tokens), options_(options), thread_([this] { Loop(); }) {}

Ledger::~Ledger() { Stop(); }

void Ledger::Add(v1::AuditEntry entry) {
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.size() < options_.max_waiting) {
      waiting_.push_back(std::move(entry));
      return;
    }
    ++overflown_;
  }
  Log(entry);
}

void Ledger::Used(const std::string& token_id) {
  absl::MutexLock lock(&mutex_);
  used_.insert(token_id);
}

void Ledger::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

uint64_t Ledger::overflown() const {
  absl::MutexLock lock(&mutex_);
  return overflown_;
}

bool Ledger::Flush(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return waiting_.empty() && used_.empty() && !writing_;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), time);
}

bool Ledger::WriteSome(const std::vector<v1::AuditEntry>& entries, const std::vector<std::string>& used) {
  absl::Status status;
  if (!entries.empty()) status = audit_->Write(entries);
  // In doubt: rather twice than not at all.
  if (status.ok() && !used.empty()) status = tokens_->Used(used);
  if (!status.ok()) spdlog::warn("audit entries={} error=\"{}\"", entries.size(), std::string(status.message()));
  return status.ok();
}

void Ledger::Loop() {
  absl::Time give_up = absl::InfiniteFuture();
  for (;;) {
    std::vector<v1::AuditEntry> entries;
    std::vector<std::string> used;
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stop_ || !waiting_.empty() || !used_.empty();
      };
      mutex_.Await(absl::Condition(&due));
      if (!stop_) mutex_.AwaitWithTimeout(absl::Condition(&stop_), options_.gather);
      if (stop_) give_up = std::min(give_up, absl::Now() + options_.stop_within);
      if (waiting_.empty() && used_.empty()) return;
      const size_t n = std::min(waiting_.size(), kAtOnce);
      entries.assign(waiting_.begin(), waiting_.begin() + static_cast<int64_t>(n));
      used.assign(used_.begin(), used_.end());
      writing_ = true;
    }
    const bool written = WriteSome(entries, used);
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (written) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<int64_t>(entries.size()));
      for (const std::string& id : used) used_.erase(id);
      continue;
    }
    if (absl::Now() >= give_up) {
      for (const auto& entry : waiting_) Log(entry);
      return;
    }
    if (stop_) {
      const bool never = false;
      mutex_.AwaitWithTimeout(absl::Condition(&never), absl::Milliseconds(200));
    } else {
      mutex_.AwaitWithTimeout(absl::Condition(&stop_), kAgainAfter);
    }
  }
}

}  // namespace sextant::access
