// Registers, what limits occupancy, spills.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShown = 12;

}  // namespace

void WriteRegisters(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.registers) continue;
    const v1::Registers& registers = *facts.registers;
    NotesOf(inputs, facts, registers.basis(), out);
    if (registers.registers() == 0) continue;
    StandsOn(registers.basis(), out);
    Say(out, absl::StrCat(KernelTitle(facts.kernel), ": ", registers.registers(), " registers a thread",
                          registers.max_live() > 0 ? absl::StrCat(", at most ", registers.max_live(), " live") : "",
                          std::isnan(registers.occupancy_pct()) || registers.occupancy_pct() <= 0
                              ? ""
                              : absl::StrCat("; occupancy ", Figure(registers.occupancy_pct()), " %, limited by ", registers.limiter()),
                          registers.spill_bytes() > 0 ? absl::StrCat("; ", Figure(registers.spill_bytes()), " bytes of spills a launch") : "",
                          "."));
    if (!registers.cases().empty()) {
      TableWriter cases(out, TableName(inputs, facts, "occupancy, were it otherwise"));
      cases.Column("change").Column("registers").Column("CTAs an SM").Column("occupancy", "%").Column("limited by").Column("it needs");
      for (const v1::OccupancyCase& one : registers.cases())
        cases.Row({Shown(one.change()), absl::StrCat(one.registers()), absl::StrCat(one.blocks_per_sm()), Figure(one.occupancy_pct()),
                   Shown(one.limiter()), Shown(one.needs())});
      cases.End(out);
    }
    if (!registers.profile().empty()) {
      TableWriter live(out, TableName(inputs, facts, "most live registers"));
      live.set_most(kShown);
      live.Column("where").Column("instruction").Column("live");
      for (const v1::LiveRegisters& one : registers.profile())
        live.Row({Shown(one.where()), Shown(one.opcode()), absl::StrCat(one.live())});
      live.End(out);
    }
    if (registers.spills().empty()) continue;
    TableWriter spills(out, TableName(inputs, facts, "spills"));
    spills.set_most(kShown);
    spills.Column("where").Column("kind").Column("executed a launch").Column("bytes a launch").Column("region");
    for (const v1::SpillSite& one : registers.spills())
      spills.Row({Shown(one.where()), one.store() ? "store" : "load", Figure(one.executed()), Figure(one.bytes()), Shown(one.region())});
    spills.End(out);
  }
}

}  // namespace sextant::analysis
