// A pass as the command line writes it.
#pragma once

#include <string>

#include "sextant/v1/types.pb.h"

namespace sextant::job {

// A backend with its options, in order of their names: "activity:light=1".
std::string KindOfPass(const v1::PassSpec& spec);

}  // namespace sextant::job
