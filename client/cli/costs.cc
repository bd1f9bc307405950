// `sextant costs`, `hotspots`, `registers`, `roofline`: what a kernel's parts cost, and against what.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

using Align = Table::Align;

std::string Share(double share) { return std::isnan(share) ? "-" : absl::StrFormat("%.1f %%", 100 * share); }

// 5263231 is "5.26 M".
std::string Many(double number) {
  if (std::isnan(number)) return "-";
  if (number >= 1e12) return absl::StrFormat("%.3g T", number / 1e12);
  if (number >= 1e9) return absl::StrFormat("%.3g G", number / 1e9);
  if (number >= 1e6) return absl::StrFormat("%.3g M", number / 1e6);
  if (number >= 1e4) return absl::StrFormat("%.3g k", number / 1e3);
  return absl::StrFormat("%.4g", number);
}

std::string Ratio(double ratio) { return std::isnan(ratio) ? "-" : absl::StrFormat("%.3f", ratio); }

std::string Top(const google::protobuf::RepeatedPtrField<v1::NamedShare>& shares, int most) {
  std::vector<std::string> words;
  for (int i = 0; i < std::min(shares.size(), most); ++i)
    words.push_back(absl::StrFormat("%s %.0f %%", shares[i].name(), 100 * shares[i].share()));
  return absl::StrJoin(words, ", ");
}

// The question's subject, or the command's failure in `code`.
template <typename Request>
bool Ask(Context& context, const SubjectOptions& options, Request* request, int* code) {
  auto subject = ToSubject(options);
  if (!subject.ok()) {
    *code = context.Usage(subject.status().message());
    return false;
  }
  *request->mutable_subject() = *std::move(subject);
  return true;
}

// JSON, or the head of the text. False: all is said.
template <typename Answer>
bool Begin(Context& context, const absl::StatusOr<Answer>& answer, int* code) {
  if (!answer.ok()) {
    *code = context.Fail(answer.status());
    return false;
  }
  *code = kOk;
  if (context.json) {
    context.PrintJson(*answer);
    return false;
  }
  context.out << context.Bold(BasisHead(answer->basis())) << "\n";
  return true;
}

}  // namespace

int CostsCommand(Context& context, const CostsOptions& options) {
  v1::GetRegionCostsRequest request;
  request.set_by_warp(options.by_warp);
  int code = kOk;
  if (!Ask(context, options.subject, &request, &code)) return code;
  const auto costs = context.service().GetRegionCosts(request);
  if (!Begin(context, costs, &code)) return code;
  context.out << "of a launch: " << Many(costs->kernel_instructions()) << " warp instructions";
  if (!std::isnan(costs->kernel_ipc())) context.out << ", " << Ratio(costs->kernel_ipc()) << " a cycle of an SM";
  context.out << "\n\n";
  if (!costs->regions().empty()) {
    // Quantiles of an instance: the one in the middle.
    Table table({{"role"}, {"region"}, {"times", Align::kRight}, {"cycles", Align::kRight}, {"of time", Align::kRight},
                 {"instructions", Align::kRight}, {"own", Align::kRight}, {"IPC", Align::kRight}, {"of issue", Align::kRight},
                 {"stalls"}, {"sure", Align::kRight}});
    for (const v1::RegionCost& row : costs->regions())
      table.Add({absl::StrCat(row.role(), row.warp() >= 0 ? absl::StrCat(" w", row.warp()) : ""),
                 absl::StrCat(row.parent().empty() ? "" : "  ", row.region()), Many(static_cast<double>(row.instances())),
                 row.cycles().empty() ? "-" : Many(row.cycles(row.cycles_size() / 2)), Share(row.time_share()),
                 Many(row.instructions()), Many(row.instructions_exclusive()), Ratio(row.ipc()), Share(row.issue_share()),
                 Top(row.stalls(), 2), Share(row.confidence())});
    context.out << table.Text(context.out_terminal.color, "", 0) << "\n";
    // What holds of several regions is said once.
    std::map<std::string, std::vector<std::string>> reasons;
    for (const v1::RegionCost& row : costs->regions())
      if (!row.why().empty()) reasons[row.why()].push_back(absl::StrCat(row.role().empty() ? "" : row.role() + "/", row.region()));
    for (const auto& [why, rows] : reasons)
      context.out << "note: "
                  << (rows.size() > 3 ? Plural(rows.size(), "region", "regions") : Escape(absl::StrJoin(rows, ", "), 120)) << ": "
                  << Escape(why) << "\n";
  }
  PrintBasis(context, costs->basis());
  context.out << std::flush;
  return kOk;
}

