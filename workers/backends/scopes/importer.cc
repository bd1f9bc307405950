#include "workers/backends/scopes/importer.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::backends::scopes {
namespace {

constexpr double kDefaultCyclesPerNs = 1.5;
constexpr uint64_t kNoWrapNs = 1'000'000'000;  // a 32-bit clock below 4 GHz cannot go round in it
constexpr uint64_t kLeastClockSpanNs = 10'000'000;
constexpr double kClockTolerance = 0.01;
constexpr double kMaxNs = static_cast<double>(chunk::kMaxTime / 4);

// From the warps that ended within a round of the clock, else from what the device says.
double CyclesPerNs(const File& file) {
  double cycles = 0, ns = 0;
  for (const Slot& slot : file.slots) {
    const sextant_scopes_slot& h = slot.header;
    if (h.end_timer <= h.begin_timer || h.end_timer - h.begin_timer > kNoWrapNs) continue;
    cycles += static_cast<double>(h.end_clock - h.begin_clock);
    ns += static_cast<double>(h.end_timer - h.begin_timer);
  }
  const double rate = ns > 0 ? cycles / ns : file.header.clock_khz / 1e6;
  return rate > 0.05 && rate < 10 ? rate : kDefaultCyclesPerNs;
}

}  // namespace

ScopesImporter::ScopesImporter(uint64_t began_ns, std::vector<KnownLaunch> known,
                               ImportLimits limits)
    : began_ns_(began_ns), known_(std::move(known)), limits_(limits) {
  out_.trace.unit = v1::CYCLES;
}

void ScopesImporter::Note(std::string sentence) {
  if (out_.notes.size() < limits_.max_notes) out_.notes.push_back(std::move(sentence));
}

absl::Status ScopesImporter::Add(absl::Span<const uint8_t> bytes) {
  if (sources_.size() >= limits_.max_files) {
    return absl::InvalidArgumentError(
        absl::StrCat("scopes file: more than ", limits_.max_files, " in one pass"));
  }
  ASSIGN_OR_RETURN(File file, ReadFileUntrusted(bytes));
  const sextant_scopes_file& header = file.header;
  if (began_ns_ == 0) began_ns_ = header.started_ns;
  Source source;
  source.pid = header.pid;
  source.device = header.device;
  source.program = FixedText(header.program);
  SetClock(header, file.slots, &source);
  const double cycles_per_ns = CyclesPerNs(file);
  if (stated_cycles_per_ns_ == 0) stated_cycles_per_ns_ = cycles_per_ns;
  for (const Slot& slot : file.slots) {
    if (pending_.size() >= limits_.max_tracks) {
      ++over_limit_;
      continue;
    }
    Pending pending;
    pending.slot = slot.header;
    pending.file = sources_.size();
    pending.begin_ns = ToNs(source.clock, slot.header.begin_timer);
    if (slot.header.end_timer != 0) {
      pending.end_ns = std::max(ToNs(source.clock, slot.header.end_timer), pending.begin_ns);
    } else {
      ++unended_;
    }
    pending.warp = ReadWarp(slot, header.ring_records, cycles_per_ns);
    if (pending.warp.total > 0 && slot.header.end_timer > slot.header.begin_timer) {
      cycles_sum_ += static_cast<double>(pending.warp.total);
      ticks_sum_ += static_cast<double>(slot.header.end_timer - slot.header.begin_timer);
    }
    pending_.push_back(std::move(pending));
  }
  const std::string error = FixedText(header.error);
  if (!error.empty() && out_.errors.size() < limits_.max_notes) out_.errors.push_back(error);
  if (header.claimed > header.slots) without_ring_ += header.claimed - header.slots;
  cut_slots_ += file.cut_slots;
  out_.unfinished = out_.unfinished || header.ended == 0;
  source.names = std::move(file.names);
  source.kernels = std::move(file.kernels);
  sources_.push_back(std::move(source));
  ++out_.files;
  return absl::OkStatus();
}

// The line through both readings of the clocks, where they are far enough apart to give a slope.
void ScopesImporter::SetClock(const sextant_scopes_file& header, const std::vector<Slot>& slots,
                              Source* source) {
  FileClock& clock = source->clock;
  const bool first = header.first.error_ns != 0, last = header.last.error_ns != 0;
  if (first || last) {
    clock.timer = first ? header.first.timer : header.last.timer;
    clock.ns = first ? header.first.ns : header.last.ns;
  } else {
    clock.ns = header.started_ns;
    clock.timer = UINT64_MAX;
    for (const Slot& slot : slots) clock.timer = std::min(clock.timer, slot.header.begin_timer);
    if (!slots.empty()) {
      Note("the GPU's clock was not compared with the host's: the first kernel is placed at the "
           "recorder's start");
    }
  }
  if (first && last && header.last.timer > header.first.timer &&
      header.last.timer - header.first.timer > kLeastClockSpanNs) {
    const double rate =
        static_cast<double>(static_cast<int64_t>(header.last.ns - header.first.ns)) /
        static_cast<double>(header.last.timer - header.first.timer);
    if (std::abs(rate - 1) < kClockTolerance) {
      clock.ns_per_tick = rate;
    } else {
      Note("the GPU's clock ran differently from the host's: where kernels lie in time is not "
           "reliable, how long they took is");
    }
  }
}

