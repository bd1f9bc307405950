#include "server/analysis/facts.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proto/chunk/names.h"
#include "server/analysis/evidence.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr size_t kShownName = 160;
constexpr size_t kShownPasses = 3;

}  // namespace

const Fact& Facts::Metric(absl::string_view name) const {
  static const Fact kUnknown;
  const auto found = metrics.find(std::string(name));
  return found == metrics.end() ? kUnknown : found->second;
}

Fact MakeFact(absl::string_view backend, absl::string_view name, double value, absl::string_view unit,
              std::vector<int64_t> pass_ids) {
  std::string number = absl::string_view(unit) == "ns" ? Duration(value) : Figure(value);
  if (!unit.empty() && unit != "ns") absl::StrAppend(&number, " ", unit);
  std::string passes = pass_ids.empty() ? "" : absl::StrCat(" (", PassNames(pass_ids), ")");
  return {value, absl::StrCat(backend, " ", name.substr(0, kShownName), ": ", number, passes),
          std::move(pass_ids)};
}

std::string SiteText(const CodeSite& site) {
  return absl::StrCat(site.opcode, " at ", site.where.empty() ? absl::StrFormat("0x%x", site.pc) : site.where);
}

std::string PassNames(const std::vector<int64_t>& ids) {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(ids.size(), kShownPasses); ++i) names.push_back(absl::StrCat("p", ids[i]));
  return absl::StrCat(absl::StrJoin(names, ", "),
                      ids.size() > kShownPasses ? absl::StrCat(" and ", ids.size() - kShownPasses, " more") : "");
}

std::string Shown(absl::string_view name) {
  if (name.size() <= kMaxNameBytes) return chunk::CleanName({name.data(), name.size()}, name.size());
  return absl::StrCat(chunk::CleanName({name.data(), kMaxNameBytes - 3}, kMaxNameBytes - 3), "…");
}

std::string KernelTitle(const std::string& kernel) {
  if (kernel.empty()) return "CPU threads";
  return Shown(ShortKernel(absl::StrReplaceAll(kernel, {{"(anonymous namespace)::", ""}})));
}

std::string Figure(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  if (size >= 1000) return absl::StrCat(value < 0 ? "-" : "", Count(static_cast<uint64_t>(std::llround(size))));
  return absl::StrFormat("%.*f", size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3, value);
}

}  // namespace sextant::analysis
