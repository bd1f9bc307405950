// Where in the source and the code the time goes.
#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/sections/section.h"

namespace sextant::analysis {
namespace {

constexpr int kShownLines = 8, kShownInstructions = 8;
constexpr double kWorthARow = 0.005;   // of the samples

std::string Times(double executed) { return executed > 0 ? Figure(executed) : "–"; }

}  // namespace

void WriteHotspots(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.lines || facts.lines->hotspots().empty()) continue;
    const v1::Hotspots& lines = *facts.lines;
    NotesOf(inputs, facts, lines.basis(), out);
    StandsOn(lines.basis(), out);
    const bool sampled = lines.total_samples() > 0;
    const bool has_lines = std::any_of(lines.hotspots().begin(), lines.hotspots().end(),
                                       [](const v1::Hotspot& one) { return absl::StrContains(one.name(), ':'); });
    if (has_lines) {
      TableWriter table(out, TableName(inputs, facts, "source lines"));
      table.Column("line").Column("in region").Column(sampled ? "share of samples" : "share").Column("executed by warps").Column("warps wait for").Column("text");
      for (const v1::Hotspot& one : lines.hotspots()) {
        if (table.rows() == kShownLines || (sampled && one.share() < kWorthARow)) break;
        table.Row({Shown(one.name()), Shown(one.parent()), ShareText(one.share()), Times(one.executed()), TopShares(one.stalls(), 3), Shown(one.text())});
      }
      table.End(out);
      if (const v1::Hotspot& first = lines.hotspots(0); sampled && absl::StrContains(first.name(), ':'))
        Say(out, absl::StrCat(inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": ") : "", ShareText(first.share()),
                              " of the samples stand at ", Shown(first.name()), "."));
    }
    if (!sampled || facts.sites.empty()) continue;
    TableWriter code(out, TableName(inputs, facts, "instructions"));
    code.Column("pc").Column("instruction").Column("line").Column("in region").Column("share of samples").Column("executed by warps")
        .Column("most for").Column("it waits for");
    for (const CodeSite& site : facts.sites) {
      if (code.rows() == kShownInstructions || site.samples < kWorthARow) break;
      std::pair<std::string, double> most;
      for (const auto& [reason, share] : site.stalls)
        if (reason != "selected" && share > most.second) most = {reason, share};
      code.Row({absl::StrFormat("0x%x", site.pc), Shown(site.opcode), Shown(site.where), site.recorder ? "(recording)" : Shown(site.region),
                ShareText(site.samples), Times(site.executed), Shown(most.first), Shown(site.waits_for)});
    }
    code.End(out);
  }
}

}  // namespace sextant::analysis
