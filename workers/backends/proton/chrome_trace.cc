#include "workers/backends/proton/chrome_trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::backends::proton {
namespace {

constexpr double kMaxChromeTime = 1e15;  // in any unit of the format; beyond it is no time
constexpr size_t kMaxTextBytes = 4096;   // of a name
constexpr double kDefaultFrequencyMhz = 1000;

// Follows the parser to the events and fills one at a time.
class EventSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit EventSax(absl::FunctionRef<void(const ChromeEvent&)> event) : event_(event) {}

  const std::string& error() const { return error_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    return Number(static_cast<double>(value), std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Number(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    return Number(value, text);
  }
  bool string(string_t& value) override {
    if (!InEvent()) return true;
    if (value.size() > kMaxTextBytes) value.resize(kMaxTextBytes);
    if (key_ == "name") now_.name = value;
    if (key_ == "cat") now_.category = value;
    if (key_ == "pid") now_.process = value;
    if (key_ == "tid") now_.thread = value;
    if (key_ == "ph") complete_ = value == "X";
    return true;
  }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    ++depth_;
    if (depth_ == kEventDepth && in_events_) {
      now_ = ChromeEvent();
      complete_ = false;
    }
    args_ = depth_ == kEventDepth + 1 && in_events_ && key_ == "args";
    return true;
  }
  bool end_object() override {
    if (depth_ == kEventDepth && in_events_ && complete_) event_(now_);
    --depth_;
    args_ = false;
    return true;
  }
  bool start_array(std::size_t) override {
    ++depth_;
    if (depth_ == kEventDepth - 1) in_events_ = key_ == "traceEvents";
    return true;
  }
  bool end_array() override {
    if (depth_ == kEventDepth - 1) in_events_ = false;
    --depth_;
    return true;
  }
  bool key(string_t& value) override {
    key_ = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& what) override {
    error_ = absl::StrCat("byte ", position, ": ", what.what());
    return false;
  }

 private:
  static constexpr int kEventDepth = 3;  // {"traceEvents": [{

  bool InEvent() const { return in_events_ && depth_ == kEventDepth; }

  bool Number(double value, const std::string& text) {
    const bool sane = std::abs(value) <= kMaxChromeTime;  // not NaN either
    if (args_ && key_ == "Frequency (MHz)" && sane) now_.frequency_mhz = value;
    if (!InEvent()) return true;
    if (key_ == "ts" && sane) now_.ts = value;
    if (key_ == "dur" && sane) now_.dur = value;
    if (key_ == "tid") now_.thread = text;
    return true;
  }

  absl::FunctionRef<void(const ChromeEvent&)> event_;
  ChromeEvent now_;
  std::string key_;
  std::string error_;
  int depth_ = 0;
  bool in_events_ = false;
  bool args_ = false;
  bool complete_ = false;
};

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

bool ReadPlace(const ChromeEvent& event, Place* place) {
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

// Gathers one launch, whose CTAs' begins are only known when all of it is there.
class LaunchGatherer {
 public:
  explicit LaunchGatherer(Recording& recording) : recording_(recording) {}

  void Add(const ChromeEvent& event) {
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
        event.frequency_mhz > 0 && event.frequency_mhz < 1e6 ? event.frequency_mhz
                                                             : kDefaultFrequencyMhz;
    const int64_t start = std::llround(event.ts * frequency);
    const int64_t duration = std::max<int64_t>(0, std::llround(event.dur * frequency));
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
                                      absl::FunctionRef<void(const ChromeEvent&)> event) {
  size_t line = 1;
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view object = text.substr(at, end - at);
    at = end + 1;
    if (object.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    EventSax sax(event);
    if (!nlohmann::json::sax_parse(object.begin(), object.end(), &sax)) {
      return absl::InvalidArgumentError(absl::StrCat("Chrome trace, line ", line, ", ", sax.error()));
    }
  }
  return absl::OkStatus();
}

absl::Status AddChromeTraceUntrusted(std::string_view text, Recording& recording) {
  LaunchGatherer gatherer(recording);
  const absl::Status status = ReadChromeTraceUntrusted(
      text, [&gatherer](const ChromeEvent& event) { gatherer.Add(event); });
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
  RETURN_IF_ERROR(ReadChromeTraceUntrusted(text, [&](const ChromeEvent& event) {
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
