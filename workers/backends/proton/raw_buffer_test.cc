// The raw buffer's reader: on recordings of real hardware, on wrapped buffers, on hostile bytes.
#include "workers/backends/proton/raw_buffer.h"

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

#include "tests/catch.h"
#include "workers/backends/proton/chrome_trace.h"
#include "workers/backends/proton/testing.h"

namespace sextant::backends::proton {
namespace {

using testing::Begin;
using testing::Block;
using testing::End;
using testing::RawFile;
using testing::Record;

Recorded Import(const std::vector<uint8_t>& file, double ns_per_cycle = 1,
                std::vector<std::string> scopes = {"load", "dot", "wait"}) {
  Recording recording;
  RawLaunch launch{.kernel = "mm", .scopes = std::move(scopes)};
  ClockEstimate clock;
  const absl::Status status = AddRawBufferUntrusted(file, launch, clock, recording);
  INFO(status);
  REQUIRE(status.ok());
  recording.ShiftOrigins(-static_cast<int64_t>(launch.first_origin_ns));
  return recording.Finish(ns_per_cycle);
}

// Where an instance is, and its cycles since its CTA's first record.
using Where = std::tuple<uint32_t, uint32_t, uint32_t, std::string, uint64_t, uint64_t>;

std::vector<Where> Sorted(const Recorded& recorded) {
  std::vector<Where> all;
  for (const chunk::Instance& i : recorded.instances) {
    const chunk::Track& t = recorded.trace.tracks[i.track];
    all.emplace_back(t.cta, t.sm, t.warp, recorded.trace.regions[i.region], i.start, i.duration);
  }
  std::sort(all.begin(), all.end());
  return all;
}

bool HasNote(const Recorded& recorded, const std::string& part) {
  return std::any_of(recorded.notes.begin(), recorded.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST_CASE("a recording of an H200 has the cycles that Proton's own trace has") {
  const std::string name = GENERATE("mm_shared_0", "mm_global_0");
  const std::string raw = testing::Recording(name + ".bin");
  const Recorded ours = Import({raw.begin(), raw.end()}, 1, {"mainloop", "load", "dot", "epilogue"});
  Recording chrome;
  REQUIRE(AddChromeTraceUntrusted(testing::Recording(name + ".chrome_trace"), chrome).ok());
  const Recorded theirs = chrome.Finish(1);
  REQUIRE(ours.instances.size() == 17408);  // 64 CTAs × 8 warps × (1 + 16 + 16 + 1)
  CHECK(ours.trace.tracks.size() == 64 * 8);
  CHECK(ours.losses.overwritten == 0);
  CHECK(ours.losses.begins_without_end + ours.losses.ends_without_begin == 0);
  CHECK(Sorted(ours) == Sorted(theirs));
}

TEST_CASE("a warp-specialised kernel's recording has the roles of its warps") {
  const std::string raw = testing::Recording("gluon_ws.bin");
  const Recorded ours = Import({raw.begin(), raw.end()}, 1,
                               {"wait_full", "mma", "epilogue", "wait_empty", "issue_loads"});
  Recording chrome;
  REQUIRE(AddChromeTraceUntrusted(testing::Recording("gluon_ws.chrome_trace"), chrome).ok());
  CHECK(Sorted(ours) == Sorted(chrome.Finish(1)));
  REQUIRE(ours.trace.tracks.size() == 4 * 5);
  std::map<uint32_t, std::string> roles;
  for (const chunk::Track& track : ours.trace.tracks) roles[track.warp] = ours.trace.roles[track.role];
  const std::string consumer = "wait_full+mma+epilogue";
  CHECK(roles == std::map<uint32_t, std::string>{{0, consumer}, {1, consumer}, {2, consumer},
                                                 {3, consumer}, {6, "wait_empty+issue_loads"}});
}

TEST_CASE("a recording that wrapped on hardware keeps the last records of every warp") {
  const std::string raw = testing::Recording("mm_wrapped.bin");
  const Recorded recorded =
      Import({raw.begin(), raw.end()}, 0.505, {"mainloop", "load", "dot", "epilogue"});
  // 132 records a warp, 16 kept: an end of dot, then six pairs of load and dot, then the mainloop's
  // end without its begin, and the epilogue.
  REQUIRE(recorded.trace.tracks.size() == 256 * 8);
  CHECK(recorded.losses.overwritten == 256 * 8 * 116);
  CHECK(recorded.losses.backwards == 0);
  CHECK(recorded.losses.begins_without_end == 0);
  std::map<std::string, size_t> count;
  for (const auto& i : recorded.instances) ++count[recorded.trace.regions[i.region]];
  CHECK(count == std::map<std::string, size_t>{{"load", 256 * 8 * 3}, {"dot", 256 * 8 * 3},
                                               {"epilogue", 256 * 8}});
  for (const auto& i : recorded.instances) {
    // Placed at the end of CTAs that took 26 µs.
    if (i.start < 20'000 || i.start > 60'000 || i.duration > 10'000) FAIL(i.start << " " << i.duration);
  }
}

TEST_CASE("CTAs keep their starts in ns, and a lower bound of the clock's rate is told from them") {
  const std::string raw = testing::Recording("mm_shared_0.bin");
  Recording recording;
  RawLaunch launch{.kernel = "mm"};
  ClockEstimate clock;
  REQUIRE(AddRawBufferUntrusted({reinterpret_cast<const uint8_t*>(raw.data()), raw.size()}, launch,
                                clock, recording)
              .ok());
  CHECK(launch.first_origin_ns == 1795373146787745312);
  // The H200's clock is 1.98 GHz at most; the scopes do not cover the CTAs' begin and end.
  CHECK(clock.cycles_per_ns > 1.4);
  CHECK(clock.cycles_per_ns < 1.99);
  recording.ShiftOrigins(1000 - static_cast<int64_t>(launch.first_origin_ns));
  const Recorded recorded = recording.Finish(0.505);
  const chunk::Track& first = recorded.trace.tracks[0];
  CHECK(first.cta == 0);
  CHECK(first.sm == 128);
  CHECK(first.origin_ns == 1032);
}

TEST_CASE("a wrapped buffer keeps the scope across its seam and counts what is lost") {
  // Eight records in a buffer of five: the oldest kept is end(0) of the second pair.
  const Recorded recorded = Import(RawFile(
      {Block{.warps = {{Begin(0, 100), End(0, 110), Begin(0, 200), End(0, 220), Begin(0, 300),
                        End(0, 330), Begin(1, 400), End(1, 440)}}}},
      1, 5));
  REQUIRE(recorded.instances.size() == 2);
  CHECK(recorded.losses.overwritten == 3);
  CHECK(recorded.losses.ends_without_begin == 0);
  CHECK(recorded.trace.tracks[0].dropped == 3);
  CHECK(recorded.trace.tracks[0].from_tail);
  CHECK(HasNote(recorded, "3 records were overwritten"));
  std::map<uint64_t, std::string> by_duration;
  for (const auto& i : recorded.instances) by_duration[i.duration] = recorded.trace.regions[i.region];
  CHECK(by_duration == std::map<uint64_t, std::string>{{30, "load"}, {40, "dot"}});
}

TEST_CASE("a CTA that lost its head is placed by its end") {
  std::vector<Record> records;
  for (uint64_t i = 0; i < 100; ++i) {
    records.push_back(Begin(0, 5000 + i * 100));
    records.push_back(End(0, 5050 + i * 100));
  }
  // 10,000 ns at half a nanosecond a cycle: the last record, 150 cycles after the first kept, is
  // 20,000 cycles after the start.
  const Recorded recorded = Import(RawFile({Block{.warps = {records}}}, 1, 4), 0.5);
  REQUIRE(recorded.instances.size() == 2);
  CHECK(recorded.instances[0].start == 20'000 - 150);
  CHECK(recorded.instances[1].start == 20'000 - 50);
}

TEST_CASE("a buffer that is exactly full has lost nothing") {
  const Recorded recorded =
      Import(RawFile({Block{.warps = {{Begin(0, 1), End(0, 2), Begin(0, 3), End(0, 5)}}}}, 1, 4));
  CHECK(recorded.instances.size() == 2);
  CHECK(recorded.losses.overwritten == 0);
  CHECK_FALSE(recorded.trace.tracks[0].from_tail);
}

TEST_CASE("clocks go on over 32 bits, over the 43 bits a record holds, and over a short clock's 32") {
  const uint64_t base = GENERATE((uint64_t{1} << 32) - 30, (uint64_t{13} << 32) - 30,
                                 (uint64_t{1} << 43) - 30);
  const bool wraps = base > (uint64_t{1} << 42);
  const Recorded recorded = Import(RawFile(
      {Block{.warps = {{Begin(0, base), End(0, base + 50), Begin(1, base + 60), End(1, base + 70)},
                       {Begin(2, base + 20), End(2, base + 45)}}}},
      2, 8));
  INFO(base << (wraps ? " wraps" : ""));
  CHECK(Sorted(recorded) == std::vector<Where>{{0, 0, 0, "dot", 60, 10},
                                               {0, 0, 0, "load", 0, 50},
                                               {0, 0, 1, "wait", 20, 25}});

  // The short clock: bits above 32 are 0.
  const uint64_t low = (uint64_t{1} << 32) - 10;
  const Recorded brief =
      Import(RawFile({Block{.warps = {{Begin(0, low), End(0, 40)}}}}, 1, 8));
  REQUIRE(brief.instances.size() == 1);
  CHECK(brief.instances[0].duration == 50);
}

TEST_CASE("scopes may overlap without nesting, and an end belongs to the last begin of its scope") {
  const Recorded recorded = Import(RawFile(
      {Block{.warps = {{Begin(0, 0), Begin(1, 10), End(0, 20), End(1, 40), Begin(2, 50),
                        Begin(2, 60), End(2, 65), End(2, 66)}}}},
      1, 16));
  CHECK(Sorted(recorded) == std::vector<Where>{{0, 0, 0, "dot", 10, 30},
                                               {0, 0, 0, "load", 0, 20},
                                               {0, 0, 0, "wait", 60, 5}});
  CHECK(recorded.losses.begins_without_end == 1);
  CHECK(recorded.losses.ends_without_begin == 1);
  CHECK(HasNote(recorded, "not balanced"));
}

TEST_CASE("warps that were chosen to record keep their ids, and blocks not written are no CTAs") {
  const std::vector<uint8_t> file = RawFile(
      {Block{.warps = {{Begin(0, 5), End(0, 7)}, {Begin(1, 5), End(1, 9)}}, .cta = 4, .sm = 9},
       Block{.written = false}},
      8, 4, {1, 6});
  const Recorded recorded = Import(file);
  REQUIRE(recorded.trace.tracks.size() == 2);
  CHECK(Sorted(recorded) ==
        std::vector<Where>{{4, 9, 1, "load", 0, 2}, {4, 9, 6, "dot", 0, 4}});
}

TEST_CASE("warps that record other regions than their neighbours get roles") {
  const Recorded recorded = Import(RawFile(
      {Block{.warps = {{Begin(0, 0), End(0, 1)},
                       {Begin(1, 0), End(1, 1), Begin(2, 2), End(2, 3)},
                       {Begin(1, 0), End(1, 1), Begin(2, 2), End(2, 3)}}}},
      3, 8));
  std::map<uint32_t, std::string> roles;
  for (const chunk::Track& track : recorded.trace.tracks) {
    roles[track.warp] = recorded.trace.roles[track.role];
  }
  CHECK(roles == std::map<uint32_t, std::string>{{0, "load"}, {1, "dot+wait"}, {2, "dot+wait"}});
  const Recorded same = Import(RawFile(
      {Block{.warps = {{Begin(0, 0), End(0, 1)}, {Begin(0, 0), End(0, 1)}}}}, 2, 8));
  CHECK(same.trace.roles == std::vector<std::string>{""});
}

TEST_CASE("two kernels in one trace keep their scopes apart") {
  Recording recording;
  ClockEstimate clock;
  RawLaunch add{.kernel = "add", .number = 0, .scopes = {"load"}};
  RawLaunch mm{.kernel = "mm", .number = 3, .scopes = {"load"}};
  const auto file = RawFile({Block{.warps = {{Begin(0, 0), End(0, 1)}}}}, 1, 4);
  REQUIRE(AddRawBufferUntrusted(file, add, clock, recording).ok());
  REQUIRE(AddRawBufferUntrusted(file, mm, clock, recording).ok());
  const Recorded recorded = recording.Finish(1);
  CHECK(recorded.trace.regions == std::vector<std::string>{"add/load", "mm/load"});
  CHECK(recorded.trace.kernel == "add, mm");
  CHECK(recorded.trace.tracks[1].launch == 3);
}

TEST_CASE("a header that cannot be is refused with the field's name") {
  const auto good = RawFile({Block{.warps = {{Begin(0, 0), End(0, 1)}}}}, 1, 4);
  const auto refusal = [&](size_t word, uint32_t value) {
    std::vector<uint8_t> bad = good;
    std::memcpy(&bad[word * 4], &value, 4);
    Recording recording;
    RawLaunch launch;
    ClockEstimate clock;
    const absl::Status status = AddRawBufferUntrusted(bad, launch, clock, recording);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(recording.instances() == 0);
    return std::string(status.message());
  };
  CHECK_THAT(refusal(0, 2), Catch::Contains("version 2"));
  CHECK_THAT(refusal(3, 1 << 30), Catch::Contains("payload_offset"));
  CHECK_THAT(refusal(6, 1 << 30), Catch::Contains("block_num"));
  CHECK_THAT(refusal(7, 0), Catch::Contains("total_unit"));
  CHECK_THAT(refusal(7, UINT32_MAX), Catch::Contains("total_unit"));
  CHECK_THAT(refusal(8, 8), Catch::Contains("scratch_mem_size"));
  CHECK_THAT(refusal(9, 2), Catch::Contains("uid_num"));
  CHECK_THAT(refusal(10, 1), Catch::Contains("uid_vec[0]"));
}

TEST_CASE("damaged recordings never break what a trace promises") {
  std::string raw = testing::Recording("mm_shared_0.bin");
  raw.resize(72 + 4 * 8320);
  uint32_t four = 4;
  std::memcpy(&raw[24], &four, 4);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint8_t> bytes(raw.begin(), raw.end());
    for (int i = 0; i < 200; ++i) bytes[72 + random() % (bytes.size() - 72)] = random() & 0xff;
    const Recorded recorded = Import(bytes);
    const auto chunks = chunk::EncodeTrace(recorded.trace, recorded.instances);
    INFO(chunks.status());
    REQUIRE(chunks.ok());
  }
}

TEST_CASE("what is above a limit is left out and counted") {
  Recording recording({.max_instances = 3, .max_tracks = 1, .max_regions = 1});
  RawLaunch launch{.kernel = "mm"};
  ClockEstimate clock;
  const auto file = RawFile(
      {Block{.warps = {{Begin(0, 0), End(0, 1), Begin(0, 2), End(0, 3), Begin(1, 4), End(1, 5)},
                       {Begin(0, 0), End(0, 1)}}}},
      2, 8);
  REQUIRE(AddRawBufferUntrusted(file, launch, clock, recording).ok());
  const Recorded recorded = recording.Finish(1);
  CHECK(recorded.instances.size() == 2);
  CHECK(recorded.losses.over_limit == 2);
  CHECK(HasNote(recorded, "2 scopes were left out"));
}

}  // namespace
}  // namespace sextant::backends::proton
