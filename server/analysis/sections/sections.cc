#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/sections/section.h"

namespace sextant::analysis {

absl::Span<const Section> Sections() {
  static constexpr Section kSections[] = {
      {"bottleneck", "What bounds it", WriteBottleneck},
      {"kernels", "Kernels", WriteKernels},
      {"timeline", "Statistical timeline", WriteTimeline},
      {"loops", "Loops and overlap", WriteLoops},
      {"critical-path", "Critical path", WriteCriticalPath},
      {"hotspots", "Hot lines and instructions", WriteHotspots},
      {"region-costs", "Instructions and stalls of regions", WriteRegionCosts},
      {"variation", "What varies", WriteVariation},
      {"occupancy", "Occupancy, waves, tail", WriteOccupancy},
      {"registers", "Registers and spills", WriteRegisters},
      {"roofline", "Roofline and speed of light", WriteRoofline},
      {"stalls", "What warps wait for", WriteStalls},
      {"counters", "Counters", WriteCounters},
      {"perturbation", "How much the instruments disturbed", WritePerturbation},
      {"passes", "Passes", WritePasses},
      {"environment", "Environment", WriteEnvironment},
  };
  return kSections;
}

std::string ShareText(double share) {
  return std::isfinite(share) ? absl::StrFormat("%.1f %%", 100 * share) : "–";
}

std::string TopShares(const google::protobuf::RepeatedPtrField<v1::NamedShare>& shares, int most) {
  std::string text;
  for (int i = 0; i < std::min(most, shares.size()); ++i) {
    if (!(shares.Get(i).share() >= 0.01)) break;
    absl::StrAppend(&text, text.empty() ? "" : ", ", Shown(shares.Get(i).name()), absl::StrFormat(" %.0f %%", 100 * shares.Get(i).share()));
  }
  return text;
}

void TableWriter::Row(const std::vector<std::string>& cells) {
  if (table_->rows_size() >= most_) {
    ++left_out_;
    return;
  }
  v1::Row* row = table_->add_rows();
  for (const std::string& cell : cells) row->add_cells()->set_text(cell);
}

void TableWriter::End(v1::ReportSection* section) {
  for (int c = table_->columns_size(); c-- > 0;) {
    if (std::any_of(table_->rows().begin(), table_->rows().end(),
                    [&](const v1::Row& row) { return c < row.cells_size() && !row.cells(c).text().empty(); }))
      continue;
    table_->mutable_columns()->DeleteSubrange(c, 1);
    for (v1::Row& row : *table_->mutable_rows())
      if (c < row.cells_size()) row.mutable_cells()->DeleteSubrange(c, 1);
  }
  if (left_out_ > 0)
    section->add_notes(absl::StrCat("table ", table_->name(), ": ", left_out_, " more rows are left out"));
}

namespace {

void AddPass(int64_t id, v1::ReportSection* out) {
  auto* ids = out->mutable_pass_ids();
  const auto at = std::lower_bound(ids->begin(), ids->end(), id);
  if (at != ids->end() && *at == id) return;
  const auto index = at - ids->begin();
  ids->Add(id);
  std::rotate(ids->begin() + index, ids->end() - 1, ids->end());
}

}  // namespace

void StandsOn(const v1::Basis& basis, v1::ReportSection* out) {
  for (const v1::PassSet& set : basis.passes())
    if (set.left_out().empty())
      for (const int64_t id : set.pass_ids()) AddPass(id, out);
}

void StandsOn(const Fact& fact, v1::ReportSection* out) {
  for (const int64_t id : fact.pass_ids) AddPass(id, out);
}

void NotesOf(const ReportInputs& inputs, const Facts& facts, const v1::Basis& basis, v1::ReportSection* out) {
  const auto add = [&](absl::string_view note) {
    std::string text = TableName(inputs, facts, note);
    if (std::find(out->notes().begin(), out->notes().end(), text) == out->notes().end()) out->add_notes(std::move(text));
  };
  for (const std::string& note : basis.notes()) add(note);
  for (const v1::Abstention& one : basis.abstentions())
    add(absl::StrCat("not judged: ", one.question(), ": ", one.why(), one.pass().empty() ? "" : absl::StrCat(" (--pass ", one.pass(), ")")));
}

void Say(v1::ReportSection* out, absl::string_view sentence) {
  out->set_summary(absl::StrCat(out->summary(), out->summary().empty() ? "" : " ", sentence));
}

void AddText(const ReportInputs& inputs, const Facts& facts, absl::string_view title, absl::string_view text, v1::ReportSection* out) {
  if (text.empty()) return;
  out->set_text(absl::StrCat(out->text(), out->text().empty() ? "" : "\n", TableName(inputs, facts, title), "\n", text));
}

std::string TableName(const ReportInputs& inputs, const Facts& facts, absl::string_view name) {
  return inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": ", name) : std::string(name);
}

}  // namespace sextant::analysis
