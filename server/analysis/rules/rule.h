// The rules of the diagnosis: pure functions from facts to findings, in one visible list (rules.cc).
#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/analysis/facts.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// What time the savings of a rule come from. Those from the same time compete: they do not add up.
enum class SavedFrom {
  kNothing,     // the rule promises none
  kIdleUnits,   // no unit of a working SM is busy: waits, latencies, what nothing overlaps
  kIdleSms,     // SMs have no CTA
  kWork,        // of the busiest unit, which gets less to do
  kClock,       // all of it, at a higher clock
  kBetween,     // kernels: not of the kernel's own time
};

// Shares of the kernel's time that a change could save.
struct Saving {
  double least = 0;      // where the change does as much as the formula's smaller case
  double most = NAN;     // not known
  std::string formula;   // how both were found
};

// What one rule makes of the facts. A rule says a finding, abstains, or neither: it looked and there
// is nothing.
class Judgement {
 public:
  // The saving's interval and formula stand among the evidence, behind what the claim stands on.
  v1::Finding* Say(std::string claim, absl::string_view confidence, Saving saving,
                   std::initializer_list<const Fact*> stands_on);
  void Abstain(absl::string_view question, absl::string_view why, absl::string_view pass);

  std::vector<v1::Finding> findings;
  std::vector<double> least;                 // by finding: Saving.least
  std::vector<v1::Abstention> abstentions;   // without cost
};

struct Rule {
  const char* name;      // "memory-bound"
  const char* source;    // where its threshold and its formula come from
  SavedFrom saved_from;
  void (*judge)(const Facts& facts, Judgement* out);
};

// In order of their groups: what bounds the kernel, memory access, the pipeline, the measurement, the recording.
absl::Span<const Rule> Rules();

// By group; each in its own file.
absl::Span<const Rule> BoundRules();
absl::Span<const Rule> AccessRules();
absl::Span<const Rule> PipelineRules();
absl::Span<const Rule> MeasurementRules();
absl::Span<const Rule> RecordingRules();

// Parts of sentences. "45 %".
std::string Percent(double share);
// "role consumer"; a role that was inferred, or all warps, as it is: "role 0 (load, dot)", "all warps"; "the unnamed role".
std::string RoleWords(const std::string& role);
// "2.5 to 12 %", "at most 12 %".
std::string SavingText(double least, double most);

}  // namespace sextant::analysis
