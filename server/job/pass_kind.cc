#include "server/job/pass_kind.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::job {

std::string KindOfPass(const v1::PassSpec& spec) {
  const std::map<std::string, std::string> options(spec.options().begin(), spec.options().end());
  return absl::StrCat(spec.backend(), options.empty() ? "" : ":",
                      absl::StrJoin(options, ",", absl::PairFormatter("=")));
}

}  // namespace sextant::job
