#include "server/analysis/critical_path.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/event_graph.h"
#include "server/analysis/path_steps.h"
#include "server/analysis/quantile.h"
#include "server/analysis/runs.h"
#include "server/analysis/selection.h"
#include "server/analysis/text.h"
#include "server/analysis/unit_floor.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kMaxScanEvents = 4'000'000;
constexpr uint64_t kMaxRunEvents = 2'000'000;     // of all runs judged at one quantile
constexpr size_t kNeighbours = 4;                 // runs judged on each side of a quantile
constexpr double kNeighbourRanks = 0.05;          // and no further away than this
constexpr uint32_t kDefaultSteps = 200;
constexpr size_t kDefaultWhatIfs = 8;
constexpr double kDefaultShortenPct = 10;
constexpr uint64_t kMaxReplayedEvents = 40'000'000;
constexpr double kUnexplainedMatters = 0.05;      // of the path

constexpr char kQuestion[] = "which regions the run depends on (critical path)";

using RegionKey = std::pair<uint32_t, uint32_t>;   // role, region; PathPiece::kOutside

struct Judged {
  RecordedRun run;
  EventGraph graph;
  std::vector<PathPiece> path;
};

class PathFinder {
 public:
  PathFinder(const Evidence& evidence, const v1::GetCriticalPathRequest& request)
      : evidence_(evidence), request_(request), runs_(evidence) {}

  absl::StatusOr<v1::CriticalPath> Find() {
    evidence_.Begin(out_.mutable_basis());
    const PassList passes = Passes();
    if (passes.empty()) return std::move(out_);
    for (const v1::PassInfo* pass : passes) RETURN_IF_ERROR(runs_.Scan(*pass));
    std::vector<RunSpan>& spans = runs_.spans();
    if (spans.empty()) {
      evidence_.Abstain(kQuestion,
                        absl::StrCat("no launch of the kernel has waits in its record (",
                                     Count(runs_.signals()), " signals)"),
                        "", out_.mutable_basis());
      return std::move(out_);
    }
    std::sort(spans.begin(), spans.end(), [](const RunSpan& a, const RunSpan& b) {
      return std::make_tuple(a.span_ns, a.pass->pass_id(), a.key) <
             std::make_tuple(b.span_ns, b.pass->pass_id(), b.key);
    });
    if (runs_.left_out()) Note("of each pass a fixed choice of CTAs was ranked, not all");
    double nearest = 2;
    std::vector<std::pair<double, std::vector<size_t>>> chosen;   // by quantile: indices into the spans
    for (const double q : evidence_.quantiles()) {
      nearest = std::min(nearest, std::abs(q - 0.5));
      chosen.emplace_back(q, ChooseAt(q));
    }
    RETURN_IF_ERROR(ReadRuns(chosen));
    for (const auto& [q, indices] : chosen) {
      if (indices.empty()) continue;
      const std::vector<Judged> judged = Judge(indices);
      Describe(q, judged);
      if (std::abs(q - 0.5) == nearest) {
        nearest = -1;   // once, of two that are equally near
        RETURN_IF_ERROR(WhatIfs(judged));
      }
    }
    Conclude();
    return std::move(out_);
  }

 private:
  void Note(std::string text) { out_.mutable_basis()->add_notes(std::move(text)); }

