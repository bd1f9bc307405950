#include "server/analysis/perfetto_exporter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/barrier_edges.h"
#include "server/analysis/perfetto_writer.h"

namespace sextant::analysis {
namespace {

// So many slices of one warp may overlap without nesting at once; what is beyond is an instant.
constexpr size_t kMaxLanes = 64;

uint64_t WholeNs(double ns) { return ns > 0 ? static_cast<uint64_t>(std::llround(ns)) : 0; }

// ---- statistical timeline ----------------------------------------------------------------------

class StatisticalTimeline {
 public:
  StatisticalTimeline(const v1::Timeline& timeline, PerfettoWriter* out)
      : timeline_(timeline), out_(out) {}

  absl::Status Write() {
    if (timeline_.quantiles().empty() || timeline_.lanes().empty()) return absl::OkStatus();
    // The median where it was asked for, else what is nearest to the middle of those asked for.
    const auto& asked = timeline_.quantiles();
    middle_ = std::min_element(asked.begin(), asked.end(),
                               [](double a, double b) {
                                 return std::abs(a - 0.5) < std::abs(b - 0.5);
                               }) - asked.begin();
    const uint64_t process = out_->AddProcess(absl::StrCat(
        "statistical timeline: ", timeline_.program(), ", ", timeline_.passes(), " passes"));
    int rank = 0;
    for (const v1::RoleLane& lane : timeline_.lanes()) RETURN_IF_ERROR(WriteLane(lane, process, rank++));
    return absl::OkStatus();
  }

 private:
  // Quantiles of start and end are taken apart, so neighbours may overlap: lanes as for warps.
  absl::Status WriteLane(const v1::RoleLane& lane, uint64_t process, int rank) {
    const std::string title = absl::StrCat(lane.role(), " ×", lane.tracks());
    const uint64_t track = out_->AddTrack(process, title, rank);
    std::vector<const v1::InstanceStat*> instances;
    for (const v1::InstanceStat& one : lane.instances())
      if (one.start_ns_size() > middle_ && one.end_ns_size() > middle_) instances.push_back(&one);
    std::stable_sort(instances.begin(), instances.end(), [this](const auto* a, const auto* b) {
      return std::make_tuple(Start(*a), -End(*a)) < std::make_tuple(Start(*b), -End(*b));
    });
    std::vector<std::vector<double>> open(1);   // ends, by track
    std::vector<uint64_t> tracks = {track};
    std::map<std::string, std::vector<uint64_t>> counters;
    for (const v1::InstanceStat* one : instances) {
      size_t at = 0;
      for (;; ++at) {
        if (at == open.size()) {
          open.emplace_back();
          tracks.push_back(out_->AddTrack(track, absl::StrCat(title, " · ", at + 1),
                                          static_cast<int>(at)));
        }
        while (!open[at].empty() && open[at].back() <= Start(*one)) open[at].pop_back();
        if (open[at].empty() || End(*one) <= open[at].back() || at + 1 == kMaxLanes) break;
      }
      open[at].push_back(End(*one));
      WriteSlice(*one, tracks[at]);
      WriteCounters(*one, track, &counters);
      RETURN_IF_ERROR(out_->FlushIf(TraceExporter::kPieceBytes));
    }
    return absl::OkStatus();
  }

  double Start(const v1::InstanceStat& one) const { return one.start_ns(middle_); }
  double End(const v1::InstanceStat& one) const {
    return std::max(one.end_ns(middle_), one.start_ns(middle_));
  }

  void WriteSlice(const v1::InstanceStat& one, uint64_t track) {
    std::vector<PerfettoWriter::Note> notes = {PerfettoWriter::Whole("ordinal", one.ordinal()),
                                               PerfettoWriter::Whole("observations", one.count()),
                                               PerfettoWriter::Whole("passes", one.passes()),
                                               PerfettoWriter::Number("spread", one.spread())};
    out_->Begin(track, WholeNs(Start(one)), one.region(), notes);
    out_->End(track, WholeNs(End(one)));
  }

  void WriteCounters(const v1::InstanceStat& one, uint64_t parent,
                     std::map<std::string, std::vector<uint64_t>>* counters) {
    std::vector<uint64_t>& tracks = (*counters)[one.region()];
    for (int q = static_cast<int>(tracks.size()); q < timeline_.quantiles_size(); ++q)
      tracks.push_back(out_->AddCounter(
          parent, absl::StrFormat("%s P%g", one.region(), 100 * timeline_.quantiles(q)),
          static_cast<int>(kMaxLanes + tracks.size())));
    for (int q = 0; q < std::min(one.duration_ns_size(), timeline_.quantiles_size()); ++q)
      if (std::isfinite(one.duration_ns(q)))
        out_->Counter(tracks[static_cast<size_t>(q)], WholeNs(Start(one)), one.duration_ns(q));
  }

