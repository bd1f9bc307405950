#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/role_inference.h"
#include "server/analysis/export.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {
namespace {

class RowExporter : public TraceExporter {
 public:
  explicit RowExporter(std::unique_ptr<RowWriter> rows) : rows_(std::move(rows)) {}

  absl::Status Begin() override { return rows_->Begin(); }

  absl::Status BeginPass(const v1::PassInfo& pass, const v1::DataTable*) override {
    pass_ = &pass;
    return absl::OkStatus();
  }

  absl::Status Add(const chunk::Decoded& chunk) override {
    const v1::ChunkHeader& header = chunk.header;
    const bool cycles = header.unit() == v1::CYCLES;
    const double scale = cycles ? header.ns_per_unit() : 1.0;
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      const chunk::Track& track = slice.track;
      const std::string lane = LaneName(header, track);
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        rows_->Int(pass_->pass_id());
        rows_->Int(pass_->ordinal());
        rows_->Int(track.launch);
        rows_->Int(track.cta);
        rows_->Int(track.sm);
        rows_->Int(track.warp);
        rows_->Text(lane);
        rows_->Text(header.regions(static_cast<int>(chunk.region[i])));
        rows_->Int(static_cast<int64_t>(chunk.ordinal[i]));
        rows_->Int(static_cast<int64_t>(chunk::PlaceNs(track.origin_ns, chunk.start[i], scale)));
        rows_->Int(static_cast<int64_t>(chunk.duration[i]));
        rows_->Text(cycles ? "cycles" : "ns");
        RETURN_IF_ERROR(rows_->EndRow());
      }
    }
    return absl::OkStatus();
  }

  absl::Status EndPass() override { return absl::OkStatus(); }
  absl::Status End() override { return rows_->Finish(); }

 private:
  const std::unique_ptr<RowWriter> rows_;
  const v1::PassInfo* pass_ = nullptr;
};

}  // namespace

std::string PassTitle(const v1::PassInfo& pass) {
  return absl::StrCat("pass ", pass.ordinal(), " (", MeasuredAs(pass).backend(), ", id ",
                      pass.pass_id(), pass.result().partial() ? ", partial" : "", ")");
}

std::vector<RowColumn> InstanceColumns() {
  const auto text = CellType::kText;
  return {{"pass_id"},      {"pass"},           {"launch"},        {"cta"},
          {"sm"},           {"warp"},           {"role", text},    {"region", text},
          {"ordinal"},      {.name = "start_ns", .unit = "ns"},    {"duration"},
          {"unit", text}};
}

std::unique_ptr<TraceExporter> MakeRowExporter(std::unique_ptr<RowWriter> rows) {
  return std::make_unique<RowExporter>(std::move(rows));
}

}  // namespace sextant::analysis
