// The analyses that an `analyze` task may name as its builtin; server/analysis/builtin_runner runs them.
#pragma once

namespace sextant::job {

// In order of name.
inline constexpr const char* kBuiltinAnalyses[] = {
    "costs",
    "critical_path",
    "diagnosis",
    "hotspots",
    "occupancy",
    "registers",
    "report",
    "roofline",
    "timeline",
    "variation",
};

}  // namespace sextant::job
