// What a decoder must survive: nothing here may crash, hang or take memory that was not sent.
#include <zstd.h>

#include <functional>
#include <random>

#include "absl/strings/match.h"
#include "proto/chunk/decoder.h"
#include "proto/chunk/encoder.h"
#include "proto/chunk/varint.h"
#include "tests/catch.h"

namespace sextant::chunk {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

bool Says(const absl::Status& status, const char* text) {
  return absl::StrContains(status.message(), text);
}

std::string Good() {
  TraceInfo info{.kernel = "k", .regions = {"a", "b"}, .roles = {""}, .tracks = {{}, {.warp = 1}}};
  std::vector<Instance> instances;
  for (uint32_t i = 0; i < 100; ++i) instances.push_back({i % 2, i % 2, i * 300, 200 + i});
  return (*EncodeTrace(info, instances))[0].bytes;
}

// The good chunk with its header changed, and decoded.
absl::Status WithHeader(const std::function<void(v1::ChunkHeader&)>& change) {
  v1::Chunk chunk;
  REQUIRE(chunk.ParseFromString(Good()));
  change(*chunk.mutable_header());
  return DecodeUntrusted(chunk.SerializeAsString()).status();
}

v1::ChunkHeader HeaderFor(uint32_t tracks, uint32_t events, const std::string& columns) {
  v1::ChunkHeader h;
  h.set_version(1);
  h.set_unit(v1::NANOSECONDS);
  h.set_ns_per_unit(1);
  h.add_regions("a");
  h.add_roles("");
  h.set_tracks(tracks);
  h.set_events(events);
  h.set_columns_bytes(columns.size());
  return h;
}

std::string Varints(std::initializer_list<uint64_t> values) {
  std::string out;
  for (uint64_t v : values) {
    uint8_t room[2 * kMaxVarint];
    out.append(reinterpret_cast<char*>(room), PutVarint(room, v) - room);
  }
  return out;
}

}  // namespace

TEST_CASE("a chunk cut off anywhere is refused") {
  const std::string good = Good();
  REQUIRE(DecodeUntrusted(good).ok());
  for (size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    REQUIRE(DecodeUntrusted(good.substr(0, length)).status().code() == kInvalid);
  }
  REQUIRE(DecodeUntrusted(good + "x").status().code() == kInvalid);
}

TEST_CASE("a flipped bit is refused or decodes to something within the limits") {
  const std::string good = Good();
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] ^= static_cast<char>(1 << bit % 8);
    auto decoded = DecodeUntrusted(bad);
    (void)DecodeHeaderUntrusted(bad);
    if (decoded.ok()) REQUIRE(decoded->region.size() == 100);
  }
}

TEST_CASE("random bytes are refused") {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    REQUIRE_FALSE(DecodeUntrusted(bytes).ok());
  }
}

TEST_CASE("another version is FAILED_PRECONDITION and says both numbers") {
  const absl::Status status = WithHeader([](auto& h) { h.set_version(2); });
  REQUIRE(status.code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(Says(status, "is 2"));
  REQUIRE(Says(status, "version 1"));
}

TEST_CASE("a header that lies about its columns is refused") {
  REQUIRE(WithHeader([](auto& h) { h.set_events(99); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_events(UINT32_MAX); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_tracks(3); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_tracks(UINT32_MAX); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_first_ns(1); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_last_ns(UINT64_MAX); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_region_bitmap("\x01"); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_region_bitmap(std::string("\x03\0", 2)); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_columns_bytes(uint64_t{1} << 62); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_columns_bytes(h.columns_bytes() + 1); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_dropped(1); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.mutable_regions()->RemoveLast(); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.clear_roles(); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_ns_per_unit(0); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_ns_per_unit(1.0 / 0.0); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_unit(v1::TIME_UNIT_UNSPECIFIED); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_kernel("\x1b[2J"); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) { h.set_kernel(std::string(2000, 'k')); }).code() == kInvalid);
  REQUIRE(WithHeader([](auto& h) {
            for (int i = 0; i < 5000; ++i) h.add_regions("r");
          }).code() == kInvalid);
}

TEST_CASE("a small frame that swells is refused before it is unpacked") {
  v1::Chunk chunk;
  REQUIRE(chunk.ParseFromString(Good()));
  const std::string zeros(64 << 20, '\0');
  std::string bomb(ZSTD_compressBound(zeros.size()), '\0');
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 1));
  chunk.set_columns(bomb);
  REQUIRE(DecodeUntrusted(chunk.SerializeAsString()).status().code() == kInvalid);
  chunk.mutable_header()->set_columns_bytes(zeros.size());
  REQUIRE(DecodeUntrusted(chunk.SerializeAsString()).status().code() == kInvalid);
}

TEST_CASE("two frames, or bytes behind the frame, are refused") {
  v1::Chunk chunk;
  REQUIRE(chunk.ParseFromString(Good()));
  chunk.set_columns(chunk.columns() + chunk.columns());
  REQUIRE(DecodeUntrusted(chunk.SerializeAsString()).status().code() == kInvalid);
}

TEST_CASE("values out of range are refused by name") {
  // One track, one event: launch cta sm warp role origin count dropped flags, region, start low
  // and rest, duration low and rest, ordinal.
  auto refusal = [](std::initializer_list<uint64_t> values) {
    const std::string columns = Varints(values);
    auto decoded = DecodeColumnsUntrusted(HeaderFor(1, 1, columns), columns);
    REQUIRE(decoded.status().code() == kInvalid);
    return decoded.status();
  };
  const uint64_t huge = UINT64_MAX;
  REQUIRE(Says(refusal({huge - 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}), "tracks.launch[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}), "tracks.role[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, huge, 1, 0, 0, 0, 0, 0, 0, 0, 0}), "tracks.origin_ns[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}), "tracks.count[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), "header.events"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, huge, 0, 0, 0, 0, 0, 0, 0}), "tracks.dropped[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0}), "tracks.flags[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0}), "region[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, kMaxTime >> 8, 0, 0, 0}), "start[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, huge, 0}), "duration[0]"));
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0}), "columns 0…9"));
  const uint64_t most = kMaxTime >> 8;
  REQUIRE(Says(refusal({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, most, 0, most, 0}), "event 0"));
}

TEST_CASE("ordinals that would overflow are refused, and so is what follows them") {
  auto status = [](std::initializer_list<uint64_t> values) {
    const std::string columns = Varints(values);
    v1::ChunkHeader h = HeaderFor(1, 1, columns);
    h.set_region_bitmap("\x01");
    return DecodeColumnsUntrusted(h, columns).status().code();
  };
  REQUIRE(status({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5}) == absl::StatusCode::kOk);
  REQUIRE(status({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, UINT64_MAX}) == kInvalid);
  REQUIRE(status({0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 5}) == kInvalid);
}

TEST_CASE("a chunk over a limit names the limit") {
  Limits limits;
  limits.max_chunk_bytes = 10;
  REQUIRE(Says(DecodeUntrusted(Good(), limits).status(), "max_chunk_bytes"));
  limits = {};
  limits.max_events = 99;
  REQUIRE(Says(DecodeUntrusted(Good(), limits).status(), "limit is 99"));
}

}  // namespace sextant::chunk
