// The options of a `scopes` pass: scopes:records=4096,ctas=1/8,scopes=load+mma.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::scopes {

struct Options {
  std::string recorder;  // what SEXTANT_SCOPES is to be
  bool launches = true;  // whether CUPTI shall record launches beside the scopes
};

// INVALID_ARGUMENT names the option, what it may be, and for an unknown one those there are.
absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec);

}  // namespace sextant::backends::scopes
