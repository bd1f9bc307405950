#include "server/analysis/compare.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/analysis/bootstrap.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

constexpr char kFaster[] = "faster";
constexpr char kSlower[] = "slower";
constexpr char kSame[] = "no difference";
constexpr char kOpen[] = "inconclusive";

std::string Percent(double fraction) {
  const double percent = 100 * fraction;
  return std::abs(percent) >= 10 ? absl::StrFormat("%+.0f %%", percent) : absl::StrFormat("%+.2g %%", percent);
}
std::string Plain(double fraction) {
  const double percent = 100 * fraction;
  return percent >= 10 ? absl::StrFormat("%.0f %%", percent) : absl::StrFormat("%.2g %%", percent);
}

const char* KindText(QuantityKind kind) {
  switch (kind) {
    case QuantityKind::kProgram: return "program";
    case QuantityKind::kKernel: return "kernel";
    case QuantityKind::kRegion: return "region";
    case QuantityKind::kCounter: return "counter";
  }
  return "";
}

// The passes of each job after which the interval's half would be the gate, if it shrinks with the
// square root of their number.
std::string MorePasses(const v1::Delta& delta, double gate) {
  const double half = (delta.high() - delta.low()) / 2;
  const double wanted = std::ceil(std::max(delta.passes_a(), delta.passes_b()) *
                                  (half / gate) * (half / gate));
  if (!(wanted <= 1000)) return "more than 1000 passes of each would be needed";
  return absl::StrFormat("about %.0f passes of each would be needed",
                         std::max<double>(wanted, 1 + std::max(delta.passes_a(), delta.passes_b())));
}

std::string Grouped(const char* job, const Quantity& quantity) {
  const auto groups = TwoGroups(quantity.values);
  if (!groups.has_value()) return "";
  return absl::StrFormat("; %s's passes fall into two groups, around %.4g and %.4g %s", job,
                         groups->first, groups->second, quantity.unit);
}

void Judge(const Quantity& a, const Quantity& b, const CompareOptions& options, bool counter,
           v1::Delta* out) {
  const auto say = [out](const char* verdict, std::string why) {
    out->set_verdict(verdict);
    out->set_why(std::move(why));
  };
  if (a.values.empty() || b.values.empty())
    return say(kOpen, a.values.empty() ? "not in A" : "not in B");
  if (std::isnan(out->relative())) return say(kOpen, "A's value is 0: no relative change");
  if (const size_t fewest = std::min(a.values.size(), b.values.size()); fewest < kMinPasses)
    return say(kOpen, absl::StrCat("A has ", a.values.size(), " and B has ", b.values.size(),
                                   " passes with it; at least ", kMinPasses,
                                   " of each are needed"));
  const double gate = options.gate, noise = out->noise_floor();
  const double low = out->low(), high = out->high(), change = out->relative();
  const std::string groups = absl::StrCat(Grouped("A", a), Grouped("B", b));
  if (std::isnan(low) || std::isnan(noise))
    return say(kOpen, absl::StrCat("half of A's passes have the value 0", groups));
  const bool apart = low > 0 || high < 0;
  if (apart && std::abs(change) > gate && std::abs(change) > noise) {
    const char* verdict = counter ? (change > 0 ? "higher" : "lower") : (change > 0 ? kSlower : kFaster);
    return say(verdict, absl::StrCat(Percent(change), ", above the gate of ", Plain(gate),
                                     " and A's noise of ", Plain(noise), groups));
  }
  if (low >= -gate && high <= gate)
    return say(kSame, absl::StrCat("within ", Plain(gate), groups));
  if (apart && std::abs(change) > gate)
    return say(kOpen, absl::StrCat(Percent(change), " is within what A shows against itself, ",
                                   Plain(noise), groups));
  say(kOpen, absl::StrCat("may be ", Percent(low), " to ", Percent(high), ": ",
                          MorePasses(*out, gate), " to tell ", Plain(gate), groups));
}

v1::Delta MakeDelta(const QuantityName& name, const Quantity* a, const Quantity* b,
                    const CompareOptions& options, Bootstrap* bootstrap) {
  static const Quantity nothing;
  const Quantity& any = a != nullptr ? *a : *b;
  const Quantity& before = a != nullptr ? *a : nothing;
  const Quantity& after = b != nullptr ? *b : nothing;
  const bool same_unit = a == nullptr || b == nullptr || before.unit == after.unit;
  v1::Delta out;
  out.set_kind(KindText(name.kind));
  out.set_name(name.name);
  out.set_role(name.role);
  out.set_kernel(name.kernel);
  out.set_region(name.region);
  out.set_unit(any.unit);
  out.set_statistic(any.statistic);
  out.set_passes_a(before.values.size());
  out.set_passes_b(after.values.size());
  if (!before.values.empty()) out.set_a(Median(before.values));
  if (!after.values.empty()) out.set_b(Median(after.values));
  const Change change = same_unit ? bootstrap->ChangeOf(before.values, after.values)
                                  : bootstrap->ChangeOf({}, {});
  out.set_relative(change.relative);
  out.set_low(change.low);
  out.set_high(change.high);
  out.set_noise_floor(bootstrap->NoiseFloor(before.values));
  if (!same_unit) {
    out.set_verdict(kOpen);
    out.set_why(absl::StrCat("units differ: ", before.unit, " and ", after.unit));
    return out;
  }
  Judge(before, after, options, name.kind == QuantityKind::kCounter, &out);
  const bool counted = before.observations > 0 && after.observations > 0 &&
                       before.values.size() > 0 && after.values.size() > 0;
  const double each_a = before.observations / std::max<size_t>(before.values.size(), 1);
  const double each_b = after.observations / std::max<size_t>(after.values.size(), 1);
  if (counted && each_a != each_b)
    out.set_why(absl::StrFormat("%s; %.6g → %.6g %s a pass", out.why(), each_a, each_b,
                                name.kind == QuantityKind::kKernel ? "launches" : "instances"));
  return out;
}

