// `sextant variation`: which regions vary, where that comes from, what goes with it.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr double kWorthNaming = 0.05;   // of the variance

std::string Percent(double share) { return absl::StrFormat("%.0f %%", 100 * share); }

}  // namespace

int VariationCommand(Context& context, const SubjectOptions& options) {
  v1::GetVariationRequest request;
  auto subject = ToSubject(options);
  if (!subject.ok()) return context.Usage(subject.status().message());
  *request.mutable_subject() = *std::move(subject);
  const auto answer = context.service().GetVariation(request);
  if (!answer.ok()) return context.Fail(answer.status());
  if (context.json) {
    context.PrintJson(*answer);
    return kOk;
  }
  context.out << BasisHead(answer->basis()) << "\n\n";
  using Align = Table::Align;
  Table table({{"role"}, {"region"}, {"count", Align::kRight}, {"median", Align::kRight}, {"spread", Align::kRight},
               {"of the time", Align::kRight}, {"variance between"}, {"modes"}, {"goes with"}});
  for (const v1::RegionVariation& region : answer->regions()) {
    std::string sources;
    for (const v1::VarianceComponent& one : region.components())
      if (one.share() >= kWorthNaming)
        absl::StrAppend(&sources, sources.empty() ? "" : ", ", one.source(), " ", Percent(one.share()));
    std::string modes;
    if (region.bimodal() && region.modes_ns_size() == 2)
      modes = absl::StrCat(FormatNs(region.modes_ns(0)), ", ", FormatNs(region.modes_ns(1)), " (",
                           Percent(region.second_mode_share()), ")");
    std::string with;
    for (int i = 0; i < region.goes_with_size() && i < 2; ++i)
      absl::StrAppend(&with, with.empty() ? "" : ", ", region.goes_with(i).with(),
                      absl::StrFormat(" %+.2f", region.goes_with(i).correlation()));
    table.Add({region.role(), region.region(), FormatCount(region.count()), FormatNs(region.median_ns()),
               Percent(region.spread()), Percent(region.time_share()), sources, modes, with});
  }
  context.out << table.Text(context.out_terminal.color, "", 0)
              << "spread: (P80 - P20) / P50; goes with: rank correlation (of SMs: correlation ratio), p at most 0.01\n";
  PrintBasis(context, answer->basis());
  return kOk;
}

}  // namespace sextant::cli