  const v1::Timeline& timeline_;
  PerfettoWriter* const out_;
  std::ptrdiff_t middle_ = 0;
};

// ---- passes ------------------------------------------------------------------------------------

// Launch, CTA, warp: what barriers' rows name a track by.
using Place = std::tuple<uint32_t, uint32_t, uint32_t>;

// Flows of a pass's barriers, as far as the trace has been written.
class Flows {
 public:
  Flows() = default;
  explicit Flows(const v1::DataTable& barriers, uint64_t* next_flow) : barriers_(&barriers) {
    for (const BarrierEdge& edge : BarrierEdges(barriers)) {
      const uint64_t flow = ++*next_flow;
      by_signal_[edge.signal].push_back(flow);
      ends_[{PlaceOf(edge.wait), At(edge.wait)}].push_back(flow);
    }
  }

  // That end with the wait which begins there; empty for all else.
  absl::Span<const uint64_t> EndedBy(const Place& place, uint64_t start) const {
    if (ends_.empty()) return {};
    const auto at = ends_.find({place, start});
    return at == ends_.end() ? absl::Span<const uint64_t>() : absl::MakeConstSpan(at->second);
  }

  // Calls use(place, cycles, barrier, slot, flows) for each signal.
  template <typename Use>
  void ForSignals(Use&& use) const {
    if (barriers_ == nullptr) return;
    const v1::DataColumn* kind = table::Find(*barriers_, "kind");
    const v1::DataColumn* barrier = table::Find(*barriers_, "barrier");
    if (kind == nullptr || barrier == nullptr) return;
    for (uint64_t row = 0; row < barriers_->rows(); ++row) {
      if (table::TextAt(*kind, row) != "signal") continue;
      const auto flows = by_signal_.find(row);
      use(PlaceOf(row), At(row), table::TextAt(*barrier, row), Int("slot", row),
          flows == by_signal_.end() ? absl::Span<const uint64_t>()
                                    : absl::MakeConstSpan(flows->second));
    }
  }

 private:
  using Ids = absl::InlinedVector<uint64_t, 1>;

  uint64_t Int(const char* column, uint64_t row) const {
    const v1::DataColumn* found = table::Find(*barriers_, column);
    return found == nullptr || found->ints().empty()
               ? 0
               : static_cast<uint64_t>(found->ints(static_cast<int>(row)));
  }
  uint64_t At(uint64_t row) const { return Int("at_cycles", row); }
  Place PlaceOf(uint64_t row) const {
    return {static_cast<uint32_t>(Int("launch", row)), static_cast<uint32_t>(Int("cta", row)),
            static_cast<uint32_t>(Int("warp", row))};
  }

  const v1::DataTable* barriers_ = nullptr;
  absl::flat_hash_map<uint64_t, Ids> by_signal_;
  absl::flat_hash_map<std::pair<Place, uint64_t>, Ids> ends_;
};

class PerfettoExporter : public TraceExporter {
 public:
  PerfettoExporter(v1::Timeline timeline, ByteSink sink)
      : timeline_(std::move(timeline)), out_(sink) {}

  absl::Status Begin() override {
    RETURN_IF_ERROR(StatisticalTimeline(timeline_, &out_).Write());
    timeline_.Clear();
    return absl::OkStatus();
  }

  absl::Status BeginPass(const v1::PassInfo& pass, const v1::DataTable* barriers) override {
    process_ = out_.AddProcess(PassTitle(pass));
    flows_ = barriers == nullptr ? Flows() : Flows(*barriers, &next_flow_);
    return absl::OkStatus();
  }

  absl::Status Add(const chunk::Decoded& chunk) override {
    const bool cycles = chunk.header.unit() == v1::CYCLES;
    ns_per_unit_ = cycles ? chunk.header.ns_per_unit() : 1.0;
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      Warp& warp = WarpOf(chunk.header, slice.track);
      const Place place = {slice.track.launch, slice.track.cta, slice.track.warp};
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        AddSlice(chunk, i, cycles, place, &warp);
        RETURN_IF_ERROR(out_.FlushIf(kPieceBytes));
      }
    }
    return absl::OkStatus();
  }

  absl::Status EndPass() override {
    absl::Status status;
    flows_.ForSignals([&](const Place& place, uint64_t cycles, std::string_view barrier,
                          uint64_t slot, absl::Span<const uint64_t> begun) {
      const auto own = own_tracks_.find(place);
      if (own == own_tracks_.end() || !status.ok()) return;   // of a warp without any instance
      const auto [track, origin_ns] = own->second;
      out_.Instant(track, chunk::PlaceNs(origin_ns, cycles, ns_per_unit_),
                   absl::StrCat("signal ", std::string(barrier)), {PerfettoWriter::Whole("slot", slot)}, begun);
      status = out_.FlushIf(kPieceBytes);
    });
    warps_.clear();
    own_tracks_.clear();
    roles_.clear();
    flows_ = Flows();
    return status;
  }

