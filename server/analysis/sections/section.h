// The sections of a report: one file each, with its expected output in testdata/, in one visible list
// (sections.cc).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/analysis/facts.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// What sections are written from. Borrowed.
struct ReportInputs {
  const v1::JobInfo& job;
  const std::vector<v1::PassInfo>& passes;              // all of the task (or job), in any state
  const std::vector<Facts>& kernels;                    // most time first; one without a name: CPU threads
  const v1::Diagnosis& diagnosis;
  const std::vector<v1::Perturbation>& certificates;    // of all kernels
  std::vector<v1::Provenance> provenance;               // distinct
  std::vector<v1::NamedShare> kernel_times;             // all kernels: ns a pass and share; most first
};

// Adds to `out`, whose name and title are set. A section without summary, tables, text, pictures and notes is left out.
struct Section {
  const char* name;      // "critical-path"
  const char* title;
  void (*write)(const ReportInputs& inputs, v1::ReportSection* out);
};

// In their order in the report.
absl::Span<const Section> Sections();

// Those of sections.cc's list.
void WriteBottleneck(const ReportInputs& inputs, v1::ReportSection* out);
void WriteKernels(const ReportInputs& inputs, v1::ReportSection* out);
void WriteTimeline(const ReportInputs& inputs, v1::ReportSection* out);
void WriteLoops(const ReportInputs& inputs, v1::ReportSection* out);
void WriteCriticalPath(const ReportInputs& inputs, v1::ReportSection* out);
void WriteHotspots(const ReportInputs& inputs, v1::ReportSection* out);
void WriteRegionCosts(const ReportInputs& inputs, v1::ReportSection* out);
void WriteVariation(const ReportInputs& inputs, v1::ReportSection* out);
void WriteOccupancy(const ReportInputs& inputs, v1::ReportSection* out);
void WriteRegisters(const ReportInputs& inputs, v1::ReportSection* out);
void WriteRoofline(const ReportInputs& inputs, v1::ReportSection* out);
void WriteStalls(const ReportInputs& inputs, v1::ReportSection* out);
void WriteCounters(const ReportInputs& inputs, v1::ReportSection* out);
void WritePerturbation(const ReportInputs& inputs, v1::ReportSection* out);
void WritePasses(const ReportInputs& inputs, v1::ReportSection* out);
void WriteEnvironment(const ReportInputs& inputs, v1::ReportSection* out);

// ---- for those who write them --------------------------------------------------------------------

inline constexpr int kMaxRows = 60;              // of a table, unless it says otherwise

// "38.5 %"; "–" for NaN.
std::string ShareText(double share);
// "memory 40 %, FFMA 30 %": the first of them, down to 1 %.
std::string TopShares(const google::protobuf::RepeatedPtrField<v1::NamedShare>& shares, int most);

class TableWriter {
 public:
  // `kernel` goes into the table's name where a report has several.
  TableWriter(v1::ReportSection* section, std::string name) : table_(section->add_tables()) {
    table_->set_name(std::move(name));
  }
  TableWriter& Column(const std::string& name, const std::string& unit = "") {
    v1::Column* column = table_->add_columns();
    column->set_name(name);
    column->set_unit(unit);
    return *this;
  }
  // Rows beyond `most` are counted, and End says so in the notes. Columns that are empty in all rows are left out.
  void Row(const std::vector<std::string>& cells);
  void set_most(int rows) { most_ = rows; }
  int rows() const { return table_->rows_size(); }
  void End(v1::ReportSection* section);

 private:
  v1::Table* const table_;
  int most_ = kMaxRows;
  int left_out_ = 0;
};

// Adds the passes an answer stands on.
void StandsOn(const v1::Basis& basis, v1::ReportSection* out);
void StandsOn(const Fact& fact, v1::ReportSection* out);
// Adds the notes and abstentions of an answer as notes, with the kernel's name where the report has several; each once.
void NotesOf(const ReportInputs& inputs, const Facts& facts, const v1::Basis& basis, v1::ReportSection* out);
// Appends a sentence to the summary.
void Say(v1::ReportSection* out, absl::string_view sentence);
// Adds a picture of text, under the kernel's name where the report has several. HTML shows the section's pictures instead.
void AddText(const ReportInputs& inputs, const Facts& facts, absl::string_view title, absl::string_view text, v1::ReportSection* out);
// "kernel: name" where the report has several kernels, else name.
std::string TableName(const ReportInputs& inputs, const Facts& facts, absl::string_view name);

}  // namespace sextant::analysis
