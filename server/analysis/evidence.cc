#include "server/analysis/evidence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proto/status/status.h"
#include "server/analysis/columns.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/quantile.h"
#include "server/analysis/selection.h"
#include "server/analysis/task_passes.h"

namespace sextant::analysis {
namespace {

}  // namespace

std::string ShortKernel(absl::string_view name) {
  name = absl::StripPrefix(name, "void ");
  return std::string(name.substr(0, std::min(name.find('('), name.find('<'))));
}

bool EndedWell(const v1::PassInfo& pass) {
  return pass.state() == v1::DONE && pass.has_result() && !pass.result().has_failure() &&
         !pass.result().partial();
}

absl::StatusOr<Evidence> Evidence::Make(EvidenceSources sources, v1::TaskInfo task,
                                        std::vector<v1::PassInfo> passes, const v1::Subject& subject) {
  Evidence evidence;
  evidence.sources_ = std::move(sources);
  evidence.task_ = std::move(task);
  evidence.passes_ = std::move(passes);
  evidence.include_disturbed_ = subject.include_disturbed();
  evidence.quantiles_.assign(subject.quantiles().begin(), subject.quantiles().end());
  if (evidence.quantiles_.empty()) evidence.quantiles_ = {0.2, 0.5, 0.8};
  std::map<std::string, int> classes;
  int most = 0;
  for (const v1::PassInfo& pass : evidence.passes_)
    if (EndedWell(pass)) most = std::max(most, ++classes[pass.result().provenance().machine_class()]);
  if (most == 0) {
    const absl::Status why = SelectPasses(evidence.passes_, "").status();
    return why.ok() ? absl::FailedPreconditionError("no pass ended well") : why;
  }
  for (const auto& [name, count] : classes)
    if (count == most) evidence.machine_class_ = name;
  ASSIGN_OR_RETURN(evidence.launches_, ReadLaunches(evidence.sources_.table, evidence.passes_));
  evidence.certificates_ = Perturbations(evidence.launches_);
  std::vector<const v1::PassInfo*> untimed;
  for (const v1::PassInfo& pass : evidence.passes_) {
    if (pass.state() == v1::DONE && !Has(pass, "launches")) untimed.push_back(&pass);
  }
  for (v1::Perturbation& one : WithoutLaunches(untimed)) evidence.certificates_.push_back(std::move(one));
  evidence.FindKernels();
  RETURN_IF_ERROR(evidence.ChooseKernel(subject));
  evidence.ChooseCode();
  return evidence;
}

PassList Evidence::Choose(absl::string_view backend, const Want& want, bool one_kind,
                          bool only_if_any, v1::Basis* basis) const {
  std::map<std::string, PassList> usable;                        // by kind
  std::map<std::pair<std::string, std::string>, PassList> left;  // by kind and why
  std::vector<std::string> order;
  for (const v1::PassInfo& pass : passes_) {
    const v1::PassSpec& spec = MeasuredAs(pass);
    if (spec.backend() != std::string(backend)) continue;
    const std::string kind = KindOfPass(spec);
    const auto why = [&]() -> std::string {
      if (pass.state() == v1::CANCELLED) return "cancelled";
      if (pass.state() == v1::FAILED || pass.result().has_failure()) return "failed";
      if (pass.state() != v1::DONE || !pass.has_result()) return "not ended yet";
      if (pass.result().partial()) return "ended early";
      if (pass.result().provenance().machine_class() != machine_class_)
        return absl::StrCat("another machine class: ", pass.result().provenance().machine_class());
      if (want.table != nullptr && !Has(pass, want.table))
        return absl::StrCat("left no table ", want.table);
      if (want.trace && pass.result().trace_digest().empty()) return "left no trace";
      if (want.times && !include_disturbed_)
        for (const v1::Perturbation& one : certificates_)
          if (one.kernel() == kernel_ && one.verdict() == "disturbed" &&
              std::find(one.pass_ids().begin(), one.pass_ids().end(), pass.pass_id()) != one.pass_ids().end())
            return one.why();
      if (want.same_code && !code_.empty())
        if (const auto codes = CodesIn(pass); !codes.empty() && !codes.contains(code_))
          return absl::StrCat("ran other code of the kernel (SASS ", codes.begin()->substr(0, 12),
                              ", not ", code_.substr(0, 12), ")");
      return "";
    }();
    if (!why.empty()) {
      left[{kind, why}].push_back(&pass);
      continue;
    }
    if (usable[kind].empty()) order.push_back(kind);
    usable[kind].push_back(&pass);
  }
  if (only_if_any && usable.empty() && left.empty()) return {};
  const std::string* best = nullptr;
  for (const std::string& kind : order)
    if (best == nullptr || usable[kind].size() > usable[*best].size()) best = &kind;
  PassList joined;
  const auto add = [&](const std::string& kind, const PassList& passes, absl::string_view why) {
    v1::PassSet* const set = basis->add_passes();
    set->set_backend(kind);
    set->set_used_for(want.used_for);
    set->set_left_out(std::string(why));
    for (const v1::PassInfo* pass : passes) set->add_pass_ids(pass->pass_id());
  };
  for (const std::string& kind : order) {
    if (one_kind && &kind != best) {
      add(kind, usable[kind], absl::StrCat("other options than those of ", *best));
      continue;
    }
    add(kind, usable[kind], "");
    joined.insert(joined.end(), usable[kind].begin(), usable[kind].end());
  }
  for (const auto& [kind_why, passes] : left) add(kind_why.first, passes, kind_why.second);
  std::set<std::string> known;
  for (const v1::Provenance& one : basis->provenance()) known.insert(one.SerializeAsString());
  for (v1::Provenance& one : DistinctProvenance(joined))
    if (known.insert(one.SerializeAsString()).second) *basis->add_provenance() = std::move(one);
  return joined;
}

PassList Evidence::Take(const std::vector<std::string>& backends, const Want& want,
                        v1::Basis* basis) const {
  for (const std::string& backend : backends)
    if (PassList joined = Choose(backend, want, true, true, basis); !joined.empty()) return joined;
  return {};
}

PassList Evidence::TakeAllKinds(absl::string_view backend, const Want& want, v1::Basis* basis) const {
  return Choose(backend, want, false, true, basis);
}

bool Evidence::Has(const v1::PassInfo& pass, absl::string_view table) {
  return PassTables::HasTable(pass, table);
}

absl::StatusOr<Table> Evidence::Read(const v1::PassInfo& pass, absl::string_view table) const {
  return sources_.table(pass, table);
}

absl::Status Evidence::ReadTrace(const v1::PassInfo& pass, const trace::ReadRequest& request,
                                 absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) const {
  return sources_.trace(pass, request, use);
}

absl::StatusOr<std::string> Evidence::ReadArtifact(const v1::Artifact& artifact,
                                                   uint64_t max_bytes) const {
  return sources_.artifact(artifact, max_bytes);
}

absl::StatusOr<std::string> Evidence::ReadSource(absl::string_view path, uint64_t max_bytes) const {
  const auto base = [](absl::string_view of) { return of.substr(of.rfind('/') + 1); };   // npos + 1 is 0
  const v1::File *whole = nullptr, *named = nullptr;
  size_t alike = 0;
  for (const v1::File& file : task_.spec().profile().workload().files()) {
    if (path == file.path() || absl::EndsWith(path, absl::StrCat("/", file.path()))) whole = &file;
    if (base(file.path()) != base(path)) continue;
    named = &file;
    ++alike;
  }
  const v1::File* const found = whole != nullptr ? whole : alike == 1 ? named : nullptr;
  if (found == nullptr || found->size_bytes() > max_bytes)
    return absl::NotFoundError(absl::StrCat("the workload's bundle has no file ", path));
  v1::Artifact artifact;
  artifact.set_name(found->path());
  artifact.set_digest(found->digest());
  return ReadArtifact(artifact, max_bytes);
}

bool Evidence::IsOfKernel(const v1::PassInfo& pass, int64_t launch) const {
  const auto of = launch_is_of_kernel_.find(pass.pass_id());
  if (of == launch_is_of_kernel_.end()) return true;
  const auto found = of->second.find(launch);
  return found != of->second.end() && found->second;
}

bool Evidence::IsKernel(absl::string_view name) const {
  return kernel_.empty() || name == kernel_ || name == ShortKernel(kernel_);
}

std::vector<double> Evidence::CleanDurationsNs(v1::Basis* basis) const {
  std::map<int, PassList> tiers;
  for (const PassLaunches& one : launches_)
    if (EndedWell(*one.pass) && one.pass->result().provenance().machine_class() == machine_class_)
      tiers[TimeRank(*one.pass)].push_back(one.pass);
  for (int rank = 3; rank >= 1; --rank) {
    std::vector<double> durations_ns;
    PassList used;
    for (const PassLaunches& one : launches_) {
      const auto& tier = tiers[rank];
      if (std::find(tier.begin(), tier.end(), one.pass) == tier.end()) continue;
      const TextColumn kernel(*one.launches, "kernel");
      const NumberColumn duration(*one.launches, "duration_ns");
      if (!kernel) continue;
      const auto is = kernel.Words([&](absl::string_view word) { return word == kernel_; });
      const size_t before = durations_ns.size();
      for (uint64_t row = 0; row < one.launches->rows(); ++row)
        if (is[kernel.Word(row)] && duration.Positive(row) > 0) durations_ns.push_back(duration[row]);
      if (durations_ns.size() > before) used.push_back(one.pass);
    }
    if (durations_ns.empty()) continue;
    std::map<std::string, v1::PassSet> sets;
    for (const v1::PassInfo* pass : used) {
      v1::PassSet& set = sets[KindOfPass(MeasuredAs(*pass))];
      set.add_pass_ids(pass->pass_id());
      set.set_used_for("time of the kernel");
    }
    for (auto& [kind, set] : sets) {
      set.set_backend(kind);
      *basis->add_passes() = std::move(set);
    }
    if (rank == 1)
      basis->add_notes("no clean pass timed the kernel: its time is that of instrumented passes; add --pass "
                       "activity:light=1*5");
    return durations_ns;
  }
  return {};
}

Evidence::LaunchRow Evidence::AnyLaunch() const {
  LaunchRow best;
  std::pair<int, int> best_rank = {-1, -1};
  for (const PassLaunches& one : launches_) {
    if (!EndedWell(*one.pass) || one.pass->result().provenance().machine_class() != machine_class_) continue;
    const TextColumn kernel(*one.launches, "kernel"), code(*one.launches, "sass_digest");
    if (!kernel) continue;
    for (uint64_t row = 0; row < one.launches->rows(); ++row) {
      if (kernel[row] != kernel_) continue;
      const std::pair<int, int> rank = {!code_.empty() && code[row] == code_ ? 1 : 0, TimeRank(*one.pass)};
      if (rank <= best_rank) continue;
      best_rank = rank;
      best = {one.pass, one.launches, row};
    }
  }
  return best;
}

void Evidence::Begin(v1::Basis* basis) const {
  basis->set_job_id(task_.job_id());
  basis->set_task(task_.path());
  basis->set_kernel(kernel_);
  basis->set_sass_digest(code_);
  for (const double q : quantiles_) basis->add_quantiles(q);
}

std::string Evidence::PassFor(absl::string_view pass) const {
  const v1::Workload& workload = task_.spec().profile().workload();
  if (workload.argv().empty()) return std::string(pass);
  const absl::string_view program = workload.argv(0);
  const bool python = absl::StartsWith(program.substr(program.rfind('/') + 1), "python");   // npos + 1 is 0
  return python && (pass == "scopes" || absl::StartsWith(pass, "scopes*")) ? absl::StrCat("proton", pass.substr(6))
                                                                            : std::string(pass);
}

void Evidence::Abstain(absl::string_view question, absl::string_view why, absl::string_view pass,
                       v1::Basis* basis) const {
  for (const v1::Abstention& one : basis->abstentions())
    if (one.question() == std::string(question)) return;
  v1::Abstention* const out = basis->add_abstentions();
  out->set_question(std::string(question));
  out->set_why(std::string(why));
  out->set_pass(PassFor(pass));
  if (!pass.empty()) out->set_cost_s(ExpectedCostS(out->pass(), passes_));
}

}  // namespace sextant::analysis
