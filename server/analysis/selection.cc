#include "server/analysis/selection.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/chunk/chunk.h"

namespace sextant::analysis {
namespace {

using Group = std::tuple<std::string, std::map<std::string, std::string>, std::string>;

Group GroupOf(const v1::PassInfo& pass) {
  const v1::PassSpec& spec = MeasuredAs(pass);
  return {spec.backend(),
          {spec.options().begin(), spec.options().end()},
          pass.result().provenance().machine_class()};
}

// Regions inside kernels say more than those of threads, these more than launches.
int Rank(const Group& group) {
  const std::string& backend = std::get<0>(group);
  if (backend == "scopes" || backend == "proton") return 2;
  return backend == "activity" ? 0 : 1;
}

std::string Describe(const Group& group) {
  const auto& [backend, options, machine] = group;
  std::string text = absl::StrCat("backend ", backend);
  if (!options.empty())
    absl::StrAppend(&text, " with ", absl::StrJoin(options, ",", absl::PairFormatter("=")));
  return absl::StrCat(text, " on ", machine.empty() ? "an unnamed machine class" : machine);
}

std::string NameOf(const Group& group) {
  const auto& [backend, options, machine] = group;
  std::string key = absl::StrCat(backend.size(), ":", backend, machine.size(), ":", machine);
  for (const auto& [name, value] : options)
    absl::StrAppend(&key, name.size(), ":", name, value.size(), ":", value);
  return absl::StrCat(backend, ":", absl::BytesToHexString(chunk::Digest(key)).substr(0, 32));
}

std::string Ordinals(const std::vector<const v1::PassInfo*>& passes) {
  constexpr size_t kShown = 8;
  std::vector<uint32_t> shown;
  for (const v1::PassInfo* pass : passes)
    if (shown.size() < kShown) shown.push_back(pass->ordinal());
  return absl::StrCat(passes.size() == 1 ? "pass " : "passes ", absl::StrJoin(shown, ", "),
                      passes.size() > kShown ? " …" : "");
}

}  // namespace

absl::StatusOr<Selection> SelectPasses(absl::Span<const v1::PassInfo> passes,
                                       absl::string_view backend,
                                       absl::FunctionRef<bool(const v1::PassInfo&)> disturbed) {
  std::vector<const v1::PassInfo*> unfinished, cancelled, failed, partial, without_trace, changed;
  std::map<Group, std::vector<const v1::PassInfo*>> groups;
  size_t considered = 0;
  std::set<std::string> backends;
  for (const v1::PassInfo& pass : passes) {
    const std::string& measured = MeasuredAs(pass).backend();
    backends.insert(measured);
    if (!backend.empty() && measured != std::string(backend)) continue;
    ++considered;
    if (pass.state() == v1::CANCELLED) {
      cancelled.push_back(&pass);
    } else if (pass.state() == v1::FAILED || (pass.has_result() && pass.result().has_failure())) {
      failed.push_back(&pass);
    } else if (pass.state() != v1::DONE || !pass.has_result()) {
      unfinished.push_back(&pass);
    } else if (pass.result().partial()) {
      partial.push_back(&pass);
    } else if (pass.result().trace_digest().empty()) {
      without_trace.push_back(&pass);
    } else if (disturbed(pass)) {
      changed.push_back(&pass);
    } else {
      groups[GroupOf(pass)].push_back(&pass);
    }
  }

  if (groups.empty()) {
    if (considered == 0 && !passes.empty())
      return absl::FailedPreconditionError(
          absl::StrCat("no pass of backend ", std::string(backend), "; this task's passes use: ",
                       absl::StrJoin(backends, ", ")));
    if (considered == 0)
      return absl::FailedPreconditionError(
          "no pass is planned yet: the task waits for its inputs; `sextant job --explain` says for "
          "which");
    if (!failed.empty()) {
      const v1::Failure& failure = failed.front()->result().failure();
      return absl::FailedPreconditionError(absl::StrCat(
          failed.size(), " of ", considered, " passes failed and none ended well; pass ",
          failed.front()->pass_id(), ": ", failure.message(),
          failure.remedy().empty() ? "" : absl::StrCat(" (", failure.remedy(), ")"),
          "; `sextant logs` shows what the program printed"));
    }
    if (!changed.empty())
      return absl::FailedPreconditionError(
          "every pass lengthened its kernels more than twofold, so its times say little of the "
          "program; `sextant report` has the certificates, --include-disturbed joins them all the "
          "same");
    if (!partial.empty())
      return absl::FailedPreconditionError(
          "every pass ended early and its recording is partial; `sextant logs` shows why, "
          "`sextant export` gives what was recorded");
    if (!unfinished.empty())
      return absl::FailedPreconditionError(
          absl::StrCat("no pass has ended yet: ", unfinished.size(),
                       " are queued or running; ask again, or follow with `sextant watch`"));
    if (!without_trace.empty())
      return absl::FailedPreconditionError(
          absl::StrCat("no pass recorded regions: backend ", MeasuredAs(*without_trace.front()).backend(),
                       " leaves no trace; use one that does, such as `--pass host`"));
    return absl::FailedPreconditionError("every pass was cancelled; submit the job again");
  }

  Selection selection;
  const auto best = std::max_element(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    const int rank_a = Rank(a.first), rank_b = Rank(b.first);
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a.second.size() != b.second.size()) return a.second.size() < b.second.size();
    return a.second.front()->ordinal() > b.second.front()->ordinal();
  });
  selection.joined = best->second;
  selection.group = NameOf(best->first);
  std::sort(selection.joined.begin(), selection.joined.end(),
            [](const auto* a, const auto* b) { return a->ordinal() < b->ordinal(); });
  const auto leave_out = [&](const std::vector<const v1::PassInfo*>& left, absl::string_view why) {
    if (left.empty()) return;
    selection.left_out += left.size();
    selection.notes.push_back(absl::StrCat(Ordinals(left), " left out: ", std::string(why)));
  };
  for (const auto& [group, members] : groups)
    if (&group != &best->first)
      leave_out(members, absl::StrCat("measured differently, by ", Describe(group)));
  leave_out(changed, "they lengthened kernels more than twofold (--include-disturbed joins them)");
  leave_out(failed, "failed");
  leave_out(partial, "ended early, the recording is partial");
  leave_out(cancelled, "cancelled");
  leave_out(without_trace, "no trace");
  if (!unfinished.empty()) {
    selection.left_out += unfinished.size();
    selection.notes.push_back(
        absl::StrCat(unfinished.size(), " passes are still queued or running"));
  }
  return selection;
}

bool IsReading(absl::string_view name) {
  return absl::EndsWith(name, "_before") || absl::EndsWith(name, "_after") ||
         absl::EndsWith(name, "_j") || absl::EndsWith(name, "_ms");
}

std::vector<v1::Provenance> DistinctProvenance(absl::Span<const v1::PassInfo* const> passes) {
  std::vector<v1::Provenance> distinct;
  std::set<std::string> seen;
  for (const v1::PassInfo* pass : passes) {
    v1::Provenance provenance = pass->result().provenance();
    v1::Provenance comparable = provenance;
    comparable.clear_started_unix_ns();
    comparable.clear_load_average();
    comparable.clear_clock_hz();   // calibrated anew by each pass
    std::map<std::string, std::string> extra(comparable.extra().begin(), comparable.extra().end());
    comparable.clear_extra();
    std::string key = comparable.SerializeAsString();
    for (const auto& [name, value] : extra)
      if (!IsReading(name)) absl::StrAppend(&key, "\n", name, "=", value);
    if (seen.insert(key).second) distinct.push_back(std::move(provenance));
  }
  return distinct;
}

}  // namespace sextant::analysis
