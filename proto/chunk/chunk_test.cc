#include <zstd.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

#include "absl/strings/escaping.h"
#include "proto/chunk/decoder.h"
#include "proto/chunk/encoder.h"
#include "proto/chunk/varint.h"
#include "tests/catch.h"

namespace sextant::chunk {
namespace {

TraceInfo SmallInfo() {
  return {.kernel = "pipeline",
          .regions = {"load", "compute", "store"},
          .roles = {"", "producer"},
          .tracks = {{.warp = 0, .role = 1}, {.sm = 3, .warp = 1, .dropped = 7, .from_tail = true}}};
}

std::vector<Instance> SmallInstances() {
  return {{0, 0, 100, 50}, {1, 1, 120, 900}, {0, 0, 200, 50}, {0, 2, 300, 5}, {1, 1, 2000, 1000}};
}

std::string Columns(const std::string& chunk_bytes) {
  v1::Chunk chunk;
  REQUIRE(chunk.ParseFromString(chunk_bytes));
  std::string plain(chunk.header().columns_bytes(), '\0');
  REQUIRE(ZSTD_decompress(plain.data(), plain.size(), chunk.columns().data(),
                          chunk.columns().size()) == plain.size());
  return plain;
}

// A trace with everything in it that the format can say.
struct Random {
  TraceInfo info;
  std::vector<Instance> instances;
};
Random MakeRandom(uint32_t seed) {
  std::mt19937_64 random(seed);
  auto up_to = [&](uint64_t n) { return random() % (n + 1); };
  Random r;
  r.info.kernel = "k" + std::to_string(seed);
  if (seed % 2 == 1) {
    r.info.unit = v1::CYCLES;
    r.info.ns_per_unit = 0.5 + static_cast<double>(up_to(100)) / 100;
  }
  for (uint64_t i = 0; i <= up_to(40); ++i) r.info.regions.push_back("region " + std::to_string(i));
  r.info.roles = {"", "a", "b"};
  for (uint64_t i = 0; i <= up_to(200); ++i) {
    r.info.tracks.push_back({.launch = static_cast<uint32_t>(up_to(3)),
                             .cta = static_cast<uint32_t>(up_to(UINT32_MAX)),
                             .sm = static_cast<uint32_t>(up_to(131)),
                             .warp = static_cast<uint32_t>(up_to(31)),
                             .role = static_cast<uint32_t>(up_to(2)),
                             .origin_ns = up_to(1) * up_to(uint64_t{1} << 40),
                             .dropped = up_to(3) == 0 ? up_to(1000) : 0,
                             .from_tail = up_to(1) == 1});
  }
  const uint64_t events = up_to(5000);
  for (uint64_t i = 0; i < events; ++i) {
    const uint64_t bits = up_to(50);
    r.instances.push_back({static_cast<uint32_t>(up_to(r.info.tracks.size() - 1)),
                           static_cast<uint32_t>(up_to(r.info.regions.size() - 1)),
                           up_to(3) == 0 ? up_to(5) : up_to(uint64_t{1} << bits),
                           up_to(uint64_t{1} << up_to(50))});
  }
  return r;
}

using Row = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint32_t, uint64_t, uint64_t>;
Row RowOf(const Track& t, const Instance& e) {
  return {t.launch, t.cta, t.warp, t.sm, t.origin_ns, e.region, e.start, e.duration};
}

}  // namespace

TEST_CASE("varints of every length survive the way there and back") {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t v : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit, (uint64_t{1} << bit) + 1}) {
      uint8_t room[2 * kMaxVarint];
      const uint8_t* end = PutVarint(room, v);
      CAPTURE(v);
      REQUIRE(end - room == std::max(1, (static_cast<int>(std::bit_width(v)) + 6) / 7));
      VarintReader reader(room, end);
      REQUIRE(reader.Next() == v);
      REQUIRE(reader.ok());
      REQUIRE(reader.at_end());
      REQUIRE(UnZigZag(ZigZag(v, 77), 77) == v);
      REQUIRE(UnZigZag(ZigZag(77, v), v) == 77);
    }
  }
}