uint64_t ScopesImporter::ToNs(const FileClock& clock, uint64_t timer) const {
  const double apart = static_cast<double>(static_cast<int64_t>(timer - clock.timer));
  const double ns =
      apart * clock.ns_per_tick + static_cast<double>(static_cast<int64_t>(clock.ns - began_ns_));
  return ns <= 0 ? 0 : static_cast<uint64_t>(std::min(ns, kMaxNs));
}

std::string ScopesImporter::NameOf(const Source& source, uint32_t id) const {
  const auto found = source.names.find(id);
  return found != source.names.end() ? found->second
                                     : absl::StrCat("#", absl::Hex(id, absl::kZeroPad6));
}

std::string ScopesImporter::KernelOf(const Source& source, uint32_t hash) const {
  const auto found = source.kernels.find(hash);
  return found != source.kernels.end() ? KernelBaseName(found->second)
                                       : absl::StrCat("#", absl::Hex(hash, absl::kZeroPad8));
}

uint32_t ScopesImporter::Intern(absl::flat_hash_map<std::string, uint32_t>* ids,
                                std::vector<std::string>* names, std::string name) const {
  const auto found = ids->find(name);
  if (found != ids->end()) return found->second;
  if (names->size() >= limits_.max_regions) return UINT32_MAX;
  const uint32_t id = static_cast<uint32_t>(names->size());
  ids->emplace(name, id);
  names->push_back(std::move(name));
  return id;
}

void ScopesImporter::NoteOpen(const Pending& pending, const std::string& role) {
  const Source& source = sources_[pending.file];
  const std::vector<Region>& open = pending.warp.open;
  const std::string kernel = KernelOf(source, pending.slot.kernel);
  out_.open_scopes += open.size();
  for (size_t depth = 0; depth < open.size(); ++depth) {
    if (open_.rows() >= limits_.max_open_rows) break;
    const Region& region = open[depth];
    open_.Add({.launch = pending.launch,
               .cta = pending.slot.cta,
               .sm = pending.slot.sm,
               .warp = pending.slot.warp,
               .kernel = kernel,
               .role = role,
               .region = RegionName(source, region),
               .slot = region.wait ? static_cast<int64_t>(region.barrier_slot) : -1,
               .depth = static_cast<uint32_t>(depth),
               .since_cycles = region.begin});
  }
  if (open.empty() || open_warps_++ >= limits_.max_open_named) return;
  const Region& inner = open.back();
  Note(absl::StrCat("warp ", pending.slot.warp, role.empty() ? "" : absl::StrCat(" (", role, ")"),
                    " of CTA ", pending.slot.cta, ", launch ", pending.launch, " of ", kernel,
                    ", was inside \"", RegionName(source, inner), "\"",
                    inner.wait ? absl::StrCat(" slot ", inner.barrier_slot) : "",
                    " when the recording ended"));
}

std::string ScopesImporter::RegionName(const Source& source, const Region& region) const {
  return region.wait ? absl::StrCat("wait ", NameOf(source, region.id)) : NameOf(source, region.id);
}

