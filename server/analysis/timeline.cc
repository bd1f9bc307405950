#include "server/analysis/timeline.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/aligner.h"
#include "server/analysis/exact.h"
#include "server/analysis/loop_fold.h"
#include "server/analysis/overlap.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/quantile.h"
#include "server/analysis/rebucket.h"
#include "server/analysis/evidence.h"
#include "server/analysis/selection.h"
#include "server/analysis/text.h"
#include "server/trace/rollup_view.h"
#include "server/trace/task_rollup.h"

namespace sextant::analysis {
namespace {

struct JoinedPass {
  const v1::PassInfo* info;
  trace::TraceSummary summary;   // only with instances
};

std::string KernelsHint(const LaunchedKernels& kernels) {
  std::set<std::string> names;
  for (const auto& [pass, launches] : kernels)
    for (const auto& [launch, kernel] : launches) names.insert(ShortKernel(kernel));
  constexpr size_t kShown = 8;
  std::vector<std::string> shown;
  for (const std::string& name : names)
    if (shown.size() < kShown) shown.push_back(name);
  return absl::StrCat(absl::StrJoin(shown, ", "), names.size() > shown.size() ? ", …" : "");
}

class Builder {
 public:
  Builder(TimelineRooms rooms, const v1::GetTimelineRequest& request, const PassKnowledge& knowledge)
      : rooms_(rooms),
        request_(request),
        knowledge_(knowledge),
        quantiles_(request.quantiles().begin(), request.quantiles().end()),
        regions_(request.regions().begin(), request.regions().end()),
        roles_(request.roles().begin(), request.roles().end()) {
    if (quantiles_.empty()) quantiles_ = {0.2, 0.5, 0.8};
  }

  absl::StatusOr<v1::Timeline> Build(const v1::TaskInfo& task,
                                     const std::vector<v1::PassInfo>& passes) {
    const std::vector<v1::Perturbation>& certificates = knowledge_.certificates;
    out_.set_job_id(task.job_id());
    out_.set_task(task.path());
    for (double q : quantiles_) out_.add_quantiles(q);
    const auto disturbed = [&](const v1::PassInfo& pass) {
      return !request_.include_disturbed() && Disturbed(certificates, pass.pass_id());
    };
    ASSIGN_OR_RETURN(Selection selection,
                     SelectPasses(passes, request_.backend(), disturbed, knowledge_.traits));
    for (const v1::Perturbation& one : certificates)
      if (std::any_of(selection.joined.begin(), selection.joined.end(), [&](const auto* pass) {
            return std::find(one.pass_ids().begin(), one.pass_ids().end(), pass->pass_id()) !=
                   one.pass_ids().end();
          })) {
        if (one.verdict() == "flagged" || one.verdict() == "disturbed")
          out_.add_notes(absl::StrCat("kernel ", one.kernel(), ": ", one.why()));
        *out_.add_perturbation() = one;
      }
    out_.set_passes_left_out(selection.left_out);
    for (std::string& note : selection.notes) out_.add_notes(std::move(note));
    for (v1::PassSet& set : selection.sets) *out_.add_pass_sets() = std::move(set);
    RETURN_IF_ERROR(FindTraces(selection));
    RETURN_IF_ERROR(FromRollups(task.task_id(), selection.group));
    if (request_.exact() || OneOfSeveralKernels()) RETURN_IF_ERROR(ExactRegions());
    AddCounters();
    if (!request_.without_instances()) {
      RETURN_IF_ERROR(Instances());
      Spans();
    }
    std::vector<const v1::PassInfo*> infos;
    for (const JoinedPass& pass : joined_) {
      infos.push_back(pass.info);
      out_.set_events(out_.events() + pass.info->result().events());
      out_.set_dropped(out_.dropped() + pass.info->result().dropped());
    }
    for (v1::Provenance& provenance : DistinctProvenance(infos))
      *out_.add_provenance() = std::move(provenance);
    out_.set_passes(joined_.size());
    return std::move(out_);
  }

