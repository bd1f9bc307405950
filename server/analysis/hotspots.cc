#include "server/analysis/hotspots.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/region_map.h"
#include "server/analysis/region_names.h"
#include "server/analysis/region_times.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kMaxSourceBytes = 4u << 20;
constexpr size_t kMaxLineBytes = 200;
constexpr size_t kMaxSources = 32;   // files looked at for the text of lines

// An instruction and all that is known of it.
struct Place {
  uint64_t pc = 0;
  std::string opcode, text;   // text: SASS
  std::string file, function, region, parent;
  std::string lines;   // of the region, where it is known by them
  int64_t line = 0;
  double executed = 0;
  const PcSamples* samples = nullptr;
};

// What falls together.
struct Group {
  std::string name, text, function, parent, file;
  int64_t line = 0;
  double samples = 0, executed = 0, time_ns = NAN;
  std::map<std::string, double> stalls;
};

class Builder {
 public:
  Builder(const Evidence& evidence, const v1::GetHotspotsRequest& request)
      : evidence_(evidence), by_(request.by().empty() ? "line" : request.by()), within_(request.within()),
        top_(request.top() == 0 ? kDefaultHotspots : request.top()), basis_(out_.mutable_basis()) {}

  absl::StatusOr<v1::Hotspots> Build() {
    evidence_.Begin(basis_);
    out_.set_by(by_);
    if (by_ == "kernel") {
      if (!within_.empty()) return absl::InvalidArgumentError("within: kernels lie in nothing; leave it empty");
      Kernels();
      return std::move(out_);
    }
    if (by_ != "line" && by_ != "sass" && by_ != "function" && by_ != "region")
      return absl::InvalidArgumentError(
          absl::StrCat("by: \"", by_, "\" is unknown; there are line, sass, function, region, kernel"));
    ASSIGN_OR_RETURN(samples_, ReadSamples(evidence_, "where warps stand, and why", basis_));
    ASSIGN_OR_RETURN(counts_, ReadCounts(evidence_, "how often instructions are executed", basis_));
    // The code is needed for regions, and gives instructions their text.
    if (by_ == "region" || by_ == "sass" || !within_.empty()) {
      ASSIGN_OR_RETURN(code_, ReadKernelCode(evidence_, "the text of instructions, and which region they belong to", basis_));
    }
    RETURN_IF_ERROR(FindPlaces());
    RETURN_IF_ERROR(Narrow());
    std::map<std::string, Group> groups = GroupPlaces();
    if (by_ == "region") RETURN_IF_ERROR(AddTimes(&groups));
    std::vector<Group> all;
    for (auto& [name, group] : groups) all.push_back(std::move(group));
    Emit(std::move(all));
    return std::move(out_);
  }

 private:
  absl::Status FindPlaces() {
    std::set<uint64_t> pcs;
    for (const auto& [pc, count] : counts_) pcs.insert(pc);
    for (const auto& [pc, samples] : samples_) pcs.insert(pc);
    RegionMap map;
    if (by_ == "region" || by_ == "sass" || !within_.empty()) {
      ASSIGN_OR_RETURN(const auto names, ReadRegionNames(evidence_));
      ASSIGN_OR_RETURN(map, ReadRegionMap(evidence_, names, code_.get(), counts_, samples_, basis_));
      if (map.confidence < 1) basis_->add_notes(absl::StrCat("regions are those of source lines: ", map.why));
    }
    const auto name = [&](int32_t region) -> std::string {
      return region < 0 ? "" : map.regions[static_cast<size_t>(region)].name;
    };
    for (const uint64_t pc : pcs) {
      Place& place = places_.emplace_back();
      place.pc = pc;
      if (const auto found = counts_.find(pc); found != counts_.end()) {
        place.executed = found->second.executed;
        place.opcode = found->second.opcode;
        place.file = found->second.file;
        place.line = found->second.line;
      }
      if (const auto found = samples_.find(pc); found != samples_.end()) {
        place.samples = &found->second;
        place.function = found->second.function;
        if (place.opcode.empty()) place.opcode = found->second.opcode;
        if (place.line == 0) {
          place.file = found->second.file;
          place.line = found->second.line;
        }
      }
      if (place.function.empty()) place.function = evidence_.kernel();
      if (const auto found = map.at.find(pc); found != map.at.end()) {
        const int32_t region = found->second.innermost;
        place.region = name(region);
        if (region >= 0 && map.by == RegionsBy::kLines)
          place.lines = absl::StrJoin(map.regions[static_cast<size_t>(region)].code, ", ");
        for (int32_t above = region; above >= 0; above = map.regions[static_cast<size_t>(above)].parent)
          within_regions_[pc].insert(name(above));
        if (region >= 0) place.parent = name(map.regions[static_cast<size_t>(region)].parent);
      }
      if (code_ == nullptr) continue;
      const uint32_t at = code_->function.At(pc);
      if (at >= code_->function.code.size()) continue;
      const SassInstruction& one = code_->function.code[at];
      place.text = code_->function.TextOf(at);
      if (place.opcode.empty()) place.opcode = std::string(one.mnemonic());
      if (place.line == 0 && one.line > 0) {
        place.file = code_->function.files[one.file];
        place.line = one.line;
      }
    }
    return absl::OkStatus();
  }