// Start of a CTA, and how many cycles later this warp came: warps of one CTA share an SM's clock.
void ScopesImporter::MakeTracks() {
  std::vector<uint32_t> order(pending_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto key = [this](uint32_t i) {
    const Pending& p = pending_[i];
    return std::make_tuple(p.launch, p.slot.cta, p.slot.warp, p.file, i);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    const Pending& one = pending_[order[begin]];
    end = begin;
    const Pending* first = &one;
    while (end < order.size() && pending_[order[end]].launch == one.launch &&
           pending_[order[end]].slot.cta == one.slot.cta) {
      const Pending& other = pending_[order[end++]];
      if (static_cast<int32_t>(other.slot.begin_clock - first->slot.begin_clock) < 0) {
        first = &other;
      }
    }
    for (size_t i = begin; i < end; ++i) {
      const Pending& pending = pending_[order[i]];
      const bool same_sm = pending.slot.sm == first->slot.sm && pending.file == first->file;
      MakeTrack(pending, same_sm ? first->begin_ns : pending.begin_ns,
                same_sm ? pending.slot.begin_clock - first->slot.begin_clock : 0);
    }
  }
}

void ScopesImporter::MakeTrack(const Pending& pending, uint64_t origin_ns, uint64_t offset) {
  const Source& source = sources_[pending.file];
  const Warp& warp = pending.warp;
  const std::string role = pending.slot.role == 0 ? "" : NameOf(source, pending.slot.role);
  chunk::Track track;
  track.launch = pending.launch;
  track.cta = pending.slot.cta;
  track.sm = pending.slot.sm;
  track.warp = pending.slot.warp;
  track.role = Intern(&role_ids_, &out_.trace.roles, role);
  if (track.role == UINT32_MAX) track.role = 0;
  track.origin_ns = origin_ns;
  track.dropped = warp.lost;
  track.from_tail = warp.lost > 0;
  NoteOpen(pending, role);
  lost_ += warp.lost;
  ends_without_begin_ += warp.ends_without_begin;
  begins_without_end_ += warp.begins_without_end;
  malformed_ += warp.malformed;
  unknown_gaps_ += warp.gap_unknown;
  ++out_.warps;
  const uint32_t index = static_cast<uint32_t>(out_.trace.tracks.size());
  out_.trace.tracks.push_back(track);

  uint64_t taken = 0;
  for (const Region& region : warp.regions) {
    const uint32_t id =
        Intern(&region_ids_, &out_.trace.regions, RegionName(source, region));
    if (id == UINT32_MAX || out_.instances.size() >= limits_.max_instances) {
      ++over_limit_;
      continue;
    }
    out_.instances.push_back({.track = index,
                              .region = id,
                              .start = offset + region.begin,
                              .duration = region.end - region.begin});
    ++taken;
  }
  instances_of_kernel_[KernelOf(source, pending.slot.kernel)] += taken;
  AddBarriers(pending, offset);
}

// In the order of their begin, so that the k-th wait is met by the k-th signal.
void ScopesImporter::AddBarriers(const Pending& pending, uint64_t offset) {
  struct Mark {
    uint64_t at, duration;
    uint32_t id, slot;
    bool wait;
  };
  std::vector<Mark> marks;
  for (const Region& region : pending.warp.regions) {
    if (!region.wait) continue;
    marks.push_back({region.begin, region.end - region.begin, region.id, region.barrier_slot, true});
  }
  for (const Signal& signal : pending.warp.signals) {
    marks.push_back({signal.at, 0, signal.id, signal.barrier_slot, false});
  }
  std::stable_sort(marks.begin(), marks.end(),
                   [](const Mark& a, const Mark& b) { return a.at < b.at; });
  absl::flat_hash_map<uint64_t, uint64_t> ordinals;
  const Source& source = sources_[pending.file];
  for (const Mark& mark : marks) {
    if (barriers_.rows() >= limits_.max_barrier_rows) {
      ++over_limit_;
      continue;
    }
    const uint64_t key = uint64_t{mark.id} << 16 | mark.slot << 1 | static_cast<uint64_t>(mark.wait);
    barriers_.Add({.launch = pending.launch,
                   .cta = pending.slot.cta,
                   .warp = pending.slot.warp,
                   .barrier = NameOf(source, mark.id),
                   .slot = mark.slot,
                   .wait = mark.wait,
                   .ordinal = ordinals[key]++,
                   .at_cycles = offset + mark.at,
                   .duration_cycles = mark.duration,
                   .head_lost = pending.warp.lost > 0});
  }
}

Imported ScopesImporter::Finish() {
  FindLaunches();
  NumberLaunches();
  MakeTracks();
  if (out_.trace.roles.empty()) out_.trace.roles.push_back("");
  if (stated_cycles_per_ns_ == 0) stated_cycles_per_ns_ = kDefaultCyclesPerNs;
  const double ns_per_cycle = cycles_sum_ > 0 ? ticks_sum_ / cycles_sum_ : 0;
  const bool measured = ns_per_cycle > 0.01 && ns_per_cycle < 100;
  out_.trace.ns_per_unit = measured ? ns_per_cycle : 1 / stated_cycles_per_ns_;
  if (measured) out_.clock_hz = 1e9 / ns_per_cycle;
  uint64_t most = 0;
  for (const auto& [kernel, instances] : instances_of_kernel_) {
    if (instances < most || kernel.empty()) continue;
    out_.trace.kernel = kernel;
    most = instances;
  }
  if (barriers_.rows() > 0) out_.tables.push_back(barriers_.Finish());
  if (open_.rows() > 0) out_.tables.push_back(open_.Finish());
  if (known_.empty() && !launches_.empty()) MakeLaunchTable();
  out_.dropped = lost_ + without_ring_ + over_limit_;
  FinishNotes();
  return std::move(out_);
}

}  // namespace sextant::backends::scopes