 private:
  // Leaves out passes whose trace is gone. Without instances nothing is read for each pass.
  absl::Status FindTraces(const Selection& selection) {
    uint32_t gone = 0;
    for (const v1::PassInfo* info : selection.joined) {
      JoinedPass pass{info, {}};
      if (!request_.without_instances()) {
        auto summary = rooms_.reader->Summarize(info->result().trace_digest());
        if (absl::IsNotFound(summary.status())) {
          ++gone;
          continue;
        }
        RETURN_IF_ERROR(summary.status());
        pass.summary = *std::move(summary);
      }
      joined_.push_back(std::move(pass));
    }
    return NoteGone(gone);
  }

  absl::Status NoteGone(uint32_t gone) {
    if (gone == 0) return absl::OkStatus();
    if (gone >= joined_.size() + gone)
      return absl::FailedPreconditionError(
          absl::StrCat("the traces of all ", gone, " passes were removed after ",
                       rooms_.limits.trace_retention_days(),
                       " days (trace_retention_days); run the job again with --fresh"));
    out_.set_passes_left_out(out_.passes_left_out() + gone);
    out_.add_notes(absl::StrCat(gone, " passes left out: their traces were removed by retention"));
    return absl::OkStatus();
  }

  absl::Status FromRollups(int64_t task_id, const std::string& group) {
    std::vector<trace::PassTrace> traces;
    for (const JoinedPass& pass : joined_)
      traces.push_back({pass.info->pass_id(), pass.info->result().trace_digest()});
    int skipped = 0;
    ASSIGN_OR_RETURN(const trace::Rollup rollup,
                     trace::MergeTaskRollup(rooms_.traces, task_id, group, traces,
                                            request_.buckets() > 0, &skipped),
                     "joining rollups");
    if (skipped > 0 && request_.without_instances())
      out_.add_notes(absl::StrCat(skipped, " passes' traces were removed by retention"));
    out_.set_program(rollup.kernel());
    ns_per_unit_ = rollup.unit() == v1::CYCLES
                       ? (rollup.min_ns_per_unit() + rollup.max_ns_per_unit()) / 2
                       : 1.0;
    const trace::Selection wanted{{request_.regions().begin(), request_.regions().end()},
                                  {request_.roles().begin(), request_.roles().end()}};
    if (!request_.exact() && !OneOfSeveralKernels()) {
      for (const trace::RegionStat& stat : trace::RegionStats(rollup, quantiles_, wanted)) {
        v1::RegionAggregate* out = out_.add_regions();
        out->set_role(stat.role);
        out->set_region(stat.region);
        out->set_count(stat.totals.count);
        for (double value : stat.quantiles) out->add_duration_ns(value * ns_per_unit_);
        out->set_sum_ns(static_cast<double>(stat.totals.sum) * ns_per_unit_);
        out->set_min_ns(static_cast<double>(stat.totals.min) * ns_per_unit_);
        out->set_max_ns(static_cast<double>(stat.totals.max) * ns_per_unit_);
        out->set_relative_error(trace::kRelativeError);
      }
    }
    if (request_.buckets() == 0) return absl::OkStatus();
    const uint64_t wanted_ns =
        request_.to_ns() > 0
            ? (request_.to_ns() - request_.from_ns() + request_.buckets() - 1) / request_.buckets()
            : UINT64_MAX;
    if (wanted_ns < rollup.bucket_ns()) return Zoom(wanted_ns);
    ASSIGN_OR_RETURN(const trace::BucketView view,
                     trace::Buckets(rollup, {.buckets = request_.buckets(),
                                             .from_ns = request_.from_ns(),
                                             .to_ns = request_.to_ns(),
                                             .quantiles = quantiles_,
                                             .selection = wanted}),
                     "buckets");
    out_.set_bucket_ns(view.bucket_ns);
    out_.set_first_bucket_ns(view.first_bucket_ns);
    for (const trace::RegionBuckets& region : view.regions) {
      v1::BucketSeries* out = out_.add_buckets();
      out->set_region(region.region);
      out->mutable_counts()->Add(region.counts.begin(), region.counts.end());
      for (double value : region.quantiles) out->add_duration_ns(value * ns_per_unit_);
    }
    return absl::OkStatus();
  }

