#include "server/analysis/measured.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/bootstrap.h"
#include "server/analysis/evidence.h"
#include "server/analysis/pass_kind.h"
#include "server/analysis/perturbation.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

using Passes = std::vector<const v1::PassInfo*>;
using ByClass = std::map<std::string, Passes>;
using Kinds = std::map<std::string, ByClass>;   // by kind, then machine class

Kinds KindsOf(absl::Span<const v1::PassInfo> passes) {
  Kinds kinds;
  for (const v1::PassInfo& pass : passes)
    if (EndedWell(pass))
      kinds[KindOfPass(MeasuredAs(pass))][pass.result().provenance().machine_class()].push_back(&pass);
  return kinds;
}

size_t Largest(const ByClass& classes) {
  size_t most = 0;
  for (const auto& [name, passes] : classes) most = std::max(most, passes.size());
  return most;
}

std::string NamesOf(const Kinds& kinds) {
  std::vector<std::string> names;
  for (const auto& [name, classes] : kinds)
    if (names.size() < 8) names.push_back(name);
  return absl::StrCat(absl::StrJoin(names, ", "), kinds.size() > names.size() ? ", …" : "");
}

// The class that both have most passes of; without one, each side's largest.
PassPair Choose(const std::string& kind, const ByClass& a, const ByClass& b) {
  const Passes *best_a = nullptr, *best_b = nullptr;
  for (const auto& [name, passes] : a) {
    const auto other = b.find(name);
    if (other == b.end()) continue;
    if (best_a == nullptr || std::min(passes.size(), other->second.size()) >
                                 std::min(best_a->size(), best_b->size())) {
      best_a = &passes;
      best_b = &other->second;
    }
  }
  const auto largest = [](const ByClass& classes) {
    const size_t most = Largest(classes);
    for (const auto& [name, passes] : classes)
      if (passes.size() == most) return &passes;
    return &classes.begin()->second;
  };
  if (best_a == nullptr) {
    best_a = largest(a);
    best_b = largest(b);
  }
  return {kind, MeasuredAs(*best_a->front()).backend(), *best_a, *best_b};
}

size_t Fewest(const PassPair& pair) { return std::min(pair.a.size(), pair.b.size()); }

// The best pair by `rank` (below 0: not to be used), then with the most passes.
template <typename Rank>
const PassPair* Best(const std::vector<PassPair>& pairs, Rank rank) {
  const PassPair* best = nullptr;
  int best_rank = -1;
  for (const PassPair& pair : pairs) {
    const int r = rank(pair);
    if (r < 0 || r < best_rank) continue;
    if (best != nullptr && r == best_rank && Fewest(pair) <= Fewest(*best)) continue;
    best = &pair;
    best_rank = r;
  }
  return best;
}

bool BothHave(const PassPair& pair, bool (*holds)(const v1::PassInfo&)) {
  const auto each = [holds](const v1::PassInfo* pass) { return holds(*pass); };
  return std::any_of(pair.a.begin(), pair.a.end(), each) &&
         std::any_of(pair.b.begin(), pair.b.end(), each);
}

// Reads one side.
class Side {
 public:
  Side(const PassTables& tables, trace::Reader* reader, const JobPasses& job)
      : tables_(tables), reader_(reader), job_(job) {
    if (job.passes.empty()) return;
    out_.job_id = job.passes[0].job_id();
    out_.task = job.passes[0].task();
  }

  absl::Status ReadLaunches(const Passes& passes) {
    for (const v1::PassInfo* pass : passes) {
      auto table = ReadTable(*pass, "launches");
      if (absl::IsNotFound(table.status())) continue;
      RETURN_IF_ERROR(table.status());
      AddLaunches(**table);
      Use(*pass);
    }
    return absl::OkStatus();
  }