  // Those with waits, thinned to what may be read; none, and an abstention, where there is none.
  PassList Passes() {
    std::vector<std::string> backends = {"scopes"};
    bool scopes = false, proton = false, host = false;
    for (const v1::PassInfo& pass : evidence_.passes()) {
      if (!EndedWell(pass)) continue;
      const std::string& backend = MeasuredAs(pass).backend();
      scopes |= backend == "scopes";
      proton |= backend == "proton";
      host |= backend == "host";
      if (Evidence::Has(pass, "barriers") &&
          std::find(backends.begin(), backends.end(), backend) == backends.end())
        backends.push_back(backend);
    }
    PassList passes = evidence_.Take(
        backends, {.used_for = "critical path", .times = true, .table = "barriers", .trace = true},
        out_.mutable_basis());
    if (passes.empty()) {
      const char* why =
          scopes ? "the kernel's regions were recorded, but no waits and signals that may be used: put "
                   "SEXTANT_WAIT(ctx, \"full\", slot) around each wait for a barrier, and "
                   "sextant::signal(ctx, \"full\", slot) where a warp arrives at it"
          : proton ? "Proton records regions, but neither waits nor signals; a CUDA kernel with "
                     "sextant/scope.cuh does"
          : host   ? "regions of CPU threads were recorded; sextant/scope.h has no waits and signals"
                   : "no pass recorded regions inside the kernel, with its waits and signals "
                     "(SEXTANT_WAIT and sextant::signal of sextant/scope.cuh)";
      evidence_.Abstain(kQuestion, why, proton || host ? "" : "scopes", out_.mutable_basis());
      return {};
    }
    uint64_t events = 0;
    for (const v1::PassInfo* pass : passes) events += pass->result().events();
    if (events <= kMaxScanEvents || passes.size() == 1) return passes;
    const size_t keep = std::clamp<size_t>(
        static_cast<size_t>(static_cast<double>(passes.size()) * kMaxScanEvents /
                            static_cast<double>(events)),
        1, passes.size());
    PassList kept;
    std::vector<std::string> ids;
    for (size_t i = 0; i < keep; ++i) {
      kept.push_back(passes[i * passes.size() / keep]);
      ids.push_back(absl::StrCat("p", kept.back()->pass_id()));
    }
    if (kept.size() < passes.size())
      Note(absl::StrCat("runs are of ", kept.size(), " of ", passes.size(), " passes (",
                        absl::StrJoin(ids, ", "), "): together they hold ", Count(events), " events"));
    return kept;
  }

  // The run at the quantile comes first. Empty, with an abstention, where it is too long.
  std::vector<size_t> ChooseAt(double q) {
    const std::vector<RunSpan>& spans = runs_.spans();
    const size_t center = static_cast<size_t>(std::lround(q * static_cast<double>(spans.size() - 1)));
    const size_t reach = std::min(
        kNeighbours, static_cast<size_t>(kNeighbourRanks * static_cast<double>(spans.size())));
    std::vector<size_t> chosen;
    uint64_t events = 0;
    for (size_t distance = 0; distance <= reach; ++distance)
      for (const bool up : {false, true}) {
        if (up && distance == 0) continue;
        if (up ? center + distance >= spans.size() : center < distance) continue;
        const size_t i = up ? center + distance : center - distance;
        events += spans[i].events;
        if (events <= kMaxRunEvents) chosen.push_back(i);
      }
    if (!chosen.empty() && chosen.front() == center) return chosen;
    evidence_.Abstain(kQuestion,
                      absl::StrCat("a run has ", Count(spans[center].events), " events, more than ",
                                   Count(kMaxRunEvents), "; record fewer regions"),
                      "", out_.mutable_basis());
    return {};
  }

  // Reads what is judged at any quantile, each pass once.
  absl::Status ReadRuns(const std::vector<std::pair<double, std::vector<size_t>>>& chosen) {
    std::map<const v1::PassInfo*, std::set<size_t>> by_pass;
    for (const auto& [q, indices] : chosen)
      for (const size_t i : indices) {
        by_pass[runs_.spans()[i].pass].insert(i);
        ++uses_[i];
      }
    for (const auto& [pass, indices] : by_pass) {
      std::vector<RunSpan> of;
      for (const size_t i : indices) of.push_back(runs_.spans()[i]);
      ASSIGN_OR_RETURN(std::vector<RecordedRun> runs, runs_.Read(*pass, of));
      size_t k = 0;
      for (const size_t i : indices) read_[i] = std::move(runs[k++]);
    }
    return absl::OkStatus();
  }