TEST_CASE("the columns of a fixed trace are these bytes, for ever") {
  auto chunks = EncodeTrace(SmallInfo(), SmallInstances());
  REQUIRE(chunks.ok());
  REQUIRE(chunks->size() == 1);
  v1::Chunk chunk;
  REQUIRE(chunk.ParseFromString((*chunks)[0].bytes));
  REQUIRE(absl::BytesToHexString(chunk.header().SerializeAsString()) ==
          "0801180121000000000000f03f2a046c6f61642a07636f6d707574652a0573746f72653200320870726f6475636572"
          "38024005486450b8175a010762"
          "08706970656c696e65682e7007");
  REQUIRE(absl::BytesToHexString(Columns((*chunks)[0].bytes)) ==
          // launch, cta, sm, warp, role, origin_ns, count, dropped, flags
          "0000" "0000" "0003" "0002" "0100" "0000" "0302" "0007" "0001"
          // region; start, low bytes and rest; duration likewise
          "0000020101" "6464647858" "0000000007" "32320584e8" "0000000303"
          // ordinals
          "000000");
}

TEST_CASE("a chunk written long ago still reads as it was") {
  // The golden trace above, compressed by zstd 1.5.4.
  const std::string bytes = absl::HexStringToBytes(
      "0a490801180121000000000000f03f2a046c6f61642a07636f6d707574652a0573746f72653200320870"
      "726f647563657238024005486450b8175a01076208706970656c696e65682e7007123728b52ffd202e71"
      "010000000000000300020100000003020007000100000201016464647858000000000732320584e80000"
      "000303000000");
  auto decoded = DecodeUntrusted(bytes);
  REQUIRE(decoded.ok());
  REQUIRE(decoded->header.kernel() == "pipeline");
  REQUIRE(decoded->region == std::vector<uint32_t>{0, 0, 2, 1, 1});
  REQUIRE(decoded->start == std::vector<uint64_t>{100, 200, 300, 120, 2000});
  REQUIRE(decoded->duration == std::vector<uint64_t>{50, 50, 5, 900, 1000});
  REQUIRE(decoded->ordinal == std::vector<uint64_t>{0, 1, 0, 0, 1});
  REQUIRE(decoded->tracks.size() == 2);
  REQUIRE(decoded->tracks[0].track == SmallInfo().tracks[0]);
  REQUIRE(decoded->tracks[1].track == SmallInfo().tracks[1]);
  REQUIRE(decoded->tracks[1].begin == 3);
}

TEST_CASE("what goes in comes out, cut in time order, with ordinals that count on") {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const Random r = MakeRandom(seed);
    Limits limits;
    limits.max_events = 1 + seed * 37;
    limits.max_tracks = seed % 5 == 0 ? 3 : 1000;
    auto chunks = EncodeTrace(r.info, r.instances, limits);
    REQUIRE(chunks.ok());
    REQUIRE(!chunks->empty());

    std::vector<Row> want, got;
    for (const Instance& e : r.instances) want.push_back(RowOf(r.info.tracks[e.track], e));
    uint64_t dropped = 0, want_dropped = 0, latest_first = 0;
    for (const Track& t : r.info.tracks) want_dropped += t.dropped;
    std::map<std::pair<std::tuple<uint32_t, uint32_t, uint32_t, uint64_t>, uint32_t>, uint64_t> next;
    for (size_t c = 0; c < chunks->size(); ++c) {
      auto d = DecodeUntrusted((*chunks)[c].bytes, limits);
      CAPTURE(d.status().ToString());
      REQUIRE(d.ok());
      REQUIRE(d->header.sequence() == c);
      REQUIRE((*chunks)[c].digest == Digest((*chunks)[c].bytes));
      REQUIRE(d->header.events() <= limits.max_events);
      REQUIRE(d->header.tracks() <= limits.max_tracks);
      if (d->header.events() > 0) {
        REQUIRE(d->header.first_ns() >= latest_first);
        latest_first = d->header.first_ns();
      }
      dropped += d->header.dropped();
      for (const TrackSlice& slice : d->tracks) {
        for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
          got.push_back(RowOf(slice.track, {0, d->region[i], d->start[i], d->duration[i]}));
          const Track& t = slice.track;
          auto key = std::make_pair(std::make_tuple(t.launch, t.cta, t.warp, t.origin_ns), d->region[i]);
          REQUIRE(d->ordinal[i] == next[key]++);
        }
      }
    }
    std::sort(want.begin(), want.end());
    std::sort(got.begin(), got.end());
    REQUIRE(got == want);
    REQUIRE(dropped == want_dropped);
  }
}

