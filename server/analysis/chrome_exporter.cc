#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/export.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

class ChromeExporter : public TraceExporter {
 public:
  explicit ChromeExporter(ByteSink sink) : sink_(sink) {}

  absl::Status Begin() override {
    text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
    return absl::OkStatus();
  }

  absl::Status BeginPass(const v1::PassInfo& pass, const v1::DataTable*) override {
    ordinal_ = pass.ordinal();
    threads_.clear();
    Event(absl::StrCat("{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":", ordinal_,
                       ",\"args\":{\"name\":", JsonString(PassTitle(pass)), "}}"));
    Event(absl::StrCat("{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":", ordinal_,
                       ",\"args\":{\"sort_index\":", ordinal_, "}}"));
    return absl::OkStatus();
  }

  absl::Status Add(const chunk::Decoded& chunk) override {
    const v1::ChunkHeader& header = chunk.header;
    const double scale = header.unit() == v1::CYCLES ? header.ns_per_unit() : 1.0;
    std::vector<std::string> regions;
    for (const std::string& name : header.regions()) regions.push_back(JsonString(name));
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      const uint32_t thread = ThreadOf(header, slice.track);
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        const uint64_t start_ns = chunk::PlaceNs(slice.track.origin_ns, chunk.start[i], scale);
        Event(absl::StrFormat("{\"ph\":\"X\",\"name\":%s,\"pid\":%d,\"tid\":%d,\"ts\":%d.%03d,"
                              "\"dur\":%.3f,\"args\":{\"ordinal\":%d}}",
                              regions[chunk.region[i]], ordinal_, thread, start_ns / 1000,
                              start_ns % 1000,
                              static_cast<double>(chunk.duration[i]) * scale / 1000,
                              chunk.ordinal[i]));
        if (text_.size() >= kPieceBytes) RETURN_IF_ERROR(Flush());
      }
    }
    return absl::OkStatus();
  }

  absl::Status EndPass() override { return absl::OkStatus(); }

  absl::Status End() override {
    absl::StrAppend(&text_, "\n]}\n");
    return Flush();
  }

 private:
  using TrackKey = std::tuple<uint32_t, uint32_t, uint32_t, std::string>;   // launch, CTA, warp, lane

  uint32_t ThreadOf(const v1::ChunkHeader& header, const chunk::Track& track) {
    const std::string lane = LaneName(header, track);
    const auto [it, added] = threads_.try_emplace(
        TrackKey(track.launch, track.cta, track.warp, lane), threads_.size());
    if (added) {
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

  void Event(absl::string_view json) {
    absl::StrAppend(&text_, first_ ? "" : ",\n", json);
    first_ = false;
  }

  absl::Status Flush() {
    RETURN_IF_ERROR(sink_(text_));
    text_.clear();
    return absl::OkStatus();
  }

  const ByteSink sink_;
  std::string text_;
  bool first_ = true;
  uint32_t ordinal_ = 0;
  std::map<TrackKey, uint32_t> threads_;   // of the pass under way
};

}  // namespace

std::unique_ptr<TraceExporter> MakeChromeExporter(ByteSink sink) {
  return std::make_unique<ChromeExporter>(sink);
}

}  // namespace sextant::analysis
