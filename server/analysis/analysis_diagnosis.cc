// Analysis::Diagnosis, and the facts that it and the report stand on.
#include <utility>

#include "proto/status/status.h"
#include "server/analysis/all_facts.h"
#include "server/analysis/analysis.h"
#include "server/analysis/diagnosis.h"
#include "server/analysis/pass_kind.h"

namespace sextant::analysis {
namespace {

constexpr double kWorthIt = 0.05;       // of the GPU's time
constexpr size_t kMostKernels = 4;

}  // namespace

absl::StatusOr<Facts> Analysis::FactsAbout(const Evidence& evidence, const v1::Subject& subject, v1::Basis* basis) {
  FactSources sources;
  sources.samples = Samples();
  sources.timeline = [this](const v1::GetTimelineRequest& request) { return Timeline(request); };
  return AllFacts(evidence, subject, sources, basis);
}

absl::StatusOr<std::vector<Evidence>> Analysis::KernelsWorthIt(const v1::Subject& subject) {
  std::vector<Evidence> kernels;
  ASSIGN_OR_RETURN(Evidence first, Gather(subject));
  const std::vector<KernelUse> uses(first.kernels().begin(), first.kernels().end());
  double total = 0;
  for (const KernelUse& use : uses) total += use.total_ns;
  kernels.push_back(std::move(first));
  if (!subject.kernel().empty()) return kernels;
  const std::string chosen = kernels.front().kernel();   // not always the one that took most time
  for (const KernelUse& use : uses) {
    if (kernels.size() == kMostKernels || use.total_ns < kWorthIt * total) break;
    if (use.name == chosen) continue;
    v1::Subject of = subject;
    of.set_kernel(use.name);
    ASSIGN_OR_RETURN(Evidence evidence, Gather(of));
    kernels.push_back(std::move(evidence));
  }
  return kernels;
}

absl::StatusOr<v1::Diagnosis> Analysis::Diagnosis(const v1::GetDiagnosisRequest& request) {
  ASSIGN_OR_RETURN(const auto kernels, KernelsWorthIt(request.subject()));
  v1::Basis basis;
  kernels.front().Begin(&basis);
  std::vector<Facts> facts;
  for (const Evidence& evidence : kernels) {
    ASSIGN_OR_RETURN(Facts one, FactsAbout(evidence, request.subject(), &basis));
    facts.push_back(std::move(one));
  }
  return DiagnoseWith(kernels, facts, request.top(), std::move(basis));
}

v1::Diagnosis Analysis::DiagnoseWith(const std::vector<Evidence>& kernels, const std::vector<Facts>& facts, uint32_t top,
                                     v1::Basis basis) {
  v1::Diagnosis diagnosis = Diagnose(facts, top);
  for (const std::string& note : diagnosis.basis().notes()) basis.add_notes(note);
  if (kernels.size() > 1) {
    basis.clear_kernel();
    basis.clear_sass_digest();
  }
  *diagnosis.mutable_basis() = std::move(basis);
  for (v1::Abstention& one : *diagnosis.mutable_abstentions()) {
    one.set_pass(kernels.front().PassFor(one.pass()));
    if (!one.pass().empty()) one.set_cost_s(ExpectedCostS(one.pass(), kernels.front().passes()));
  }
  return diagnosis;
}

}  // namespace sextant::analysis