  // A part of the time in finer buckets than the rollups have.
  absl::Status Zoom(uint64_t bucket_ns) {
    Rebucket rebucket({.from_ns = request_.from_ns(),
                       .bucket_ns = std::max<uint64_t>(bucket_ns, 1),
                       .buckets = request_.buckets(),
                       .regions = regions_,
                       .roles = roles_});
    const trace::ReadRequest part{.regions = {request_.regions().begin(), request_.regions().end()},
                                  .from_ns = request_.from_ns(),
                                  .to_ns = request_.to_ns()};
    RETURN_IF_ERROR(
        ForEachChunk(part, [&](const chunk::Decoded& chunk) { return rebucket.Add(chunk); }));
    out_.set_bucket_ns(std::max<uint64_t>(bucket_ns, 1));
    out_.set_first_bucket_ns(request_.from_ns());
    for (v1::BucketSeries& series : rebucket.Finish(quantiles_))
      *out_.add_buckets() = std::move(series);
    return absl::OkStatus();
  }

  // Of the kernel asked for alone.
  absl::Status ForEachChunk(const trace::ReadRequest& part,
                            absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
    for (const JoinedPass& pass : joined_) {
      const Kernels* kernels = request_.kernel().empty() ? nullptr : KernelsOf(pass);
      RETURN_IF_ERROR(rooms_.reader->Read(pass.info->result().trace_digest(), part,
                                          [&](const chunk::Decoded& chunk) -> absl::Status {
                                            if (kernels == nullptr) return use(chunk);
                                            chunk::Decoded of_kernel = chunk;
                                            std::erase_if(of_kernel.tracks, [&](const chunk::TrackSlice& slice) {
                                              const auto kernel = kernels->find(slice.track.launch);
                                              return kernel == kernels->end() ||
                                                     !IsKernel(kernel->second, request_.kernel());
                                            });
                                            return use(of_kernel);
                                          }),
                      "reading the trace of pass ", pass.info->pass_id());
    }
    return absl::OkStatus();
  }

  absl::Status ExactRegions() {
    ExactAggregates exact(regions_, roles_);
    const trace::ReadRequest part{
        .regions = {request_.regions().begin(), request_.regions().end()}};
    RETURN_IF_ERROR(ForEachChunk(part, [&](const chunk::Decoded& chunk) {
      exact.Count(chunk);
      return absl::OkStatus();
    }));
    exact.Aim(quantiles_);
    RETURN_IF_ERROR(ForEachChunk(part, [&](const chunk::Decoded& chunk) {
      exact.Collect(chunk);
      return absl::OkStatus();
    }));
    for (v1::RegionAggregate& aggregate : exact.Finish()) *out_.add_regions() = std::move(aggregate);
    return absl::OkStatus();
  }

  // A counter of a region is summed over passes, and so are the instances it sums over.
  void AddCounters() {
    std::map<std::tuple<std::string, std::string, std::string, std::string>, v1::Counter> sums;
    for (const JoinedPass& pass : joined_) {
      for (const v1::Counter& counter : pass.info->result().counters()) {
        auto [it, added] = sums.try_emplace(
            {counter.role(), counter.region(), counter.name(), counter.unit()}, counter);
        if (added) continue;
        it->second.set_value(it->second.value() + counter.value());
        it->second.set_instances(it->second.instances() + counter.instances());
      }
    }
    for (v1::RegionAggregate& aggregate : *out_.mutable_regions())
      for (const auto& [key, counter] : sums)
        if (std::get<0>(key) == aggregate.role() && std::get<1>(key) == aggregate.region())
          *aggregate.add_counters() = counter;
  }