TEST_CASE("the order in which instances are handed over changes nothing") {
  Random r = MakeRandom(12);
  auto once = EncodeTrace(r.info, r.instances);
  std::shuffle(r.instances.begin(), r.instances.end(), std::mt19937(1));
  auto again = EncodeTrace(r.info, r.instances);
  REQUIRE(once.ok());
  REQUIRE(again.ok());
  REQUIRE(once->size() == again->size());
  for (size_t i = 0; i < once->size(); ++i) REQUIRE((*once)[i].digest == (*again)[i].digest);
}

TEST_CASE("a trace handed over in pieces keeps counting") {
  std::vector<EncodedChunk> chunks;
  auto encoder = Encoder::Create(SmallInfo(), [&](EncodedChunk c) {
    chunks.push_back(std::move(c));
    return absl::OkStatus();
  });
  REQUIRE(encoder.ok());
  REQUIRE((*encoder)->Add({{0, 0, 100, 50}, {0, 0, 200, 50}}).ok());
  REQUIRE((*encoder)->Add({{0, 0, 300, 50}}).ok());
  REQUIRE((*encoder)->Add({{0, 0, 250, 50}}).code() == absl::StatusCode::kInvalidArgument);
  REQUIRE((*encoder)->Finish().ok());
  REQUIRE(chunks.size() == 3);  // the last one tells of the silent track's dropped records
  REQUIRE(DecodeUntrusted(chunks[1].bytes)->ordinal == std::vector<uint64_t>{2});
  REQUIRE(DecodeHeaderUntrusted(chunks[2].bytes)->dropped() == 7);
}

TEST_CASE("an empty trace is one empty chunk") {
  auto chunks = EncodeTrace({.kernel = "nothing"}, {});
  REQUIRE(chunks.ok());
  REQUIRE(chunks->size() == 1);
  auto decoded = DecodeUntrusted((*chunks)[0].bytes);
  REQUIRE(decoded.ok());
  REQUIRE(decoded->header.kernel() == "nothing");
  REQUIRE(decoded->region.empty());
}

TEST_CASE("names of any bytes become printable") {
  TraceInfo info = SmallInfo();
  info.kernel = std::string("a\x1b[31m\xff\0z", 9) + "µ…𝛼";
  info.regions[0] = std::string(5000, 'x');
  auto chunks = EncodeTrace(info, SmallInstances());
  REQUIRE(chunks.ok());
  auto header = DecodeHeaderUntrusted((*chunks)[0].bytes);
  REQUIRE(header.ok());
  REQUIRE(header->kernel() == "a?[31m??zµ…𝛼");
  REQUIRE(header->regions(0).size() == Limits{}.max_name_bytes);
}

TEST_CASE("the encoder refuses what it cannot say") {
  auto code = [](TraceInfo info, std::vector<Instance> instances) {
    return EncodeTrace(std::move(info), std::move(instances)).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  REQUIRE(code(SmallInfo(), {{2, 0, 0, 0}}) == kInvalid);
  REQUIRE(code(SmallInfo(), {{0, 3, 0, 0}}) == kInvalid);
  REQUIRE(code(SmallInfo(), {{0, 0, kMaxTime + 1, 0}}) == kInvalid);
  REQUIRE(code(SmallInfo(), {{0, 0, kMaxTime, kMaxTime}}) == kInvalid);
  TraceInfo info = SmallInfo();
  info.ns_per_unit = 2;
  REQUIRE(code(info, {}) == kInvalid);
  info = SmallInfo();
  info.tracks[0].role = 2;
  REQUIRE(code(info, {}) == kInvalid);
  info = SmallInfo();
  info.regions.resize(5000);
  REQUIRE(code(info, {}) == kInvalid);
}

}  // namespace sextant::chunk
