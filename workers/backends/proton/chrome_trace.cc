#include "workers/backends/proton/chrome_trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::backends::proton {
namespace {

constexpr std::string_view kArgs[] = {"Frequency (MHz)"};
constexpr double kDefaultFrequencyMhz = 1000;
constexpr double kMaxCycles = 1e17;  // beyond it is no time

// "<kernel> Core<SM> CTA<n>" and "warp <w> (line <n>)".
struct Place {
  std::string kernel;
  uint32_t sm = 0;
  uint32_t cta = 0;
  uint32_t warp = 0;
};

bool ReadNumber(std::string_view text, uint32_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadPlace(const formats::TraceEvent& event, Place* place) {
  const std::string_view process = event.process;
  const size_t cta = process.rfind(" CTA");
  const size_t core = cta == std::string_view::npos ? cta : process.rfind(" Core", cta);
  if (core == std::string_view::npos) return false;
  place->kernel = process.substr(0, core);
  std::string_view thread = event.thread;
  constexpr std::string_view kWarp = "warp ";
  if (thread.substr(0, kWarp.size()) != kWarp) return false;
  thread.remove_prefix(kWarp.size());
  thread = thread.substr(0, thread.find(' '));
  return ReadNumber(process.substr(cta + 4), &place->cta) &&
         ReadNumber(process.substr(core + 5, cta - core - 5), &place->sm) &&
         ReadNumber(thread, &place->warp);
}

int64_t Cycles(double cycles) {
  return std::llround(std::clamp(cycles, -kMaxCycles, kMaxCycles));
}

// Gathers one launch, whose CTAs' begins are only known when all of it is there.
class LaunchGatherer {
 public:
  explicit LaunchGatherer(Recording& recording) : recording_(recording) {}

  void Add(const formats::TraceEvent& event) {
    Place place;
    if (!ReadPlace(event, &place)) {
      ++elsewhere_;
      return;
    }
    const Key key = {place.cta, place.warp};
    if (place.kernel != kernel_ || !open_ || (key != now_ && seen_.contains(key))) {
      Flush();
      open_ = true;
      kernel_ = place.kernel;
    }
    if (key != now_ || seen_.empty()) {
      now_ = key;
      seen_.insert(key);
      tracks_.push_back({place.sm, place.cta, place.warp});
    }
    const double frequency =
        event.args[0].number > 0 && event.args[0].number < 1e6 ? event.args[0].number
                                                               : kDefaultFrequencyMhz;
    const int64_t start = Cycles(event.ts * frequency);
    const int64_t duration = std::max<int64_t>(0, Cycles(event.dur * frequency));
    int64_t& first = cta_first_.emplace(place.cta, start).first->second;
    first = std::min(first, start);
    events_.push_back({static_cast<uint32_t>(tracks_.size() - 1), event.name, start, duration});
  }

  void Flush() {
    if (!open_) return;
    const uint32_t launch = recording_.AddLaunch(kernel_, launches_++);
    std::vector<uint32_t> tracks;
    for (const Warp& warp : tracks_) {
      // Proton puts a CTA's first record at its start in ns since the first CTA's.
      const int64_t origin = std::max<int64_t>(0, cta_first_[warp.cta]);
      tracks.push_back(recording_.AddTrack({.launch = launch,
                                            .cta = warp.cta,
                                            .sm = warp.sm,
                                            .warp = warp.warp,
                                            .origin_ns = static_cast<uint64_t>(origin)}));
    }
    for (const Event& event : events_) {
      const uint32_t cta = tracks_[event.track].cta;
      recording_.Add(tracks[event.track], recording_.Region(launch, event.name),
                     static_cast<uint64_t>(event.start - cta_first_[cta]),
                     static_cast<uint64_t>(event.duration));
    }
    tracks_.clear();
    events_.clear();
    cta_first_.clear();
    seen_.clear();
    open_ = false;
  }

  uint64_t elsewhere() const { return elsewhere_; }

 private:
  using Key = std::pair<uint32_t, uint32_t>;  // CTA, warp
  struct Warp {
    uint32_t sm, cta, warp;
  };
  struct Event {
    uint32_t track;
    std::string name;
    int64_t start, duration;  // cycles; start on the trace's common axis
  };

  Recording& recording_;
  bool open_ = false;
  std::string kernel_;
  Key now_;
  absl::flat_hash_set<Key> seen_;
  std::vector<Warp> tracks_;
  std::vector<Event> events_;
  std::map<uint32_t, int64_t> cta_first_;
  uint32_t launches_ = 0;
  uint64_t elsewhere_ = 0;
};

}  // namespace

absl::Status ReadChromeTraceUntrusted(std::string_view text,
                                      absl::FunctionRef<void(const formats::TraceEvent&)> complete) {
  const auto event = [&complete](const formats::TraceEvent& one) {
    if (one.phase == "X") complete(one);
  };
  size_t line = 1;
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view object = text.substr(at, end - at);
    at = end + 1;
    if (object.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const absl::Status read = formats::ReadTraceEventsUntrusted(object, kArgs, event);
    if (!read.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("Chrome trace, line ", line, ", ", read.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status AddChromeTraceUntrusted(std::string_view text, Recording& recording) {
  LaunchGatherer gatherer(recording);
  const absl::Status status = ReadChromeTraceUntrusted(
      text, [&gatherer](const formats::TraceEvent& event) { gatherer.Add(event); });
  gatherer.Flush();
  if (gatherer.elsewhere() > 0) {
    recording.Note(absl::StrCat(gatherer.elsewhere(),
                                " events of the Chrome trace lie in no warp and were left out"));
  }
  return status;
}

absl::StatusOr<std::vector<HostKernel>> ReadHostKernelsUntrusted(std::string_view text,
                                                                 size_t max_kernels) {
  std::vector<HostKernel> kernels;
  bool too_many = false;
  RETURN_IF_ERROR(ReadChromeTraceUntrusted(text, [&](const formats::TraceEvent& event) {
    if (kernels.size() >= max_kernels) {
      too_many = true;
      return;
    }
    kernels.push_back({event.name, event.thread,
                       static_cast<uint64_t>(std::llround(std::max(0.0, event.ts) * 1e3)),
                       static_cast<uint64_t>(std::llround(std::max(0.0, event.dur) * 1e3))});
  }));
  if (too_many) {
    return absl::ResourceExhaustedError(
        absl::StrCat("Chrome trace: more than ", max_kernels, " kernels; run fewer launches"));
  }
  std::stable_sort(kernels.begin(), kernels.end(), [](const HostKernel& a, const HostKernel& b) {
    return a.start_ns < b.start_ns;
  });
  return kernels;
}

}  // namespace sextant::backends::proton
