// ncu's pages as tables (docs/tables.md) and counters.
#pragma once

#include <string>
#include <vector>

#include "sextant/v1/table.pb.h"
#include "sextant/v1/types.pb.h"
#include "workers/backends/ncu/details_page.h"
#include "workers/backends/ncu/raw_page.h"

namespace sextant::backends::ncu {

// Which launch of its process each row of a page is, counted as docs/tables.md says: `launch_skip`
// matching launches came before the first.
std::vector<int64_t> NumberLaunches(const RawPage& page, uint32_t launch_skip);

// `launches`: what ncu knows of each. Times since the pass began are not among it; duration_ns is
// under ncu, and never the time of the kernel.
v1::DataTable LaunchesTable(const RawPage& page, const std::vector<int64_t>& numbers);

// `ncu`: a row for each metric of each launch, by its full name (section ""), then one for each
// entry of a section, by its label. Attributes of the device (device__…) stand with its first
// launch alone. A page cut at the table's limit is said in `notes`.
v1::DataTable NcuTable(const RawPage& page, const std::vector<int64_t>& numbers,
                       const DetailsPage& details, std::vector<std::string>* notes);

// `findings`: what ncu's rules advise.
v1::DataTable AdviceTable(const RawPage& page, const std::vector<int64_t>& numbers,
                          const DetailsPage& details);

// Sums over all launches of a kernel of what can be summed: the ".sum" metrics among `wanted`
// (names without suffix count too), or where that is empty a few that matter.
std::vector<v1::Counter> KernelCounters(const RawPage& page,
                                        const std::vector<std::string>& wanted);

// "byte" → "bytes", "inst/cycle" → "instructions/cycle".
std::string UnitOf(const std::string& unit);

}  // namespace sextant::backends::ncu