// ---- environment -------------------------------------------------------------------------------

using Fields = std::map<std::string, std::set<std::string>>;

Fields FieldsOf(const Measured& job) {
  Fields fields;
  const auto add = [&fields](const std::string& what, const std::string& value) {
    if (!value.empty()) fields[what].insert(value);
  };
  for (const v1::Provenance& one : job.provenance) {
    fields["machine class"].insert(one.machine_class().empty() ? "unnamed" : one.machine_class());
    add("machine", one.machine_id());
    add("processor", one.cpu_cores() > 0 ? absl::StrCat(one.cpu_model(), ", ", one.cpu_cores(), " cores")
                                         : one.cpu_model());
    add("operating system", one.kernel());
    add("sandbox", one.sandbox());
    add("device", one.device());
    add(absl::StrCat("tool of ", one.backend()), one.tool_digest().substr(0, 16));
    for (const auto& [name, value] : one.extra())
      if (!IsReading(name)) add(name, value);
  }
  for (const auto& [kernel, codes] : job.codes)
    for (const std::string& code : codes) add(absl::StrCat("code of ", kernel), code.substr(0, 16));
  return fields;
}

void CompareEnvironments(const Measured& a, const Measured& b, v1::Comparison* out) {
  const Fields before = FieldsOf(a), after = FieldsOf(b);
  std::set<std::string> names;
  for (const Fields* fields : {&before, &after})
    for (const auto& [name, values] : *fields) names.insert(name);
  std::vector<v1::EnvironmentDifference> others;
  for (const std::string& name : names) {
    const auto x = before.find(name), y = after.find(name);
    const std::string one = x == before.end() ? "" : absl::StrJoin(x->second, ", ");
    const std::string other = y == after.end() ? "" : absl::StrJoin(y->second, ", ");
    if (one == other) continue;
    // Kernels and tools that one job lacks are rows and notes.
    if ((one.empty() || other.empty()) && (name.starts_with("code of ") || name.starts_with("tool of ")))
      continue;
    v1::EnvironmentDifference difference;
    difference.set_what(name);
    difference.set_a(one);
    difference.set_b(other);
    difference.set_blocks(name == "machine class");
    if (difference.blocks()) *out->add_environment() = std::move(difference);
    else others.push_back(std::move(difference));
  }
  for (v1::EnvironmentDifference& one : others) *out->add_environment() = std::move(one);
}

// ---- overall -----------------------------------------------------------------------------------

std::string Named(const v1::Delta& row) {
  constexpr size_t kMost = 80;   // templates have long names
  std::string name = row.name();
  if (name.size() > kMost) {
    size_t end = kMost;
    while (end > 0 && (name[end] & 0xc0) == 0x80) --end;   // whole characters
    name = absl::StrCat(name.substr(0, end), "…");
  }
  return absl::StrCat(row.kind(), " ", row.role().empty() ? "" : absl::StrCat(row.role(), "/"), name);
}

bool Votes(const v1::Delta& row) {
  return (row.kind() == "kernel" || row.kind() == "region") &&
         std::max(row.share_a(), row.share_b()) >= kVotingShare;
}