  absl::Status End() override { return out_.FlushIf(0); }

 private:
  struct Warp {
    uint64_t origin_ns = 0;
    std::string title;
    absl::InlinedVector<uint64_t, 1> tracks;   // the first is the warp's own
    absl::InlinedVector<absl::InlinedVector<uint64_t, 4>, 1> open;   // ends of open slices, by track
  };
  struct Role {
    uint64_t track = 0;
    int warps = 0;
  };

  Warp& WarpOf(const v1::ChunkHeader& header, const chunk::Track& track) {
    const Place place(track.launch, track.cta, track.warp);
    const auto [at, added] = warps_.try_emplace({place, track.role});
    Warp& warp = at->second;
    if (!added) return warp;
    const bool of_gpu = header.unit() == v1::CYCLES;
    const std::string lane = LaneName(header, track);
    const auto [role, new_role] = roles_.try_emplace({track.launch, lane});
    if (new_role)
      role->second.track =
          out_.AddTrack(process_, of_gpu ? absl::StrCat("launch ", track.launch, " · ", lane) : lane,
                        static_cast<int>(roles_.size()));
    warp.title = of_gpu ? absl::StrCat("CTA ", track.cta, " warp ", track.warp, " (SM ", track.sm, ")")
                        : absl::StrCat("process ", track.launch, " thread ", track.warp);
    warp.origin_ns = track.origin_ns;
    warp.tracks.push_back(
        out_.AddTrack(role->second.track, warp.title, role->second.warps++));
    warp.open.emplace_back();
    own_tracks_.try_emplace(place, warp.tracks[0], warp.origin_ns);
    return warp;
  }

  // The track of the warp on which [start, end] nests; kMaxLanes: there is none.
  size_t LaneFor(uint64_t start_ns, uint64_t end_ns, Warp* warp) {
    for (size_t lane = 0; lane < kMaxLanes; ++lane) {
      if (lane == warp->tracks.size()) {
        warp->tracks.push_back(out_.AddTrack(
            warp->tracks[0], absl::StrCat(warp->title, " · ", lane + 1), static_cast<int>(lane)));
        warp->open.emplace_back();
      }
      auto& open = warp->open[lane];
      while (!open.empty() && open.back() <= start_ns) open.pop_back();
      if (open.empty() || end_ns <= open.back()) {
        open.push_back(end_ns);
        return lane;
      }
    }
    return kMaxLanes;
  }

  void AddSlice(const chunk::Decoded& chunk, uint32_t i, bool cycles, const Place& place,
                Warp* warp) {
    const uint64_t start_ns = chunk::PlaceNs(warp->origin_ns, chunk.start[i], ns_per_unit_);
    const uint64_t end_ns =
        chunk::PlaceNs(warp->origin_ns, chunk.start[i] + chunk.duration[i], ns_per_unit_);
    const std::string& region = chunk.header.regions(static_cast<int>(chunk.region[i]));
    PerfettoWriter::Note notes[] = {PerfettoWriter::Whole("ordinal", chunk.ordinal[i]),
                                    PerfettoWriter::Whole("cycles", chunk.duration[i])};
    const auto shown = absl::MakeConstSpan(notes).first(cycles ? 2 : 1);
    const size_t lane = LaneFor(start_ns, end_ns, warp);
    if (lane == kMaxLanes) {
      const PerfettoWriter::Note with_end[] = {
          notes[0], PerfettoWriter::Whole(cycles ? "cycles" : "duration_ns", chunk.duration[i])};
      out_.Instant(warp->tracks[0], start_ns, region, with_end);
      return;
    }
    out_.Begin(warp->tracks[lane], start_ns, region, shown);
    out_.End(warp->tracks[lane], end_ns, flows_.EndedBy(place, chunk.start[i]));
  }

  v1::Timeline timeline_;
  PerfettoWriter out_;
  uint64_t next_flow_ = 0;

  // Of the pass under way.
  uint64_t process_ = 0;
  double ns_per_unit_ = 1;
  Flows flows_;
  absl::flat_hash_map<std::pair<Place, uint32_t>, Warp> warps_;   // by place and role
  absl::flat_hash_map<Place, std::pair<uint64_t, uint64_t>> own_tracks_;   // its track and origin in ns
  std::map<std::pair<uint32_t, std::string>, Role> roles_;   // by launch and lane
};

}  // namespace

std::unique_ptr<TraceExporter> MakePerfettoExporter(v1::Timeline timeline, ByteSink sink) {
  return std::make_unique<PerfettoExporter>(std::move(timeline), sink);
}

}  // namespace sextant::analysis