int HotspotsCommand(Context& context, const HotspotsOptions& options) {
  v1::GetHotspotsRequest request;
  request.set_by(options.by);
  request.set_within(options.within);
  request.set_top(options.top);
  int code = kOk;
  if (!Ask(context, options.subject, &request, &code)) return code;
  const auto spots = context.service().GetHotspots(request);
  if (!Begin(context, spots, &code)) return code;
  if (!spots->hotspots().empty()) {
    bool time = false, region = false;
    for (const v1::Hotspot& one : spots->hotspots()) {
      time |= !std::isnan(one.time_ns());
      region |= !one.parent().empty();
    }
    std::vector<Table::Head> heads = {{"share", Align::kRight}};
    if (time) heads.push_back({"time", Align::kRight});
    heads.push_back({"samples", Align::kRight});
    heads.push_back({"executed", Align::kRight});
    heads.push_back({spots->by()});
    if (region) heads.push_back({"in"});
    heads.push_back({"stalls"});
    heads.push_back({"text"});
    Table table(std::move(heads));
    for (const v1::Hotspot& one : spots->hotspots()) {
      std::vector<std::string> cells = {Share(one.share())};
      if (time) cells.push_back(std::isnan(one.time_ns()) ? "-" : FormatNs(one.time_ns()));
      cells.push_back(Many(one.samples()));
      cells.push_back(Many(one.executed()));
      cells.push_back(one.name());
      if (region) cells.push_back(one.parent());
      cells.push_back(Top(one.stalls(), 2));
      cells.push_back(one.text());
      table.Add(std::move(cells));
    }
    context.out << table.Text(context.out_terminal.color, "", 0);
    if (spots->left_out() > 0) context.out << "and " << spots->left_out() << " more: --top\n";
    context.out << "\n";
  }
  PrintBasis(context, spots->basis());
  context.out << std::flush;
  return kOk;
}

int RegistersCommand(Context& context, const SubjectOptions& options) {
  v1::GetRegistersRequest request;
  int code = kOk;
  if (!Ask(context, options, &request, &code)) return code;
  const auto registers = context.service().GetRegisters(request);
  if (!Begin(context, registers, &code)) return code;
  if (registers->registers() > 0) context.out << registers->registers() << " registers a thread";
  if (registers->max_live() > 0)
    context.out << ", " << registers->max_live() << " live at most, at " << Escape(registers->peak().where(), 80) << " ("
                << Escape(registers->peak().opcode(), 60) << ")";
  context.out << "\n";
  if (!std::isnan(registers->occupancy_pct()))
    context.out << absl::StrFormat("%.1f %% occupancy, %d blocks an SM, limited by %s\n", registers->occupancy_pct(),
                                   registers->blocks_per_sm(), Escape(registers->limiter(), 40));
  if (!registers->cases().empty()) {
    Table table({{"if"}, {"registers", Align::kRight}, {"blocks", Align::kRight}, {"occupancy", Align::kRight}, {"limited by"}, {"needs"}});
    for (const v1::OccupancyCase& one : registers->cases())
      table.Add({one.change(), absl::StrCat(one.registers()), absl::StrCat(one.blocks_per_sm()),
                 absl::StrFormat("%.1f %%", one.occupancy_pct()), one.limiter(), one.needs()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  if (!registers->profile().empty()) {
    constexpr int kShown = 10;
    Table table({{"live", Align::kRight}, {"line"}, {"instruction"}});
    for (int i = 0; i < std::min(registers->profile_size(), kShown); ++i)
      table.Add({absl::StrCat(registers->profile(i).live()), registers->profile(i).where(), registers->profile(i).opcode()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  if (!registers->spills().empty()) {
    Table table({{"local memory"}, {"where"}, {"executed", Align::kRight}, {"bytes", Align::kRight}, {"region"}});
    for (const v1::SpillSite& one : registers->spills())
      table.Add({one.store() ? "store" : "load", one.where(), Many(one.executed()),
                 std::isnan(one.bytes()) ? "-" : FormatBytes(static_cast<uint64_t>(one.bytes())), one.region()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  if (registers->spill_bytes() == 0) context.out << "\nno spills\n";
  context.out << "\n";
  PrintBasis(context, registers->basis());
  context.out << std::flush;
  return kOk;
}

int RooflineCommand(Context& context, const SubjectOptions& options) {
  v1::GetRooflineRequest request;
  int code = kOk;
  if (!Ask(context, options, &request, &code)) return code;
  const auto roofline = context.service().GetRoofline(request);
  if (!Begin(context, roofline, &code)) return code;
  if (!std::isnan(roofline->clean_ns())) context.out << "a launch takes " << FormatNs(roofline->clean_ns()) << "\n";
  if (!roofline->points().empty()) {
    Table table({{"of"}, {"level"}, {"FLOP", Align::kRight}, {"bytes", Align::kRight}, {"FLOP/B", Align::kRight}, {"FLOP/s", Align::kRight},
                 {"attainable", Align::kRight}, {"share", Align::kRight}, {"bound by"}});
    for (const v1::RooflinePoint& one : roofline->points())
      table.Add({one.region().empty() ? "the kernel" : one.region(), one.level(), Many(one.work()), Many(one.bytes()), Many(one.intensity()), Many(one.achieved()),
                 Many(one.attainable()), Share(one.share()), one.bound_by()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  if (!roofline->speed_of_light().empty()) {
    Table table({{"unit"}, {"of its peak", Align::kRight}, {"metric"}});
    for (const v1::SpeedOfLight& one : roofline->speed_of_light())
      table.Add({one.unit_name(), absl::StrFormat("%.1f %%", one.achieved_pct()), one.metric()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  if (!roofline->ceilings().empty()) {
    Table table({{"ceiling"}, {"at most", Align::kRight}, {"unit"}, {"known from"}});
    table.set_max_cell(120);
    for (const v1::Ceiling& one : roofline->ceilings()) table.Add({one.name(), Many(one.value()), one.unit(), one.source()});
    context.out << "\n" << table.Text(context.out_terminal.color, "", 0);
  }
  context.out << "\n";
  PrintBasis(context, roofline->basis());
  context.out << std::flush;
  return kOk;
}

}  // namespace sextant::cli