  absl::Status ReadRegions(const Passes& passes) {
    uint32_t disturbed = 0, gone = 0;
    for (const v1::PassInfo* pass : passes) {
      if (pass->result().trace_digest().empty()) continue;
      if (Disturbed(job_.certificates, pass->pass_id())) {
        ++disturbed;
        continue;
      }
      auto rollup = reader_->ReadRollup(pass->result().trace_digest(), false);
      if (absl::IsNotFound(rollup.status())) {
        ++gone;
        continue;
      }
      RETURN_IF_ERROR(rollup.status(), "reading the rollup of pass ", pass->pass_id());
      ASSIGN_OR_RETURN(const trace::TraceSummary summary,
                       reader_->Summarize(pass->result().trace_digest()));
      AddRegions(*rollup, summary);
      Use(*pass);
    }
    if (disturbed > 0)
      out_.notes.push_back(absl::StrCat("the regions of ", disturbed,
                                        " passes are left out: they lengthened kernels more than "
                                        "twofold"));
    if (gone > 0)
      out_.notes.push_back(absl::StrCat("the regions of ", gone, " passes are left out: retention "
                                        "removed their traces; run the job again with --fresh"));
    return absl::OkStatus();
  }

  void ReadWall(const Passes& passes) {
    for (const v1::PassInfo* pass : passes) {
      if (pass->result().has_replayed() || !(pass->result().exit().wall_s() > 0)) continue;
      Add({QuantityKind::kProgram, "wall"}, "ns", "of the process", pass->result().exit().wall_s() * 1e9);
      Use(*pass);
    }
  }

  using Counters = std::map<QuantityName, Quantity>;

  // One value for each counter and pass: that of the table where a pass left it twice.
  absl::StatusOr<Counters> ReadCounters(const Passes& passes) {
    Counters found;
    for (const v1::PassInfo* pass : passes) {
      Counters here;
      if (PassTables::HasTable(*pass, "counters")) {
        auto table = ReadTable(*pass, "counters");
        if (table.ok()) AddCounters(**table, &here);
        else if (!absl::IsNotFound(table.status())) return table.status();
      }
      for (const v1::Counter& counter : pass->result().counters()) {
        const QuantityName name{QuantityKind::kCounter, counter.name(), counter.role(),
                                counter.kernel(), counter.region()};
        if (!here.contains(name)) AddTo(&here, name, counter.unit(), "sum", counter.value());
      }
      if (!here.empty()) Use(*pass);
      for (const auto& [name, one] : here)
        AddTo(&found, name, one.unit, one.statistic, one.values.front());
    }
    return found;
  }
  void Keep(Counters counters) { out_.quantities.merge(counters); }

  Measured Finish() {
    out_.provenance = DistinctProvenance(used_);
    return std::move(out_);
  }

 private:
  absl::StatusOr<Table> ReadTable(const v1::PassInfo& pass, const char* name) {
    auto table = tables_.Read(pass, name);
    if (absl::IsNotFound(table.status()))
      out_.notes.push_back(absl::StrCat("pass ", pass.pass_id(), ": its table ", name, " is gone"));
    return table;
  }

  void Use(const v1::PassInfo& pass) {
    if (std::find(used_.begin(), used_.end(), &pass) != used_.end()) return;
    used_.push_back(&pass);
    const bool elsewhere = pass.source() == v1::CACHED || pass.source() == v1::MERGED;
    out_.runs.insert(elsewhere && pass.source_pass_id() > 0 ? pass.source_pass_id() : pass.pass_id());
  }

  static Quantity* AddTo(std::map<QuantityName, Quantity>* to, const QuantityName& name,
                         const std::string& unit, const std::string& statistic, double value) {
    if (!std::isfinite(value)) return nullptr;
    Quantity& quantity = (*to)[name];
    quantity.unit = unit;
    quantity.statistic = statistic;
    quantity.values.push_back(value);
    return &quantity;
  }
  Quantity* Add(const QuantityName& name, const std::string& unit, const std::string& statistic, double value) {
    return AddTo(&out_.quantities, name, unit, statistic, value);
  }

