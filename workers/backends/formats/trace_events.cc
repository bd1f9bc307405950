#include "workers/backends/formats/trace_events.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends::formats {
namespace {

constexpr double kMaxNumber = 1e18;      // beyond it is no time and no count
constexpr double kMaxTime = 4e15;        // leaves room for thousandths, and for sums of two
constexpr size_t kMaxTextBytes = 4096;   // of a name
constexpr size_t kMaxDevices = 64;
constexpr uint64_t kMaxBaseNs = uint64_t{8} << 60;

// A decimal number times 1000, without the rounding of a double where it has no exponent.
int64_t Thousandths(std::string_view text, double value) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  int64_t whole = 0;
  int decimals = -1;   // seen after the point
  for (const char c : text) {
    if (c == '.' && decimals < 0) {
      decimals = 0;
    } else if (c >= '0' && c <= '9') {
      if (decimals == 3) continue;
      whole = whole * 10 + (c - '0');
      if (decimals >= 0) ++decimals;
    } else {
      return std::llround(value * 1000);
    }
  }
  for (int i = std::max(decimals, 0); i < 3; ++i) whole *= 10;
  return negative ? -whole : whole;
}

// Follows the parser to the events and fills one at a time.
class EventSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  EventSax(absl::Span<const std::string_view> args,
           absl::FunctionRef<void(const TraceEvent&)> event, TraceEventsFile* file)
      : arg_names_(args), event_(event), file_(file) {
    now_.args.resize(args.size());
  }

  const std::string& error() const { return error_; }
  // The list alone, broken off between two events.
  bool ended_after_event() const { return list_alone_ && depth_ == 1 && at_end_; }
  void SetSize(size_t size) { size_ = size; }

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
    if (value.size() > kMaxTextBytes) value.resize(kMaxTextBytes);
    if (TraceEventArg* arg = Arg(); arg != nullptr && list_at_ < 0) {
      arg->there = true;
      arg->text = value;
    }
    if (InDevice() && key_ == "name" && file_->devices.size() < kMaxDevices) {
      file_->devices.push_back(value);
    }
    if (!InEvent()) return true;
    if (key_ == "name") now_.name = value;
    if (key_ == "cat") now_.category = value;
    if (key_ == "pid") now_.process = value;
    if (key_ == "tid") now_.thread = value;
    if (key_ == "ph") now_.phase = value;
    return true;
  }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override {
    ++depth_;
    if (in_events_ && depth_ == event_depth_) {
      const std::vector<TraceEventArg> args = std::move(now_.args);
      now_ = TraceEvent();
      now_.args.resize(args.size());
    }
    if (depth_ == event_depth_ + 1) in_args_ = in_events_ && key_ == "args";
    return true;
  }
  bool end_object() override {
    if (in_events_ && depth_ == event_depth_) event_(now_);
    if (depth_ == event_depth_ + 1) in_args_ = false;
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    ++depth_;
    if (depth_ == 1) {
      list_alone_ = in_events_ = true;
      event_depth_ = 2;
    } else if (depth_ == 2 && !list_alone_) {
      in_events_ = key_ == "traceEvents";
      in_devices_ = key_ == "deviceProperties";
      event_depth_ = 3;
    } else if (in_args_ && depth_ == event_depth_ + 2) {
      list_at_ = 0;
    }
    return true;
  }
  bool end_array() override {
    if (depth_ == event_depth_ - 1) in_events_ = in_devices_ = false;
    if (depth_ == event_depth_ + 2) list_at_ = -1;
    --depth_;
    return true;
  }
  bool key(string_t& value) override {
    key_ = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& what) override {
    at_end_ = position > size_;
    // What nlohmann says repeats the place in its own words first.
    std::string_view said = what.what();
    if (const size_t colon = said.find(": "); colon != std::string_view::npos) {
      said.remove_prefix(colon + 2);
    }
    error_ = absl::StrCat("byte ", position, ": ",
                          absl::string_view(said.data(), std::min<size_t>(said.size(), 200)));
    return false;
  }

 private:
  bool InEvent() const { return in_events_ && depth_ == event_depth_; }
  bool InDevice() const { return in_devices_ && depth_ == 3 && file_ != nullptr; }

  // The entry of `args` that a value here belongs to, or null.
  TraceEventArg* Arg() {
    const int depth = event_depth_ + (list_at_ < 0 ? 1 : 2);
    if (!in_args_ || depth_ != depth) return nullptr;
    for (size_t i = 0; i < arg_names_.size(); ++i) {
      if (arg_names_[i] == key_) return &now_.args[i];
    }
    return nullptr;
  }

  bool Number(double value, const std::string& text) {
    if (depth_ == 1 && !list_alone_ && key_ == "baseTimeNanoseconds" && file_ != nullptr) {
      uint64_t since_1970_ns = 0;
      if (absl::SimpleAtoi(text, &since_1970_ns) && since_1970_ns < kMaxBaseNs) {
        file_->base_time_ns = since_1970_ns;
      }
    }
    const bool sane = std::abs(value) <= kMaxNumber;   // not NaN either
    if (!sane) return true;
    if (TraceEventArg* arg = Arg()) {
      arg->there = true;
      if (list_at_ < 0) {
        arg->number = value;
      } else if (list_at_ < 3) {
        arg->list[list_at_++] = value;
      }
    }
    if (!InEvent()) return true;
    if (key_ == "pid") now_.process = text;
    if (key_ == "tid") now_.thread = text;
    if (std::abs(value) > kMaxTime) return true;
    if (key_ == "ts") {
      now_.ts = value;
      now_.ts_thousandths = Thousandths(text, value);
    }
    if (key_ == "dur") {
      now_.dur = value;
      now_.dur_thousandths = Thousandths(text, value);
    }
    return true;
  }

  const absl::Span<const std::string_view> arg_names_;
  absl::FunctionRef<void(const TraceEvent&)> event_;
  TraceEventsFile* const file_;
  TraceEvent now_;
  std::string key_;
  std::string error_;
  size_t size_ = 0;
  int depth_ = 0;
  int event_depth_ = 3;   // {"traceEvents": [{ — or 2 where the list is alone
  int list_at_ = -1;      // of a list in args; −1: in none
  bool list_alone_ = false;
  bool in_events_ = false;
  bool in_devices_ = false;
  bool in_args_ = false;
  bool at_end_ = false;
};

}  // namespace

absl::Status ReadTraceEventsUntrusted(std::string_view text,
                                      absl::Span<const std::string_view> args,
                                      absl::FunctionRef<void(const TraceEvent&)> event,
                                      TraceEventsFile* file) {
  EventSax sax(args, event, file);
  sax.SetSize(text.size());
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &sax) || sax.ended_after_event()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(sax.error());
}

}  // namespace sextant::backends::formats