  std::vector<Judged> Judge(const std::vector<size_t>& indices) {
    std::vector<Judged> judged;
    for (const size_t i : indices) {
      // The last one to judge a run gets it.
      RecordedRun run = --uses_[i] > 0 ? read_[i] : std::move(read_[i]);
      EventGraph graph(run.warps);
      std::vector<PathPiece> path = graph.LongestPath();
      judged.push_back({std::move(run), std::move(graph), std::move(path)});
    }
    return judged;
  }

  void Describe(double q, const std::vector<Judged>& judged) {
    const RunNames& names = runs_.names();
    const Judged& center = judged.front();
    v1::CriticalPathAt* at = out_.add_paths();
    at->set_quantile(q);
    at->set_span_ns(center.run.of.span_ns);
    at->set_pass_id(center.run.of.pass->pass_id());
    at->set_launch(center.run.of.key.launch);
    at->set_cta(center.run.of.key.cta);
    uint64_t left_out = 0;
    const size_t most = request_.max_steps() == 0 ? kDefaultSteps : request_.max_steps();
    for (v1::PathStep& step : FoldSteps(center.path, center.run.warps, center.graph.edges(), names,
                                        center.run.of.ns_per_unit, most, &left_out))
      *at->add_steps() = std::move(step);
    at->set_steps_left_out(left_out);

    std::map<RegionKey, double> spent;
    std::map<RegionKey, std::vector<double>> slacks;
    double total = 0;
    for (const Judged& one : judged) {
      const double scale = one.run.of.ns_per_unit;
      const std::vector<RunWarp>& warps = one.run.warps;
      double unexplained = 0;
      for (const PathPiece& piece : one.path) {
        const double ns = (piece.end - piece.begin) * scale;
        spent[{warps[piece.warp].role, piece.region}] += ns;
        total += ns;
        if (piece.unexplained) unexplained += ns;
      }
      for (const auto& slack : one.graph.Slacks())
        slacks[{warps[slack.warp].role, slack.region}].push_back(slack.slack * scale);
      if (!seen_.insert({one.run.of.pass->pass_id(), one.run.of.key}).second) continue;
      Tally(one, unexplained);
    }
    std::vector<std::pair<double, RegionKey>> order;
    for (const auto& [key, ns] : spent) order.push_back({-ns, key});
    for (const auto& [key, values] : slacks)
      if (!spent.contains(key)) order.push_back({0, key});
    std::sort(order.begin(), order.end());
    for (const auto& [less, key] : order) {
      v1::PathShare* share = at->add_shares();
      share->set_role(names.roles[key.first]);
      share->set_region(names.Region(key.second));
      share->set_on_path_ns(-less / static_cast<double>(judged.size()));
      share->set_share(total > 0 ? -less / total : 0);
      auto slack = slacks.find(key);
      share->set_slack_ns(slack == slacks.end() ? NAN : Quantiles(&slack->second, {{0.5}}).front());
    }
  }

  // Adds a run that was not judged before to what is said of all.
  void Tally(const Judged& one, double unexplained_ns) {
    const double scale = one.run.of.ns_per_unit;
    for (const WaitEdge& edge : one.graph.edges()) {
      Waits& waits = waits_[{edge.barrier, one.run.warps[edge.from_warp].role,
                             one.run.warps[edge.to_warp].role}];
      waits.ns.push_back(static_cast<double>(edge.wait_end - edge.wait_begin) * scale);
      if (edge.late) ++waits.late;
    }
    for (const UnmatchedWaits& left : one.graph.unmatched())
      unmatched_[{left.barrier, left.why}] += left.waits;
    const double window = (one.graph.end() - one.graph.begin()) * scale;
    if (one.graph.head_lost() && one.run.of.span_ns > 0)
      kept_.push_back(window / one.run.of.span_ns);
    if (window > 0) unexplained_.push_back(unexplained_ns / window);
  }

