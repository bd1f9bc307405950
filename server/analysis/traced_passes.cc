#include "server/analysis/traced_passes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/pass_traits.h"

namespace sextant::analysis {

PassList TracedPasses(const Evidence& evidence, const std::vector<std::string>& backends, const char* used_for,
                      v1::Basis* basis) {
  const PassList passes =
      evidence.Take(backends, {.used_for = used_for, .same_code = false, .times = true, .trace = true}, basis);
  std::vector<PassLaunches> launches;
  for (const v1::PassInfo* pass : passes) {
    if (!Evidence::Has(*pass, "launches")) continue;
    auto table = evidence.Read(*pass, "launches");
    if (table.ok()) launches.push_back({pass, *std::move(table)});
  }
  const Agreement agreement = Agree(passes, TraitsOfPasses(launches));
  for (const auto& [why, left] : agreement.left_out)
    basis->add_notes(absl::StrCat(
        "not joined for ", used_for, ": ",
        absl::StrJoin(left, " ", [](std::string* out, const v1::PassInfo* pass) { absl::StrAppend(out, "p", pass->pass_id()); }),
        " ", why));
  return agreement.joined;
}

}  // namespace sextant::analysis
