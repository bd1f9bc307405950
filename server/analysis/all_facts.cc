#include "server/analysis/all_facts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/code_sites.h"
#include "server/analysis/critical_path.h"
#include "server/analysis/gather_facts.h"
#include "server/analysis/hotspots.h"
#include "server/analysis/region_costs.h"
#include "server/analysis/registers.h"
#include "server/analysis/roofline.h"
#include "server/analysis/variation.h"

namespace sextant::analysis {
namespace {

constexpr uint32_t kInstructions = 1000;
constexpr uint32_t kInstances = 100;    // of a role and region, in timelines

// What says nothing of the passes: try again.
bool Passing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsInternal(status);
}

// Takes an answer if there is one; why not becomes a note.
template <typename Answer>
absl::Status Take(absl::StatusOr<Answer> answer, const char* what, std::optional<Answer>* into, v1::Basis* basis) {
  if (answer.ok()) {
    *into = *std::move(answer);
    return absl::OkStatus();
  }
  if (Passing(answer.status())) return answer.status();
  basis->add_notes(absl::StrCat("no ", what, ": ", std::string(answer.status().message())));
  return absl::OkStatus();
}

// Adds what is not there yet.
void MergePasses(const v1::Basis& from, v1::Basis* to) {
  for (const v1::PassSet& set : from.passes())
    if (std::none_of(to->passes().begin(), to->passes().end(), [&](const v1::PassSet& other) {
          return other.SerializeAsString() == set.SerializeAsString();
        }))
      *to->add_passes() = set;
  for (const v1::Provenance& one : from.provenance())
    if (std::none_of(to->provenance().begin(), to->provenance().end(), [&](const v1::Provenance& other) {
          return other.backend() == one.backend() && other.device() == one.device() &&
                 other.machine_class() == one.machine_class();
        }))
      *to->add_provenance() = one;
}

// Where in the code the time goes: by line for reading, by instruction for what rules name.
absl::Status Code(const Evidence& evidence, const v1::Subject& subject, Facts* facts, v1::Basis* basis) {
  v1::GetHotspotsRequest request;
  *request.mutable_subject() = subject;
  request.set_by("line");
  RETURN_IF_ERROR(Take(MakeHotspots(evidence, request), "hotspots", &facts->lines, basis));
  request.set_by("sass");
  request.set_top(kInstructions);
  std::optional<v1::Hotspots> by_sass;
  RETURN_IF_ERROR(Take(MakeHotspots(evidence, request), "hotspots by instruction", &by_sass, basis));
  if (!by_sass) return absl::OkStatus();
  ASSIGN_OR_RETURN(facts->sites, FindCodeSites(evidence, *by_sass));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Facts> AllFacts(const Evidence& evidence, const v1::Subject& subject, const FactSources& sources,
                               v1::Basis* basis) {
  Facts facts;
  v1::GetCriticalPathRequest path;
  *path.mutable_subject() = subject;
  RETURN_IF_ERROR(Take(FindCriticalPath(evidence, path), "critical path", &facts.path, basis));
  v1::GetRegionCostsRequest costs;
  *costs.mutable_subject() = subject;
  RETURN_IF_ERROR(Take(MakeRegionCosts(evidence, costs), "costs of regions", &facts.costs, basis));
  RETURN_IF_ERROR(Take(MakeRegisters(evidence), "registers", &facts.registers, basis));
  RETURN_IF_ERROR(Take(MakeRoofline(evidence, facts.costs ? &*facts.costs : nullptr), "roofline", &facts.roofline, basis));
  if (sources.samples) {
    v1::GetOccupancyRequest occupancy;
    *occupancy.mutable_subject() = subject;
    occupancy.set_all_launches(true);
    RETURN_IF_ERROR(Take(FindOccupancy(evidence, sources.samples, occupancy), "occupancy over time", &facts.occupancy, basis));
    RETURN_IF_ERROR(Take(FindVariation(evidence, sources.samples), "variation", &facts.variation, basis));
  }
  if (sources.timeline) {
    v1::GetTimelineRequest timeline;
    timeline.set_job_id(evidence.task().job_id());
    timeline.set_task(evidence.task().path());
    timeline.set_max_instances(kInstances);
    timeline.set_include_disturbed(subject.include_disturbed());
    if (evidence.kernels().size() > 1) timeline.set_kernel(evidence.kernel());
    timeline.set_fold_loops(true);
    timeline.set_overlaps(true);
    RETURN_IF_ERROR(Take(sources.timeline(timeline), "timeline", &facts.timeline, basis));
  }
  RETURN_IF_ERROR(Code(evidence, subject, &facts, basis));
  v1::Basis of_facts;
  RETURN_IF_ERROR(GatherFacts(evidence, &facts, &of_facts));
  MergePasses(of_facts, basis);
  for (const std::string& note : of_facts.notes()) basis->add_notes(note);
  if (facts.path) MergePasses(facts.path->basis(), basis);
  if (facts.costs) MergePasses(facts.costs->basis(), basis);
  if (facts.lines) MergePasses(facts.lines->basis(), basis);
  if (facts.occupancy) MergePasses(facts.occupancy->basis(), basis);
  if (facts.variation) MergePasses(facts.variation->basis(), basis);
  if (facts.registers) MergePasses(facts.registers->basis(), basis);
  if (facts.roofline) MergePasses(facts.roofline->basis(), basis);
  return facts;
}

}  // namespace sextant::analysis
