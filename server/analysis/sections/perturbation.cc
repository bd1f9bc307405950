// The certificates: how much each instrument changed what it measured.
#include "absl/strings/str_cat.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownCertificates = 60;

std::string Pair(const std::string& before, const std::string& after) { return absl::StrCat(before, " → ", after); }

}  // namespace

void WritePerturbation(const ReportInputs& inputs, v1::ReportSection* out) {
  if (inputs.certificates.empty()) return;
  TableWriter table(out, "certificates");
  table.set_most(kShownCertificates);
  table.Column("kernel").Column("instrument").Column("passes").Column("clean → instrumented").Column("ratio").Column("registers")
      .Column("occupancy", "%").Column("same code").Column("verdict").Column("why");
  int worst = 0;
  for (const v1::Perturbation& one : inputs.certificates) {
    if (one.verdict() == "flagged" || one.verdict() == "disturbed") ++worst;
    const bool registers = one.clean_registers() > 0 || one.instrumented_registers() > 0;
    const bool occupancy = one.clean_occupancy_pct() > 0 || one.instrumented_occupancy_pct() > 0;
    table.Row({KernelTitle(one.kernel()), Shown(one.backend()), PassNames({one.pass_ids().begin(), one.pass_ids().end()}),
               Pair(Duration(one.clean_ns()), Duration(one.instrumented_ns())), one.ratio() > 0 ? Figure(one.ratio()) : "–",
               registers ? Pair(absl::StrCat(one.clean_registers()), absl::StrCat(one.instrumented_registers())) : "",
               occupancy ? Pair(Figure(one.clean_occupancy_pct()), Figure(one.instrumented_occupancy_pct())) : "",
               one.same_code() ? "yes" : "no or unknown", Shown(one.verdict()), one.why()});
  }
  table.End(out);
  Say(out, worst == 0 ? "No instrument lengthened a kernel by more than 15 %."
                      : absl::StrCat(worst, " of ", inputs.certificates.size(), " pairs of kernel and instrument were disturbed by more than 15 %."));
}

}  // namespace sextant::analysis
