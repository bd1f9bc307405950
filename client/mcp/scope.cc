#include "client/mcp/scope.h"

namespace sextant::mcp {

void Scope::Cancel() {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    callback = std::exchange(on_cancel_, nullptr);
  }
  if (callback) callback();
}

void Scope::OnCancel(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mutex_);
    if (!cancelled_) {
      on_cancel_ = std::move(callback);
      return;
    }
  }
  callback();
}

bool Scope::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

void Scope::Enter(grpc::ClientContext* context, double timeout_s) {
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::microseconds(static_cast<int64_t>(timeout_s * 1e6)));
  for (const auto& [name, value] : metadata_) context->AddMetadata(name, value);
  absl::MutexLock lock(&mutex_);
  if (cancelled_) context->TryCancel();
  contexts_.insert(context);
}

void Scope::Left(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  contexts_.erase(context);
}

}  // namespace sextant::mcp