  static bool IsPlace(const Place& place, absl::string_view file, int64_t line) {
    return place.line == line && (place.file == file || absl::EndsWith(place.file, absl::StrCat("/", file)));
  }

  // Keeps what lies within what was asked for.
  absl::Status Narrow() {
    if (within_.empty()) return absl::OkStatus();
    const size_t colon = within_.rfind(':');
    int64_t line = 0;
    const bool is_line = colon != std::string::npos && absl::SimpleAtoi(within_.substr(colon + 1), &line);
    const std::string file = is_line ? within_.substr(0, colon) : "";
    std::vector<Place> kept;
    std::set<std::string> functions, regions;
    for (const Place& place : places_) {
      functions.insert(place.function);
      const auto& in = within_regions_[place.pc];
      regions.insert(in.begin(), in.end());
      const bool inside = (is_line && IsPlace(place, file, line)) || in.contains(within_) || place.function == within_ ||
                          ShortKernel(place.function) == within_;
      if (inside) kept.push_back(place);
    }
    if (kept.empty() && !places_.empty()) {
      std::vector<std::string> there(regions.begin(), regions.end());
      for (const std::string& one : functions) there.push_back(one);
      if (there.size() > 12) there.resize(12);
      return absl::InvalidArgumentError(absl::StrCat(
          "within: \"", within_, "\" is no line FILE:N that was executed, function or region of the kernel",
          there.empty() ? "" : absl::StrCat("; there are ", absl::StrJoin(there, ", "))));
    }
    places_ = std::move(kept);
    return absl::OkStatus();
  }

  std::map<std::string, Group> GroupPlaces() {
    std::map<std::string, Group> groups;
    double without_line = 0;
    for (const Place& place : places_) {
      const std::string pc = absl::StrFormat("0x%04x", place.pc);
      const std::string key = by_ == "line"     ? absl::StrCat(place.file, ":", place.line)
                              : by_ == "sass"   ? pc
                              : by_ == "region" ? absl::StrCat(place.region, "\n", place.parent)
                                                : place.function;
      Group& group = groups[key];
      if (group.name.empty()) {
        if (by_ == "line") {
          group.name = place.line > 0 ? ShortPlace(place.file, place.line) : "(no line)";
          group.file = place.file;
          group.line = place.line;
          group.parent = place.region;
        } else if (by_ == "sass") {
          group.name = absl::StrCat(pc, " ", place.opcode);
          group.text = place.text;
          group.parent = place.region;
        } else if (by_ == "region") {
          group.name = place.region.empty() ? "(outside)" : place.region;
          group.text = place.lines;
          group.parent = place.parent;
        } else {
          group.name = place.function;
        }
        group.function = place.function;
      }
      if (group.parent != place.region && by_ == "line") group.parent.clear();   // a line in several regions
      group.executed += place.executed;
      if (place.samples == nullptr) continue;
      for (const auto& [stall, number] : place.samples->by_stall) {
        group.samples += number;
        group.stalls[stall] += number;
      }
      if (place.line == 0) without_line += place.samples->total();
    }
    if (by_ == "line" && without_line > 0)
      basis_->add_notes(absl::StrFormat("%.0f samples have no source line: compile with -lineinfo (Triton writes lines itself)",
                                        without_line));
    return groups;
  }

