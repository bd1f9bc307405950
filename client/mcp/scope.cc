#include "client/mcp/scope.h"

namespace sextant::mcp {

void Scope::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : contexts_) context->TryCancel();
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
