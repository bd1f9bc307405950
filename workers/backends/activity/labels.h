// What records are called in traces and tables.
#pragma once

#include <cstdint>
#include <string_view>

namespace sextant::backends::activity {

// Of an inject::CopyRecord's kind: "HtoD", …, "memset"; as a region: "copy HtoD", …, "memset".
std::string_view CopyName(uint32_t kind);
std::string_view CopyRegion(uint32_t kind);

// Of a CUpti_ActivitySynchronizationType.
std::string_view WaitRegion(uint32_t type);

// A call's name without the version that CUPTI appends: "cudaMemcpy_v3020" → "cudaMemcpy".
std::string_view ApiRegion(std::string_view name);

// Whether a call of that name puts kernels on a stream.
bool IsLaunch(std::string_view api_region);

}  // namespace sextant::backends::activity