  absl::Status AddTimes(std::map<std::string, Group>* groups) {
    ASSIGN_OR_RETURN(const RegionTimes times,
                     ReadRegionTimes(evidence_, /*by_warp=*/false, basis_));
    if (times.passes == 0) {
      evidence_.Abstain("how long regions take", "no pass recorded regions of this kernel", "scopes*5", basis_);
      return absl::OkStatus();
    }
    const double scale = (times.cycles ? times.ns_per_cycle : 1) / std::max<double>(1, static_cast<double>(times.launches)) /
                         times.recorded_share;
    for (const auto& [key, time] : times.regions) {
      Group& group = (*groups)[absl::StrCat(key.region, "\n", key.parent)];
      if (group.name.empty()) {
        if (!within_.empty()) {   // it has no instruction there
          groups->erase(absl::StrCat(key.region, "\n", key.parent));
          continue;
        }
        group.name = key.region;
        group.parent = key.parent;
        group.function = evidence_.kernel();
      }
      if (std::isnan(group.time_ns)) group.time_ns = 0;
      group.time_ns += time.cycles_exclusive * scale;
    }
    return absl::OkStatus();
  }

  void Kernels() {
    double total = 0;
    for (const KernelUse& kernel : evidence_.kernels()) total += kernel.total_ns;
    std::vector<Group> all;
    for (const KernelUse& kernel : evidence_.kernels()) {
      Group& group = all.emplace_back();
      group.name = kernel.name;
      group.time_ns = kernel.total_ns > 0 ? kernel.total_ns : NAN;
      group.executed = NAN;
      group.text = absl::StrCat(kernel.launches, kernel.launches == 1 ? " launch" : " launches");
    }
    if (!(total > 0)) evidence_.Abstain("how long kernels take", "no pass timed launches", "activity:light=1*3", basis_);
    Emit(std::move(all));
  }

  void Emit(std::vector<Group> all) {
    double samples = 0, time = 0;
    for (const Group& group : all) {
      samples += group.samples;
      if (group.time_ns > 0) time += group.time_ns;
    }
    const bool by_time = by_ == "kernel" || (samples == 0 && time > 0);
    const auto weight = [&](const Group& group) {
      return by_time ? (group.time_ns > 0 ? group.time_ns : 0) : samples > 0 ? group.samples : group.executed;
    };
    std::stable_sort(all.begin(), all.end(), [&](const Group& a, const Group& b) {
      return weight(a) != weight(b) ? weight(a) > weight(b) : a.executed > b.executed;
    });
    out_.set_total_samples(samples);
    if (all.size() > top_) {
      out_.set_left_out(all.size() - top_);
      all.resize(top_);
    }
    for (Group& group : all) {
      v1::Hotspot* const one = out_.add_hotspots();
      one->set_name(group.name);
      one->set_text(group.text);
      one->set_samples(group.samples);
      one->set_share(by_time ? (time > 0 ? weight(group) / time : NAN) : samples > 0 ? group.samples / samples : NAN);
      one->set_executed(counts_.empty() ? NAN : group.executed);
      for (v1::NamedShare& stall : Shares(group.stalls)) *one->add_stalls() = std::move(stall);
      one->set_function(group.function);
      one->set_parent(group.parent);
      one->set_time_ns(group.time_ns);
      if (by_ == "line" && group.line > 0) one->set_text(SourceLine(group.file, group.line));
    }
  }

  std::string SourceLine(const std::string& file, int64_t line) {
    auto found = sources_.find(file);
    if (found == sources_.end()) {
      if (sources_.size() >= kMaxSources) return "";
      const auto text = evidence_.ReadSource(file, kMaxSourceBytes);
      std::vector<std::string> lines;
      if (text.ok()) lines = absl::StrSplit(*text, '\n');
      found = sources_.emplace(file, std::move(lines)).first;
    }
    if (static_cast<size_t>(line) > found->second.size()) return "";
    std::string text(absl::StripAsciiWhitespace(found->second[static_cast<size_t>(line) - 1]));
    std::replace(text.begin(), text.end(), '\t', ' ');
    return chunk::CleanName(text, kMaxLineBytes);
  }

  const Evidence& evidence_;
  const std::string by_, within_;
  const uint32_t top_;
  v1::Hotspots out_;
  v1::Basis* const basis_;
  std::map<uint64_t, PcSamples> samples_;
  std::map<uint64_t, PcCount> counts_;
  std::unique_ptr<KernelCode> code_;
  std::vector<Place> places_;
  std::map<uint64_t, std::set<std::string>> within_regions_;   // by pc
  std::map<std::string, std::vector<std::string>> sources_;    // by file
};

}  // namespace

absl::StatusOr<v1::Hotspots> MakeHotspots(const Evidence& evidence, const v1::GetHotspotsRequest& request) {
  return Builder(evidence, request).Build();
}

}  // namespace sextant::analysis
