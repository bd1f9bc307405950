// The rules of the diagnosis: pure functions from facts to findings, in one visible list (rules.cc).
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/analysis/facts.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// What one rule makes of the facts. A rule says a finding, abstains, or neither: it looked and there
// is nothing.
class Judgement {
 public:
  // `saves_share` of the kernel's time, at most; `formula` says how it was found ("" where NaN).
  v1::Finding* Say(std::string claim, absl::string_view confidence, double saves_share,
                   absl::string_view formula, std::initializer_list<const Fact*> stands_on);
  void Abstain(absl::string_view question, absl::string_view why, absl::string_view pass);

  std::vector<v1::Finding> findings;
  std::vector<v1::Abstention> abstentions;   // without cost
};

struct Rule {
  const char* name;      // "memory-bound"
  const char* source;    // where its threshold or formula comes from
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

}  // namespace sextant::analysis
