// Every bound of the service, in one place. DescribeService shows them.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/types.pb.h"

namespace sextant::job {

// The bounds in force unless a site's configuration says otherwise.
v1::ServiceLimits DefaultLimits();

// Fills the absent fields of `asked` from limits.default_run and refuses what is above
// limits.max_run: INVALID_ARGUMENT names `field` and the limit.
absl::Status FillRunLimits(const v1::ServiceLimits& limits, absl::string_view field,
                           v1::ResourceLimits* asked);

}  // namespace sextant::job