  absl::StatusOr<RegionKey> FindRegion(const v1::WhatIf& what, int index) const {
    const RunNames& names = runs_.names();
    const auto find = [&](const std::vector<std::string>& in, const std::string& name,
                          const char* field) -> absl::StatusOr<uint32_t> {
      for (uint32_t i = 0; i < in.size(); ++i)
        if (in[i] == name) return i;
      return absl::InvalidArgumentError(
          absl::StrFormat("what_if[%d].%s: \"%s\" was not recorded; there are %s", index, field, name,
                          absl::StrJoin(std::set<std::string>(in.begin(), in.end()), ", ")));
    };
    RegionKey key{Scale::kAnyRole, 0};
    if (!what.role().empty()) {
      ASSIGN_OR_RETURN(key.first, find(names.roles, what.role(), "role"));
    }
    ASSIGN_OR_RETURN(key.second, find(names.regions, what.region(), "region"));
    return key;
  }

  absl::Status WhatIfs(const std::vector<Judged>& judged) {
    std::vector<v1::WhatIf> wanted(request_.what_if().begin(), request_.what_if().end());
    const v1::CriticalPathAt& at = *out_.paths().rbegin();
    if (wanted.empty()) {
      std::map<std::string, std::set<std::string>> roles;   // that record a region
      for (const v1::PathShare& share : at.shares()) roles[share.region()].insert(share.role());
      std::set<std::string> asked;
      for (const v1::PathShare& share : at.shares()) {
        if (wanted.size() == kDefaultWhatIfs || share.on_path_ns() <= 0) break;
        if (share.region() == RunNames::kOutside || !asked.insert(share.region()).second) continue;
        v1::WhatIf& what = wanted.emplace_back();
        if (roles[share.region()].size() == 1) what.set_role(share.role());
        what.set_region(share.region());
        what.set_shorten_pct(kDefaultShortenPct);
      }
      // What an exposed wait costs in all.
      for (size_t i = 0, n = wanted.size(); i < n; ++i) {
        if (!absl::StartsWith(wanted[i].region(), "wait ")) continue;
        v1::WhatIf what = wanted[i];
        what.set_shorten_pct(100);
        wanted.push_back(std::move(what));
      }
    }
    std::vector<double> spans;
    uint64_t events = 0;
    size_t used = 0;
    for (const Judged& one : judged) {
      events += one.run.of.events * wanted.size();
      if (used > 0 && events > kMaxReplayedEvents) break;
      spans.push_back(one.run.of.span_ns);
      ++used;
    }
    const double span_ns = Quantiles(&spans, {{0.5}}).front();
    ASSIGN_OR_RETURN(const std::vector<SharedUnit> units, ReadSharedUnits(evidence_, out_.mutable_basis()));
    std::map<std::string, std::vector<std::string>> held;   // by unit: what-ifs that it holds back
    for (int i = 0; i < static_cast<int>(wanted.size()); ++i) {
      ASSIGN_OR_RETURN(const RegionKey key, FindRegion(wanted[i], i));
      const Scale scale{.role = key.first,
                        .region = key.second,
                        .factor = 1 - wanted[i].shorten_pct() / 100};
      std::vector<double> ratios;
      for (size_t k = 0; k < used; ++k) {
        const EventGraph& graph = judged[k].graph;
        const double window = graph.end() - graph.begin();
        ratios.push_back(window > 0 ? (graph.Replay({&scale, 1}) - graph.begin()) / window : 1);
      }
      double ratio = Quantiles(&ratios, {{0.5}}).front();
      const SharedUnit* holds = nullptr;
      for (const SharedUnit& unit : units)
        if (const double floor = FloorOf(unit, wanted[i].region(), scale.factor); floor > ratio && ratio < 1) {
          ratio = std::min(floor, 1.0);
          holds = &unit;
        }
      if (holds != nullptr)
        held[absl::StrFormat("%s, busy %.0f %% of the time", holds->name == "tensor pipe" ? "the tensor pipe" : holds->name, 100 * holds->busy)].push_back(
            absl::StrFormat("%s −%g %%", wanted[i].region(), wanted[i].shorten_pct()));
      v1::WhatIfResult* result = out_.add_what_if();
      *result->mutable_what() = wanted[i];
      result->set_span_ns(span_ns);
      result->set_predicted_ns(span_ns * ratio);
      result->set_speedup_pct(100 * (1 - ratio));
    }
    for (const auto& [unit, what] : held)
      Note(absl::StrCat("what-if: warps share ", unit, ", which has its work to do: it, not the graph, bounds ", absl::StrJoin(what, ", ")));
    if (request_.what_if().empty())
      std::stable_sort(out_.mutable_what_if()->begin(), out_.mutable_what_if()->end(),
                       [](const auto& a, const auto& b) { return a.speedup_pct() > b.speedup_pct(); });
    return absl::OkStatus();
  }

