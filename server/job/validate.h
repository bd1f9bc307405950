// The rules about single fields of a job spec. What tasks are to each other is server/job/graph.h's.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "sextant/v1/types.pb.h"

namespace sextant::job {

// Everything about one task that does not concern its neighbours; fills defaults of its resource
// limits, attempts and input paths in place. Errors begin with the field's path: `at`, "graph.tasks[3]",
// and what follows.
absl::Status CheckTask(const v1::ServiceLimits& limits, const std::string& at, v1::TaskSpec* spec);

// Name, salt, priority, deadline and labels of a graph; not its tasks.
absl::Status CheckGraphFields(const v1::ServiceLimits& limits, const v1::JobGraph& graph);

}  // namespace sextant::job
