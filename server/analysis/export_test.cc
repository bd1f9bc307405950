#include "server/analysis/export.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/table/table.h"
#include "sextant/foreign/perfetto.pb.h"
#include "server/analysis/barrier_edges.h"
#include "server/analysis/parquet.h"
#include "server/analysis/perfetto_exporter.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/table_export.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

namespace perfetto = foreign::perfetto;

v1::PassInfo Pass() {
  v1::PassInfo pass;
  pass.set_pass_id(7);
  pass.mutable_spec()->set_backend("scopes");
  return pass;
}

template <typename Make>
std::string Exported(const SyntheticPass& synthetic, const v1::DataTable* barriers, Make make,
                     uint32_t max_events = 64 * 1024) {
  std::string out;
  const auto sink = [&out](absl::string_view piece) {
    out.append(piece.data(), piece.size());
    return absl::OkStatus();
  };
  const v1::PassInfo pass = Pass();
  const auto exporter = make(ByteSink(sink));
  REQUIRE(exporter->Begin().ok());
  REQUIRE(exporter->BeginPass(pass, barriers).ok());
  for (const chunk::Decoded& chunk : synthetic.Chunks(max_events)) REQUIRE(exporter->Add(chunk).ok());
  REQUIRE(exporter->EndPass().ok());
  REQUIRE(exporter->End().ok());
  return out;
}

perfetto::Trace Parsed(const std::string& bytes) {
  perfetto::Trace trace;
  REQUIRE(trace.ParseFromString(bytes));
  return trace;
}

// "name start-end" of every slice by the track's name, as a reader nests them.
std::map<std::string, std::set<std::string>> Slices(const perfetto::Trace& trace) {
  std::map<uint64_t, std::string> tracks, names;
  std::vector<const perfetto::TracePacket*> events;
  for (const perfetto::TracePacket& packet : trace.packet()) {
    for (const auto& one : packet.interned_data().event_names()) names[one.iid()] = one.name();
    if (packet.has_track_descriptor())
      tracks[packet.track_descriptor().uuid()] = packet.track_descriptor().name();
    if (packet.has_track_event()) events.push_back(&packet);
  }
  std::stable_sort(events.begin(), events.end(), [](const auto* a, const auto* b) {
    return a->timestamp() < b->timestamp();
  });
  std::map<uint64_t, std::vector<std::pair<std::string, uint64_t>>> open;
  std::map<std::string, std::set<std::string>> slices;
  for (const perfetto::TracePacket* packet : events) {
    const perfetto::TrackEvent& event = packet->track_event();
    auto& stack = open[event.track_uuid()];
    if (event.type() == perfetto::TrackEvent::TYPE_SLICE_BEGIN) {
      stack.emplace_back(names.at(event.name_iid()), packet->timestamp());
    } else if (event.type() == perfetto::TrackEvent::TYPE_SLICE_END) {
      REQUIRE_FALSE(stack.empty());
      slices[tracks.at(event.track_uuid())].insert(stack.back().first + " " +
                                                   std::to_string(stack.back().second) + "-" +
                                                   std::to_string(packet->timestamp()));
      stack.pop_back();
    }
  }
  for (const auto& [track, stack] : open) CHECK(stack.empty());
  return slices;
}

TEST_CASE("slices that overlap without nesting go to tracks of their own") {
  SyntheticPass pass({"a", "b", "c", "d", "z"});
  const uint32_t thread = pass.Thread("worker");
  pass.Did(thread, 0, 0, 10).Did(thread, 1, 2, 4).Did(thread, 2, 5, 10).Did(thread, 3, 10, 5);
  pass.Did(thread, 4, 10, 0).Did(thread, 0, 20, 0);
  for (const uint32_t events : {1u, 2u, 100u}) {
    const auto slices = Slices(Parsed(Exported(
        pass, nullptr, [](ByteSink sink) { return MakePerfettoExporter({}, sink); }, events)));
    CHECK(slices.at("process 0 thread 0") ==
          std::set<std::string>{"a 0-10", "b 2-6", "d 10-15", "z 10-10", "a 20-20"});
    CHECK(slices.at("process 0 thread 0 · 2") == std::set<std::string>{"c 5-15"});
  }
}

TEST_CASE("more slices than there are tracks for become instants, and none is lost") {
  SyntheticPass pass({"a"});
  const uint32_t thread = pass.Thread("worker");
  for (uint64_t i = 0; i < 100; ++i) pass.Did(thread, 0, i, 1000);
  const perfetto::Trace trace = Parsed(
      Exported(pass, nullptr, [](ByteSink sink) { return MakePerfettoExporter({}, sink); }));
  size_t shown = 0;
  for (const auto& [track, slices] : Slices(trace)) shown += slices.size();
  size_t instants = 0;
  for (const perfetto::TracePacket& packet : trace.packet())
    instants += packet.track_event().type() == perfetto::TrackEvent::TYPE_INSTANT;
  CHECK(shown == 64);
  CHECK(instants == 36);
}

// ---- barriers ----------------------------------------------------------------------------------

struct Row {
  int warp;
  const char* kind;
  int ordinal;
  int at;
  int duration = 0;
  bool head_lost = false;
};

