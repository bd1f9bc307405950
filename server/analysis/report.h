// How a task (or job) went and what stands out in it, for reading. Says only what the timeline shows;
// why it is so is the business of further analysis.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// `task` is empty when the report is about all passes of the job. A timeline that could not be made
// gives its reason to the report. Tables: "regions", "roles", "perturbation", "passes",
// "environment".
// FAILED_PRECONDITION: no pass is planned yet.
absl::StatusOr<v1::Report> MakeReport(const v1::JobInfo& job, const std::string& task,
                                      const std::vector<v1::PassInfo>& passes,
                                      const absl::StatusOr<v1::Timeline>& timeline,
                                      const std::vector<v1::Perturbation>& certificates);

}  // namespace sextant::analysis
