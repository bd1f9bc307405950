#include "server/analysis/export.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/selection.h"
#include "server/analysis/text.h"

namespace sextant::analysis {

absl::Status Exporter::Begin() {
  if (format_ == v1::CSV) {
    text_ = "pass_id,pass,launch,cta,sm,warp,role,region,ordinal,start_ns,duration,unit\n";
  } else {
    text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  }
  return FlushIf(kPieceBytes);
}

void Exporter::BeginPass(const v1::PassInfo& pass) {
  pass_id_ = pass.pass_id();
  ordinal_ = pass.ordinal();
  threads_.clear();
  if (format_ == v1::CSV) return;
  const std::string name =
      absl::StrCat("pass ", pass.ordinal(), " (", MeasuredAs(pass).backend(), ", id ", pass.pass_id(),
                   pass.result().partial() ? ", partial" : "", ")");
  Event(absl::StrCat("{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":", ordinal_,
                     ",\"args\":{\"name\":", JsonString(name), "}}"));
  Event(absl::StrCat("{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":", ordinal_,
                     ",\"args\":{\"sort_index\":", ordinal_, "}}"));
}

uint32_t Exporter::ThreadOf(const v1::ChunkHeader& header, const chunk::Track& track) {
  const std::string lane = LaneName(header, track);
  const auto [it, added] = threads_.try_emplace(
      TrackKey(track.launch, track.cta, track.warp, lane), threads_.size());
  if (added && format_ != v1::CSV) {
    const std::string name =
        header.unit() == v1::CYCLES
            ? absl::StrCat("launch ", track.launch, " CTA ", track.cta, " warp ", track.warp, " ",
                           lane)
            : absl::StrCat(lane, " (process ", track.launch, " thread ", track.warp, ")");
    Event(absl::StrCat("{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":", ordinal_,
                       ",\"tid\":", it->second, ",\"args\":{\"name\":", JsonString(name), "}}"));
  }
  return it->second;
}

void Exporter::Event(absl::string_view json) {
  absl::StrAppend(&text_, first_ ? "" : ",\n", json);
  first_ = false;
}

absl::Status Exporter::Add(const chunk::Decoded& chunk) {
  const v1::ChunkHeader& header = chunk.header;
  const bool cycles = header.unit() == v1::CYCLES;
  const double scale = cycles ? header.ns_per_unit() : 1.0;
  std::vector<std::string> regions;
  for (const std::string& name : header.regions())
    regions.push_back(format_ == v1::CSV ? CsvField(name) : JsonString(name));
  for (const chunk::TrackSlice& slice : chunk.tracks) {
    const chunk::Track& track = slice.track;
    const uint32_t thread = ThreadOf(header, track);
    const std::string lane = CsvField(LaneName(header, track));
    for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
      const uint64_t start_ns = chunk::PlaceNs(track.origin_ns, chunk.start[i], scale);
      const std::string& region = regions[chunk.region[i]];
      if (format_ == v1::CSV) {
        absl::StrAppend(&text_, pass_id_, ",", ordinal_, ",", track.launch, ",");
        absl::StrAppend(&text_, track.cta, ",", track.sm, ",", track.warp, ",", lane, ",");
        absl::StrAppend(&text_, region, ",", chunk.ordinal[i], ",", start_ns, ",");
        absl::StrAppend(&text_, chunk.duration[i], cycles ? ",cycles\n" : ",ns\n");
      } else {
        Event(absl::StrFormat("{\"ph\":\"X\",\"name\":%s,\"pid\":%d,\"tid\":%d,\"ts\":%d.%03d,"
                              "\"dur\":%.3f,\"args\":{\"ordinal\":%d}}",
                              region, ordinal_, thread, start_ns / 1000, start_ns % 1000,
                              static_cast<double>(chunk.duration[i]) * scale / 1000,
                              chunk.ordinal[i]));
      }
      if (text_.size() >= kPieceBytes) RETURN_IF_ERROR(FlushIf(kPieceBytes));
    }
  }
  return absl::OkStatus();
}

absl::Status Exporter::FlushIf(size_t bytes) {
  if (text_.size() < bytes || text_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(sink_(text_));
  text_.clear();
  return absl::OkStatus();
}

absl::Status Exporter::End() {
  if (format_ != v1::CSV) absl::StrAppend(&text_, "\n]}\n");
  return FlushIf(0);
}

}  // namespace sextant::analysis