v1::DataTable Barriers(const std::vector<Row>& rows) {
  table::Builder table("barriers");
  const auto launch = table.Int("launch"), cta = table.Int("cta"), warp = table.Int("warp"),
             slot = table.Int("slot"), ordinal = table.Int("ordinal"),
             at = table.Int("at_cycles", "cycles"), duration = table.Int("duration_cycles", "cycles"),
             lost = table.Int("head_lost");
  const auto barrier = table.Text("barrier"), kind = table.Text("kind");
  for (const Row& row : rows) {
    table.Set(launch, 0);
    table.Set(cta, 0);
    table.Set(warp, row.warp);
    table.Set(slot, 3);
    table.Set(ordinal, row.ordinal);
    table.Set(at, row.at);
    table.Set(duration, row.duration);
    table.Set(lost, row.head_lost);
    table.Set(barrier, "full");
    table.Set(kind, row.kind);
    table.EndRow();
  }
  return table.Finish();
}

std::set<std::pair<uint64_t, uint64_t>> Edges(const v1::DataTable& table) {
  std::set<std::pair<uint64_t, uint64_t>> edges;
  for (const BarrierEdge& edge : BarrierEdges(table)) edges.insert({edge.signal, edge.wait});
  return edges;
}

TEST_CASE("edges are rows of the table, CTA by CTA") {
  // Rows 0…3 signal, by two warps; rows 4, 5 wait, by a third.
  const v1::DataTable table = Barriers({{0, "signal", 0, 10}, {0, "signal", 1, 30}, {1, "signal", 0, 12},
                                        {1, "signal", 1, 29}, {2, "wait", 0, 5, 8}, {2, "wait", 1, 15, 20}});
  CHECK(Edges(table) == std::set<std::pair<uint64_t, uint64_t>>{{2, 4}, {1, 5}});
  CHECK(BarrierEdges(v1::DataTable()).empty());
  v1::DataTable without = table;
  without.mutable_columns()->RemoveLast();
  CHECK(BarrierEdges(without).empty());
}

TEST_CASE("a signal's flow ends where the wait does") {
  SyntheticPass pass({"wait full"}, v1::CYCLES, 2.0);
  const uint32_t consumer = pass.Thread("consumer", {.origin_ns = 100});
  const uint32_t producer = pass.Thread("producer", {.origin_ns = 100});
  pass.Did(consumer, 0, 5, 8).Did(producer, 0, 0, 1);
  const v1::DataTable table = Barriers({{1, "signal", 0, 10}, {0, "wait", 0, 5, 8}});
  const perfetto::Trace trace = Parsed(
      Exported(pass, &table, [](ByteSink sink) { return MakePerfettoExporter({}, sink); }));
  uint64_t begun = 0, begun_at = 0, ended = 0, ended_at = 0;
  for (const perfetto::TracePacket& packet : trace.packet()) {
    for (const uint64_t flow : packet.track_event().flow_ids()) {
      begun = flow;
      begun_at = packet.timestamp();
    }
    for (const uint64_t flow : packet.track_event().terminating_flow_ids()) {
      ended = flow;
      ended_at = packet.timestamp();
    }
  }
  CHECK(begun != 0);
  CHECK(begun == ended);
  CHECK(begun_at == 120);
  CHECK(ended_at == 126);
}

// ---- rows --------------------------------------------------------------------------------------

TEST_CASE("tables with different columns become one, with nulls; text and numbers do not mix") {
  table::Builder one("t"), other("t"), wrong("t");
  one.Set(one.Int("a"), 1);
  one.Set(one.Text("name"), "x, y");
  one.EndRow();
  other.Set(other.Number("a"), 2.5);
  other.Set(other.Number("b", "ns"), 7);
  other.EndRow();
  wrong.Set(wrong.Text("a"), "z");
  wrong.EndRow();
  const v1::DataTable first = one.Finish(), second = other.Finish();
  TableColumns columns;
  REQUIRE(columns.See(first).ok());
  REQUIRE(columns.See(second).ok());
  CHECK_THAT(std::string(columns.See(wrong.Finish()).message()), Catch::Contains("column \"a\""));
  std::string csv;
  const auto sink = [&csv](absl::string_view piece) {
    csv.append(piece.data(), piece.size());
    return absl::OkStatus();
  };
  TableColumns again;
  REQUIRE(again.See(first).ok());
  REQUIRE(again.See(second).ok());
  const auto rows = MakeCsvRows(again.columns(), sink);
  REQUIRE(rows->Begin().ok());
  REQUIRE(again.Write(first, 11, 0, rows.get()).ok());
  REQUIRE(again.Write(second, 12, 1, rows.get()).ok());
  REQUIRE(rows->Finish().ok());
  CHECK(csv == "pass_id,pass,a,name,b\n11,0,1,\"x, y\",\n12,1,2.5,,7\n");
}

TEST_CASE("a failing sink ends an export with its status") {
  const auto full = [](absl::string_view) { return absl::ResourceExhaustedError("full"); };
  const auto rows = MakeParquetRows({{"a"}}, {}, full);
  CHECK(rows->Begin().message() == "full");
}

}  // namespace
}  // namespace sextant::analysis