  void AddLaunches(const v1::DataTable& launches) {
    const v1::DataColumn* kernel = table::Find(launches, "kernel");
    const v1::DataColumn* duration = table::Find(launches, "duration_ns");
    const v1::DataColumn* code = table::Find(launches, "sass_digest");
    if (kernel == nullptr || duration == nullptr || kernel->texts().empty()) return;
    std::map<std::string, std::vector<double>> durations_ns;
    double sum_ns = 0;
    for (uint64_t row = 0; row < launches.rows(); ++row) {
      const double ns = table::NumberAt(*duration, row);
      if (!(ns > 0)) continue;
      const std::string name(table::TextAt(*kernel, row));
      durations_ns[name].push_back(ns);
      sum_ns += ns;
      if (code != nullptr && !code->texts().empty())
        if (const auto digest = table::TextAt(*code, row); !digest.empty())
          out_.codes[name].emplace(digest);
    }
    if (durations_ns.empty()) return;
    Add({QuantityKind::kProgram, "kernel time"}, "ns", "sum of launches", sum_ns);
    for (const auto& [name, values] : durations_ns) {
      Quantity* quantity =
          Add({QuantityKind::kKernel, name}, "ns", "median of launches", Median(values));
      if (quantity == nullptr) continue;
      for (const double ns : values) quantity->time += ns;
      quantity->observations += static_cast<double>(values.size());
    }
  }

  void AddRegions(const trace::Rollup& rollup, const trace::TraceSummary& summary) {
    const double ns = rollup.unit() == v1::CYCLES
                          ? (rollup.min_ns_per_unit() + rollup.max_ns_per_unit()) / 2
                          : 1.0;
    for (const trace::Series& series : rollup.series()) {
      if (series.totals.count == 0) continue;
      const double sum_ns = static_cast<double>(series.totals.sum) * ns;
      Quantity* quantity =
          Add({QuantityKind::kRegion, series.region, series.role}, "ns", "sum of instances", sum_ns);
      if (quantity == nullptr) continue;
      quantity->time += sum_ns;
      quantity->observations += static_cast<double>(series.totals.count);
    }
    if (summary.events > 0)
      Add({QuantityKind::kProgram, "span"}, "ns", "of the trace",
          static_cast<double>(summary.last_ns - summary.first_ns));
  }

  static void AddCounters(const v1::DataTable& counters, std::map<QuantityName, Quantity>* to) {
    const v1::DataColumn* launch = table::Find(counters, "launch");
    const v1::DataColumn* kernel = table::Find(counters, "kernel");
    const v1::DataColumn* metric = table::Find(counters, "metric");
    const v1::DataColumn* unit = table::Find(counters, "unit");
    const v1::DataColumn* value = table::Find(counters, "value");
    if (launch == nullptr || kernel == nullptr || metric == nullptr || value == nullptr ||
        kernel->texts().empty() || metric->texts().empty())
      return;
    struct Seen {
      std::vector<double> launches;
      double of_all = NAN;
      std::string unit;
    };
    std::map<std::pair<std::string, std::string>, Seen> all;
    for (uint64_t row = 0; row < counters.rows(); ++row) {
      const double number = table::NumberAt(*value, row);
      if (!std::isfinite(number)) continue;
      Seen& seen = all[{std::string(table::TextAt(*kernel, row)), std::string(table::TextAt(*metric, row))}];
      if (unit != nullptr && !unit->texts().empty()) seen.unit = table::TextAt(*unit, row);
      if (table::NumberAt(*launch, row) < 0) seen.of_all = number;
      else seen.launches.push_back(number);
    }
    for (const auto& [name, seen] : all)
      AddTo(to, {QuantityKind::kCounter, name.second, "", name.first, ""}, seen.unit,
            seen.launches.empty() ? "of all launches" : "median of launches",
            seen.launches.empty() ? seen.of_all : Median(seen.launches));
  }

  const PassTables& tables_;
  trace::Reader* const reader_;
  const JobPasses& job_;
  Passes used_;
  Measured out_;
};

}  // namespace

