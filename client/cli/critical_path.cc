// `sextant critical-path`: what the run depends on, and what it would be if a region were shorter.
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

std::string Share(double share) { return absl::StrFormat("%.1f %%", 100 * share); }

std::string Percentile(double quantile) { return absl::StrFormat("P%g", 100 * quantile); }

std::string RegionOf(const std::string& role, const std::string& region) {
  return role.empty() ? region : absl::StrCat(role, "/", region);
}

void PrintShares(Context& context, const v1::CriticalPath& path) {
  using Align = Table::Align;
  std::vector<Table::Head> heads = {{"region"}};
  for (const v1::CriticalPathAt& at : path.paths()) {
    heads.push_back({Percentile(at.quantile()), Align::kRight});
    heads.push_back({"share", Align::kRight});
  }
  heads.push_back({"slack", Align::kRight});
  Table table(std::move(heads));
  // In the order of the path in the middle.
  const v1::CriticalPathAt& middle = path.paths(path.paths_size() / 2);
  for (const v1::PathShare& row : middle.shares()) {
    std::vector<std::string> cells = {RegionOf(row.role(), row.region())};
    for (const v1::CriticalPathAt& at : path.paths()) {
      const v1::PathShare* same = nullptr;
      for (const v1::PathShare& one : at.shares())
        if (one.role() == row.role() && one.region() == row.region()) same = &one;
      cells.push_back(same == nullptr ? "-" : FormatNs(same->on_path_ns()));
      cells.push_back(same == nullptr ? "-" : Share(same->share()));
    }
    cells.push_back(std::isnan(row.slack_ns()) ? "" : FormatNs(row.slack_ns()));
    table.Add(std::move(cells));
  }
  context.out << table.Text(context.out_terminal.color, "", 0);
}

void PrintSteps(Context& context, const v1::CriticalPathAt& at) {
  using Align = Table::Align;
  Table table({{"at", Align::kRight}, {"region"}, {"took", Align::kRight}, {"times", Align::kRight}, {"after"}});
  for (const v1::PathStep& step : at.steps())
    table.Add({FormatNs(step.start_ns()), RegionOf(step.role(), step.region()), FormatNs(step.duration_ns()),
               step.repeats() > 1 ? absl::StrCat("×", step.repeats()) : "",
               step.enters_by().empty() ? "" : absl::StrCat("signal to ", step.enters_by())});
  context.out << "\nThe path of the " << Percentile(at.quantile()) << " run: pass p" << at.pass_id()
              << ", launch " << at.launch() << ", CTA " << at.cta() << ", " << FormatNs(at.span_ns()) << "\n"
              << table.Text(context.out_terminal.color, "", 0);
  if (at.steps_left_out() > 0) context.out << "and " << at.steps_left_out() << " more steps: --steps\n";
}

void PrintWhatIfs(Context& context, const v1::CriticalPath& path) {
  using Align = Table::Align;
  Table table({{"if"}, {"changes by", Align::kRight}, {"span", Align::kRight}, {"predicted", Align::kRight},
               {"faster", Align::kRight}});
  for (const v1::WhatIfResult& one : path.what_if())
    table.Add({RegionOf(one.what().role(), one.what().region()),
               absl::StrFormat("%+g %%", -one.what().shorten_pct()), FormatNs(one.span_ns()),
               FormatNs(one.predicted_ns()), absl::StrFormat("%.1f %%", one.speedup_pct())});
  context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
}

void PrintEdges(Context& context, const v1::CriticalPath& path) {
  using Align = Table::Align;
  Table table({{"barrier"}, {"signals"}, {"waits"}, {"waits a CTA", Align::kRight}, {"median", Align::kRight},
               {"in all", Align::kRight}, {"had to wait", Align::kRight}});
  for (const v1::BarrierEdge& edge : path.edges())
    table.Add({edge.barrier(), edge.from_role(), edge.to_role(),
               absl::StrFormat("%.4g", static_cast<double>(edge.count()) / std::max(1u, path.ctas())),
               FormatNs(edge.wait_ns()), FormatNs(edge.wait_total_ns()), Share(edge.late_share())});
  context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
}

}  // namespace

absl::StatusOr<v1::WhatIf> ParseWhatIf(absl::string_view text) {
  const size_t equals = text.rfind('=');
  absl::string_view number =
      equals == absl::string_view::npos ? "" : absl::StripAsciiWhitespace(text.substr(equals + 1));
  const bool percent = absl::ConsumeSuffix(&number, "%");
  double change = 0;
  if (!percent || !absl::SimpleAtod(absl::StripAsciiWhitespace(number), &change) || equals == 0)
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Escape(text, 80), "\" is no change; write [ROLE/]REGION=-20%"));
  v1::WhatIf what;
  absl::string_view region = text.substr(0, equals);
  if (const size_t slash = region.find('/'); slash != absl::string_view::npos) {
    what.set_role(std::string(region.substr(0, slash)));
    region = region.substr(slash + 1);
  }
  what.set_region(std::string(region));
  what.set_shorten_pct(-change);
  return what;
}

int CriticalPathCommand(Context& context, const CriticalPathOptions& options) {
  v1::GetCriticalPathRequest request;
  auto subject = ToSubject(options.subject);
  if (!subject.ok()) return context.Usage(subject.status().message());
  *request.mutable_subject() = *std::move(subject);
  request.set_max_steps(options.steps);
  for (const std::string& text : options.what_ifs) {
    auto what = ParseWhatIf(text);
    if (!what.ok()) return context.Usage(absl::StrCat("--what-if: ", what.status().message()));
    *request.add_what_if() = *std::move(what);
  }
  const auto path = context.service().GetCriticalPath(request);
  if (!path.ok()) return context.Fail(path.status());
  if (context.json) {
    context.PrintJson(*path);
    return kOk;
  }
  context.out << context.Bold(BasisHead(path->basis())) << "\n";
  if (!path->paths().empty()) {
    context.out << "critical path, of " << Plural(path->ctas(), "CTA", "CTAs");
    for (const v1::CriticalPathAt& at : path->paths())
      context.out << ", " << Percentile(at.quantile()) << " " << FormatNs(at.span_ns());
    context.out << (path->path_changes() ? "; it goes another way in slow runs than in fast ones\n\n" : "\n\n");
    PrintShares(context, *path);
    PrintSteps(context, path->paths(path->paths_size() / 2));
    if (!path->what_if().empty()) PrintWhatIfs(context, *path);
    if (!path->edges().empty()) PrintEdges(context, *path);
    context.out << "\n";
  }
  PrintBasis(context, path->basis());
  context.out << std::flush;
  return kOk;
}

}  // namespace sextant::cli