void JudgeAll(const Measured& a, const Measured& b, const CompareOptions& options, v1::Comparison* out) {
  const auto say = [out](const char* verdict, std::string why) {
    out->set_verdict(verdict);
    out->set_why(std::move(why));
  };
  std::vector<int64_t> shared;
  std::set_intersection(a.runs.begin(), a.runs.end(), b.runs.begin(), b.runs.end(),
                        std::back_inserter(shared));
  if (!shared.empty())
    return say(kOpen, absl::StrCat(shared.size(), " passes are the same runs in both jobs (pass ",
                                   shared.front(), "): the cache answered; run B with --fresh"));
  if (!options.across_machines)
    for (const v1::EnvironmentDifference& one : out->environment())
      if (one.blocks())
        return say(kOpen, absl::StrCat(one.what(), " differs: ", one.a(), " and ", one.b(),
                                       "; --across-machines compares all the same"));
  const v1::Delta* first = nullptr;
  std::vector<const v1::Delta*> slower, faster, open;
  size_t voters = 0;
  for (const v1::Delta& row : out->deltas()) {
    const bool program = row.kind() == "program" && row.passes_a() > 0 && row.passes_b() > 0;
    if (program && first == nullptr) first = &row;
    if (&row != first && !Votes(row)) continue;
    ++voters;
    if (row.verdict() == kSlower) slower.push_back(&row);
    if (row.verdict() == kFaster) faster.push_back(&row);
    if (row.verdict() == kOpen) open.push_back(&row);
  }
  const auto described = [](const v1::Delta& row) { return absl::StrCat(Named(row), ": ", row.why()); };
  if (voters == 0) return say(kOpen, "the jobs have no time in common");
  if (first != nullptr && first->verdict() == kSlower) return say(kSlower, described(*first));
  if (first != nullptr && first->verdict() == kFaster)
    return say(kFaster, absl::StrCat(described(*first),
                                     slower.empty() ? "" : absl::StrCat("; yet ", Named(*slower.front()),
                                                                        " is slower")));
  if (!slower.empty()) return say(kSlower, described(*slower.front()));
  if (first != nullptr && first->verdict() == kSame) {
    std::string why = described(*first);
    if (!faster.empty()) absl::StrAppend(&why, "; ", Named(*faster.front()), " is faster");
    if (!open.empty())
      absl::StrAppend(&why, "; alone, ", open.size(), open.size() == 1 ? " row is" : " rows are",
                      " inconclusive, ", Named(*open.front()), " first");
    return say(kSame, std::move(why));
  }
  if (!open.empty())
    return say(kOpen, absl::StrCat(described(*open.front()),
                                   open.size() == 1 ? "" : absl::StrCat("; and ", open.size() - 1, " more rows")));
  if (!faster.empty()) return say(kFaster, described(*faster.front()));
  say(kSame, absl::StrCat("all ", voters, " rows that matter are within ", Plain(options.gate)));
}

struct Row {
  const QuantityName* name;
  const Quantity* a;
  const Quantity* b;
  double share_a = 0, share_b = 0;

  double weight() const { return std::max(share_a, share_b); }
};

// Kernels' shares are of all kernels' time; regions nest, so theirs are of the longest region.
std::vector<Row> Rows(const Measured& a, const Measured& b) {
  std::vector<Row> rows;
  for (const auto& [name, quantity] : a.quantities) {
    const auto other = b.quantities.find(name);
    rows.push_back({&name, &quantity, other == b.quantities.end() ? nullptr : &other->second});
  }
  for (const auto& [name, quantity] : b.quantities)
    if (!a.quantities.contains(name)) rows.push_back({&name, nullptr, &quantity});
  for (const QuantityKind kind : {QuantityKind::kKernel, QuantityKind::kRegion}) {
    double whole_a = 0, whole_b = 0;
    const auto add = [kind](double* whole, const Quantity* part) {
      if (part == nullptr) return;
      *whole = kind == QuantityKind::kKernel ? *whole + part->time : std::max(*whole, part->time);
    };
    for (const Row& row : rows)
      if (row.name->kind == kind) {
        add(&whole_a, row.a);
        add(&whole_b, row.b);
      }
    for (Row& row : rows)
      if (row.name->kind == kind) {
        if (row.a != nullptr && whole_a > 0) row.share_a = row.a->time / whole_a;
        if (row.b != nullptr && whole_b > 0) row.share_b = row.b->time / whole_b;
      }
  }
  std::sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) {
    if (x.name->kind != y.name->kind) return x.name->kind < y.name->kind;
    if (x.weight() != y.weight()) return x.weight() > y.weight();
    return *x.name < *y.name;
  });
  return rows;
}

}  // namespace

v1::Comparison Compare(const MeasuredPair& jobs, const CompareOptions& options) {
  const Measured &a = jobs.a, &b = jobs.b;
  v1::Comparison out;
  out.set_job_a(a.job_id);
  out.set_job_b(b.job_id);
  out.set_task_a(a.task);
  out.set_task_b(b.task);
  out.set_gate(options.gate);
  for (const v1::Provenance& one : a.provenance) *out.add_provenance_a() = one;
  for (const v1::Provenance& one : b.provenance) *out.add_provenance_b() = one;
  CompareEnvironments(a, b, &out);
  for (const std::string& note : jobs.notes) out.add_notes(note);
  for (const std::string& note : a.notes) out.add_notes(absl::StrCat("A: ", note));
  for (const std::string& note : b.notes) out.add_notes(absl::StrCat("B: ", note));
  std::vector<Row> rows = Rows(a, b);
  if (rows.size() > kMaxDeltas) {
    out.add_notes(absl::StrCat(rows.size() - kMaxDeltas, " of ", rows.size(),
                               " rows left out, the shortest kernels and regions and counters; at most ",
                               kMaxDeltas));
    rows.resize(kMaxDeltas);
  }
  Bootstrap bootstrap;
  for (const Row& row : rows) {
    v1::Delta delta = MakeDelta(*row.name, row.a, row.b, options, &bootstrap);
    delta.set_share_a(row.share_a);
    delta.set_share_b(row.share_b);
    *out.add_deltas() = std::move(delta);
  }
  JudgeAll(a, b, options, &out);
  return out;
}

}  // namespace sextant::analysis
