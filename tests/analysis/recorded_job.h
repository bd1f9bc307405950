// Recordings (docs/recordings.md) as a job in memory: every pass is unpacked and collected by the backend that
// recorded it, as a worker would, so that analyses are tested on what real hardware left without a service.
//
//   TestJob job;
//   AddRecordings("tests/recordings/h200/gemm_ws", &job);
//   const Evidence evidence = job.Gather();
#pragma once

#include <set>
#include <string>

#include "server/analysis/test_job.h"

namespace sextant::analysis {

// Adds the recordings of a directory, by name, whose backend `only` contains (empty: all). A recording that cannot
// be played fails the test.
void AddRecordings(const std::string& directory, TestJob* job, const std::set<std::string>& only = {});

// Adds the Python files of a directory as files of the workload's bundle, which recordings do not have.
void AddSources(const std::string& directory, TestJob* job);

}  // namespace sextant::analysis