  void Conclude() {
    const RunNames& names = runs_.names();
    out_.set_ctas(static_cast<uint32_t>(seen_.size()));
    for (auto& [key, waits] : waits_) {
      const auto& [barrier, from, to] = key;
      v1::BarrierEdge* edge = out_.add_edges();
      edge->set_barrier(names.barriers[barrier]);
      edge->set_from_role(names.roles[from]);
      edge->set_to_role(names.roles[to]);
      edge->set_count(waits.ns.size());
      double total = 0;
      for (const double ns : waits.ns) total += ns;
      edge->set_wait_total_ns(total / static_cast<double>(seen_.size()));
      edge->set_late_share(static_cast<double>(waits.late) / static_cast<double>(waits.ns.size()));
      edge->set_wait_ns(Quantiles(&waits.ns, {{0.5}}).front());
    }
    std::stable_sort(out_.mutable_edges()->begin(), out_.mutable_edges()->end(),
                     [](const auto& a, const auto& b) { return a.wait_total_ns() > b.wait_total_ns(); });
    std::set<std::pair<std::string, std::string>> largest;
    for (const v1::CriticalPathAt& path : out_.paths())
      if (!path.shares().empty()) largest.insert({path.shares(0).role(), path.shares(0).region()});
    out_.set_path_changes(largest.size() > 1);
    if (!kept_.empty())
      Note(absl::StrFormat("%d of %d runs lost their first records: their paths are of the last %.0f %% of "
                           "the run, and what-if takes the rest to be alike",
                           kept_.size(), seen_.size(), 100 * Quantiles(&kept_, {{0.5}}).front()));
    for (const auto& [key, waits] : unmatched_)
      Note(absl::StrCat("barrier ", names.barriers[key.first], ": ", Count(waits),
                        " waits have no edge: ", key.second));
    if (unexplained_.empty()) return;
    const double unexplained = Quantiles(&unexplained_, {{0.5}}).front();
    if (unexplained > kUnexplainedMatters)
      evidence_.Abstain(
          "what some waits on the critical path wait for",
          absl::StrFormat("%.0f %% of the path is waits that no recorded signal ended; put "
                          "sextant::signal(ctx, name, slot) where a warp arrives at their barriers",
                          100 * unexplained),
          "scopes", out_.mutable_basis());
  }

  struct Waits {
    std::vector<double> ns;
    uint64_t late = 0;
  };

  const Evidence& evidence_;
  const v1::GetCriticalPathRequest& request_;
  Runs runs_;
  std::map<size_t, RecordedRun> read_;   // by index into the spans
  std::map<size_t, size_t> uses_;        // how many quantiles are still to judge it
  v1::CriticalPath out_;
  std::set<std::pair<int64_t, RunKey>> seen_;                            // runs judged
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, Waits> waits_;      // barrier, from role, to role
  std::map<std::pair<uint32_t, std::string>, uint64_t> unmatched_;       // barrier, why
  std::vector<double> kept_;          // of runs that lost their head: share of the span that was kept
  std::vector<double> unexplained_;   // by run: share of the path
};

}  // namespace

absl::StatusOr<v1::CriticalPath> FindCriticalPath(const Evidence& evidence,
                                                  const v1::GetCriticalPathRequest& request) {
  return PathFinder(evidence, request).Find();
}

}  // namespace sextant::analysis
