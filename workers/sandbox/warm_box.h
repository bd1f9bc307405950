// How the bubblewrap sandbox makes a warm container.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "workers/sandbox/bubblewrap.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/warm.h"

namespace sextant::sandbox {

absl::StatusOr<std::unique_ptr<WarmContainer>> StartWarmBox(const BwrapLauncher& launcher,
                                                            const CgroupMaker& cgroups,
                                                            const WarmSpec& warm);

}  // namespace sextant::sandbox
