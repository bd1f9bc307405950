// subscriptions/listen: told when a job, as a task or as a resource, changes.
#pragma once

#include <functional>
#include <memory>

#include "client/mcp/json.h"
#include "client/mcp/scope.h"

namespace sextant::mcp {

// Acknowledges what of `wanted` is offered (taskIds "job-7", resourceSubscriptions "sextant://job/7/report"; at
// most kMostSubscriptions of them), notifies of changes, and calls `over` once: when every job listened for has
// ended, or the scope was cancelled. With nothing to listen for it stays until it is cancelled.
inline constexpr size_t kMostSubscriptions = 64;
void Listen(std::shared_ptr<Scope> scope, const Json& id, const Json& wanted,
            std::function<void(const Json& notification)> notify, std::function<void()> over);

}  // namespace sextant::mcp
