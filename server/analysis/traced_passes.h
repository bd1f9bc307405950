// Which passes with regions an analysis of times may join.
#pragma once

#include <string>
#include <vector>

#include "server/analysis/evidence.h"

namespace sextant::analysis {

// Those of the first of these backends that has any, which agree among each other (pass_traits.h). The code may
// differ from the clean passes': instruments that compile the kernel anew are joined too. Says in `basis` which
// were taken and which were left out.
PassList TracedPasses(const Evidence& evidence, const std::vector<std::string>& backends, const char* used_for,
                      v1::Basis* basis);

}  // namespace sextant::analysis