  absl::Status Instances() {
    uint32_t most = request_.max_instances();
    if (most == 0) most = rooms_.limits.max_timeline_instances();
    const bool from_cta = request_.origin() != v1::SINCE_PASS && !joined_.empty() &&
                          joined_.front().summary.unit == v1::CYCLES;
    out_.set_origin(from_cta ? v1::SINCE_CTA : v1::SINCE_PASS);
    std::vector<PassToRead> wanted;
    for (const JoinedPass& pass : joined_) wanted.push_back({pass.info, KernelsOf(pass)});
    ASSIGN_OR_RETURN(const std::shared_ptr<const TraceSample> sample,
                     rooms_.samples->Read(
                         [this](const v1::PassInfo& pass, absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
                           return rooms_.reader->Read(pass.result().trace_digest(), {}, use);
                         },
                         wanted, {.kernel = request_.kernel()}));
    if (!request_.kernel().empty() && sample->events == 0)
      return absl::FailedPreconditionError(
          absl::StrCat("kernel: no pass recorded an instance in a kernel named ", request_.kernel(),
                       "; they recorded ",
                       knowledge_.kernels.empty() ? out_.program() : KernelsHint(knowledge_.kernels)));
    for (v1::RoleLane& lane :
         Align(*sample,
               {.max_instances = most, .regions = regions_, .roles = roles_, .from_cta = from_cta,
                .regions_spread = !joined_.empty() && RegionsAreSpread(MeasuredAs(*joined_.front().info))},
               quantiles_))
      *out_.add_lanes() = std::move(lane);
    if (request_.fold_loops())
      for (v1::LoopFold& fold : FoldLoops(*sample, {.roles = roles_}, quantiles_))
        *out_.add_loops() = std::move(fold);
    if (request_.overlaps())
      for (v1::RoleOverlap& row : Overlaps(*sample)) *out_.add_overlaps() = std::move(row);
    if (out_.lanes().empty())
      out_.add_notes(regions_.empty() && roles_.empty()
                         ? "the passes recorded no instance of any region"
                         : "no instance of these regions and roles was recorded");
    if (!sample->whole())
      out_.add_notes(absl::StrCat("instances, loops and overlaps are those of ", sample->Describe(),
                                  ": the passes recorded ", Count(sample->events),
                                  "; tables and buckets count all"));
    return absl::OkStatus();
  }

  // Rollups do not tell kernels apart.
  bool OneOfSeveralKernels() const { return !request_.kernel().empty() && !knowledge_.kernels.empty(); }

  const Kernels* KernelsOf(const JoinedPass& pass) const {
    const auto found = knowledge_.kernels.find(pass.info->pass_id());
    return found == knowledge_.kernels.end() ? nullptr : &found->second;
  }

  void Spans() {
    std::vector<double> spans;
    for (const JoinedPass& pass : joined_)
      if (pass.summary.events > 0)
        spans.push_back(static_cast<double>(pass.summary.last_ns - pass.summary.first_ns));
    if (spans.empty()) return;
    for (double span : Quantiles(&spans, quantiles_)) out_.add_span_ns(span);
  }

  const TimelineRooms rooms_;
  const v1::GetTimelineRequest& request_;
  const PassKnowledge& knowledge_;
  std::vector<double> quantiles_;
  const absl::flat_hash_set<std::string> regions_;
  const absl::flat_hash_set<std::string> roles_;
  std::vector<JoinedPass> joined_;
  double ns_per_unit_ = 1;
  v1::Timeline out_;
};

}  // namespace

PassKnowledge KnowledgeOf(absl::Span<const PassLaunches> launches) {
  return {Perturbations(launches), KernelsByLaunch(launches), TraitsOfPasses(launches)};
}

absl::StatusOr<v1::Timeline> MakeTimeline(TimelineRooms rooms,
                                          const v1::GetTimelineRequest& request,
                                          const v1::TaskInfo& task,
                                          const std::vector<v1::PassInfo>& passes,
                                          const PassKnowledge& knowledge) {
  return Builder(rooms, request, knowledge).Build(task, passes);
}

}  // namespace sextant::analysis
