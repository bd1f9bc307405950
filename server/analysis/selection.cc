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
#include "server/analysis/pass_kind.h"

namespace sextant::analysis {
namespace {

using Group = std::tuple<std::string, std::map<std::string, std::string>, std::string>;

// The parts of split scopes are one group: each region is in those of one part.
Group GroupOf(const v1::PassInfo& pass) {
  const v1::PassSpec& spec = MeasuredAs(pass);
  std::map<std::string, std::string> options(spec.options().begin(), spec.options().end());
  if (RegionsAreSpread(spec)) options.erase("part");
  return {spec.backend(), std::move(options), pass.result().provenance().machine_class()};
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

std::string Few(const std::vector<std::string>& names) {
  constexpr size_t kShown = 6;
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + std::min(names.size(), kShown), ", "),
                      names.size() > kShown ? ", …" : "");
}

// One set for each kind of pass.
void AddSet(const std::vector<const v1::PassInfo*>& passes, const std::string& used_for,
            const std::string& left_out, Selection* selection) {
  std::map<std::string, v1::PassSet> kinds;
  for (const v1::PassInfo* pass : passes) {
    const std::string kind = KindOfPass(MeasuredAs(*pass));
    v1::PassSet& set = kinds[kind];
    set.set_backend(kind);
    set.set_used_for(used_for);
    set.set_left_out(left_out);
    set.add_pass_ids(pass->pass_id());
  }
  for (auto& [kind, set] : kinds) selection->sets.push_back(std::move(set));
  if (!left_out.empty()) selection->left_out += static_cast<uint32_t>(passes.size());
}

}  // namespace

absl::StatusOr<Selection> SelectPasses(absl::Span<const v1::PassInfo> passes,
                                       absl::string_view backend,
                                       absl::FunctionRef<bool(const v1::PassInfo&)> disturbed,
                                       const AllTraits& traits) {
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
  const auto by_ordinal = [](const auto* a, const auto* b) { return a->ordinal() < b->ordinal(); };
  std::sort(best->second.begin(), best->second.end(), by_ordinal);
  Agreement agreement = Agree(best->second, traits);
  selection.joined = std::move(agreement.joined);
  selection.group = NameOf(best->first);
  // What was merged once under a name stays merged: a part of the group has a name of its own.
  const bool part = !agreement.left_out.empty() ||
                    std::any_of(changed.begin(), changed.end(), [&](const v1::PassInfo* pass) {
                      return GroupOf(*pass) == best->first;
                    });
  if (part) {
    std::string ids;
    for (const v1::PassInfo* pass : selection.joined) absl::StrAppend(&ids, pass->pass_id(), ",");
    absl::StrAppend(&selection.group, ":",
                    absl::BytesToHexString(chunk::Digest(ids)).substr(0, 16));
  }
  AddSet(selection.joined, "time", "", &selection);
  const auto leave_out = [&](const std::vector<const v1::PassInfo*>& left, const std::string& why) {
    if (left.empty()) return;
    selection.notes.push_back(absl::StrCat(Ordinals(left), " left out: ", why));
    AddSet(left, "", why, &selection);
  };
  for (const auto& [why, left] : agreement.left_out) leave_out(left, why);
  if (groups.size() == 2) {
    for (const auto& [group, members] : groups)
      if (&group != &best->first)
        leave_out(members, absl::StrCat("measured differently, by ", Describe(group)));
  } else if (groups.size() > 2) {
    std::vector<std::string> others;
    size_t total = 0;
    for (const auto& [group, members] : groups) {
      if (&group == &best->first) continue;
      AddSet(members, "", absl::StrCat("measured differently, by ", Describe(group)), &selection);
      total += members.size();
      const std::string& backend = std::get<0>(group);
      if (others.empty() || others.back() != backend) others.push_back(backend);
    }
    selection.notes.push_back(absl::StrCat(total, " passes of ", groups.size() - 1,
                                           " other kinds are not joined: ", Few(others)));
  }
  leave_out(changed, "they lengthened kernels more than twofold (--include-disturbed joins them)");
  leave_out(failed, "failed");
  leave_out(partial, "ended early, the recording is partial");
  leave_out(cancelled, "cancelled");
  if (!without_trace.empty()) {
    AddSet(without_trace, "", "no trace", &selection);
    std::set<std::string> kinds;
    for (const v1::PassInfo* pass : without_trace) kinds.insert(MeasuredAs(*pass).backend());
    selection.notes.push_back(without_trace.size() == 1
                                  ? absl::StrCat(Ordinals(without_trace), " left out: no trace")
                                  : absl::StrCat(without_trace.size(), " passes left no trace: ",
                                                 Few({kinds.begin(), kinds.end()})));
  }
  if (!unfinished.empty()) {
    AddSet(unfinished, "", "still queued or running", &selection);
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