absl::StatusOr<std::vector<PassPair>> PairPasses(const JobPasses& a, const JobPasses& b,
                                                 std::vector<std::string>* notes) {
  const Kinds before = KindsOf(a.passes), after = KindsOf(b.passes);
  // Says for either job what is missing: none planned, none ended, all failed.
  for (const auto& [letter, kinds, passes] :
       {std::tuple{"job_a", &before, a.passes}, std::tuple{"job_b", &after, b.passes}}) {
    if (!kinds->empty()) continue;
    const absl::Status why = SelectPasses(passes, "").status();
    return absl::FailedPreconditionError(absl::StrCat(letter, ": ", why.message()));
  }
  std::vector<PassPair> pairs;
  for (const auto& [kind, classes] : before) {
    const auto other = after.find(kind);
    if (other == after.end()) {
      notes->push_back(absl::StrCat("B has no passes of kind ", kind, ": not compared"));
      continue;
    }
    pairs.push_back(Choose(kind, classes, other->second));
    for (const auto& [letter, all, used] :
         {std::tuple{"A", &classes, &pairs.back().a}, std::tuple{"B", &other->second, &pairs.back().b}}) {
      size_t total = 0;
      for (const auto& [name, passes] : *all) total += passes.size();
      if (total > used->size())
        notes->push_back(absl::StrCat(letter, ": ", total - used->size(), " passes of kind ", kind,
                                      " are left out: another machine class"));
    }
  }
  for (const auto& [kind, classes] : after)
    if (!before.contains(kind))
      notes->push_back(absl::StrCat("A has no passes of kind ", kind, ": not compared"));
  if (pairs.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("job_b: the jobs have no kind of pass in common: A has ", NamesOf(before),
                     ", B has ", NamesOf(after), "; run both with the same --pass"));
  return pairs;
}

absl::StatusOr<MeasuredPair> Measure(const PassTables& tables, trace::Reader* reader,
                                     const JobPasses& a, const JobPasses& b,
                                     absl::string_view backend) {
  std::vector<std::string> notes;
  ASSIGN_OR_RETURN(const std::vector<PassPair> pairs, PairPasses(a, b, &notes));
  Side before(tables, reader, a), after(tables, reader, b);

  const PassPair* const launches = Best(pairs, [](const PassPair& pair) {
    if (!TimesKernels(pair.backend) ||
        !BothHave(pair, [](const v1::PassInfo& pass) { return PassTables::HasTable(pass, "launches"); }))
      return -1;
    return IsCleanPass(*pair.a.front()) ? 2 : pair.backend == "activity" ? 1 : 0;
  });
  if (launches != nullptr) {
    RETURN_IF_ERROR(before.ReadLaunches(launches->a));
    RETURN_IF_ERROR(after.ReadLaunches(launches->b));
    if (launches->backend != "activity")
      notes.push_back(absl::StrCat("kernels were timed by passes of kind ", launches->kind,
                                   ", which disturb them; add --pass activity:light=1*5"));
  }

  const PassPair* const regions = Best(pairs, [&](const PassPair& pair) {
    if (!BothHave(pair, [](const v1::PassInfo& pass) { return !pass.result().trace_digest().empty(); }))
      return -1;
    if (!backend.empty()) return pair.backend == backend ? 0 : -1;
    if (pair.backend == "activity") return -1;   // its regions are launches
    return pair.backend == "scopes" || pair.backend == "proton" ? 1 : 0;
  });
  if (regions != nullptr) {
    RETURN_IF_ERROR(before.ReadRegions(regions->a));
    RETURN_IF_ERROR(after.ReadRegions(regions->b));
  } else if (!backend.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("backend: the jobs have no traces of ", backend,
                     " passes of the same options in common; leave it empty, or run both with it"));
  }

  const PassPair* const wall = Best(pairs, [](const PassPair& pair) {
    if (!BothHave(pair, [](const v1::PassInfo& pass) { return !pass.result().has_replayed(); })) return -1;
    return pair.backend == "run" ? 3 : IsCleanPass(*pair.a.front()) ? 2 : pair.backend == "host" ? 1 : 0;
  });
  if (wall != nullptr) {
    before.ReadWall(wall->a);
    after.ReadWall(wall->b);
  }

  std::set<QuantityName> claimed;   // by an earlier kind of pass: kinds never mix
  for (const PassPair& pair : pairs) {
    ASSIGN_OR_RETURN(auto counters_a, before.ReadCounters(pair.a));
    ASSIGN_OR_RETURN(auto counters_b, after.ReadCounters(pair.b));
    std::set<QuantityName> here;
    for (auto* counters : {&counters_a, &counters_b}) {
      std::erase_if(*counters, [&](const auto& one) { return claimed.contains(one.first); });
      for (const auto& [name, quantity] : *counters) here.insert(name);
    }
    claimed.merge(here);
    before.Keep(std::move(counters_a));
    after.Keep(std::move(counters_b));
  }
  return MeasuredPair{before.Finish(), after.Finish(), std::move(notes)};
}

}  // namespace sextant::analysis
