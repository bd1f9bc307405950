// How fast a raw buffer of Proton becomes instances, beside Proton's own C++ reader on the same file
// in the same run: bench/run proton-import [CTAs] [records a warp]
//
// The buffer is what 8 warps a CTA leave that go through a nested and two plain scopes in a loop.
// Proton's reader runs twice: as it parses, and with its correction for the cost of recording (its
// optimisation time_shift), which compares every event of a warp with every other. That takes minutes
// on a large buffer, so it gets the first CTAs of it, and events a second are compared.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "bench/support.h"
#include <nlohmann/json.hpp>
#include "proto/chunk/encoder.h"
#include "workers/backends/proton/raw_buffer.h"

namespace {

using namespace sextant::bench;
using sextant::backends::proton::AddRawBufferUntrusted;
using sextant::backends::proton::ClockEstimate;
using sextant::backends::proton::RawLaunch;
using sextant::backends::proton::Recorded;
using sextant::backends::proton::Recording;

constexpr uint32_t kWarps = 8;
constexpr int kRounds = 5;

std::string MakeBuffer(uint32_t ctas, uint32_t records) {
  const uint32_t data_bytes = kWarps * records * 8;
  const uint32_t block_bytes = 40 + 4 * kWarps + data_bytes;
  std::string file;
  auto put = [&file](auto value) { file.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  for (const uint32_t word : {1u, 4u, 72u, 72u, ctas * block_bytes, 1u, ctas, kWarps, block_bytes, kWarps}) {
    put(word);
  }
  for (uint32_t warp = 0; warp < kWarps; ++warp) put(warp);
  std::mt19937 random(1);
  for (uint32_t cta = 0; cta < ctas; ++cta) {
    for (const uint32_t word : {0xdeadbeefu, cta, cta % 132, data_bytes}) put(word);
    const uint64_t start = 1'000'000'000 + cta / 132 * 100'000;
    for (const uint64_t ns : {start, start + records * 30, start + records * 30 + 500}) put(ns);
    for (uint32_t warp = 0; warp < kWarps; ++warp) put(records * 2);
    for (uint32_t warp = 0; warp < kWarps; ++warp) {
      uint64_t clock = (uint64_t{13} << 32) - 1000 + warp;
      // outer { load } outer-end, dot: six records a round.
      constexpr uint32_t kRound[] = {0, 1, 1 | 256, 0 | 256, 2, 2 | 256};
      for (uint32_t i = 0; i < records; ++i) {
        clock += 20 + random() % 64;
        const uint32_t what = kRound[i % 6];
        put((what >> 8 << 31) | (what & 255) << 23 | static_cast<uint32_t>(clock >> 32));
        put(static_cast<uint32_t>(clock));
      }
    }
  }
  return file;
}

Recorded Import(const std::string& file) {
  Recording recording;
  RawLaunch launch{.kernel = "bench", .scopes = {"outer", "load", "dot"}};
  ClockEstimate clock;
  Check(AddRawBufferUntrusted(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(file.data()), file.size()), launch, clock,
      recording));
  recording.ShiftOrigins(-static_cast<int64_t>(launch.first_origin_ns));
  return recording.Finish(0.5);
}

// Seconds that Proton's reader takes for `file`.
double Peer(const Directory& directory, const std::string& file, const char* how) {
  const std::string path = directory.path() + "/" + how + ".raw";
  std::ofstream(path, std::ios::binary) << file;
  const std::string out = directory.path() + "/" + how + ".json";
  Check(RunProgram({"bench/peers/proton_reader.sh", path, how, out}));
  std::ifstream answer(out);
  return nlohmann::json::parse(answer).at("seconds").get<double>();
}

}  // namespace

int main(int argc, char** argv) {
  const uint32_t ctas = argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 256;
  const uint32_t records = (argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 4092) / 6 * 6;
  if (ctas == 0 || records == 0) {
    std::fprintf(stderr, "usage: bench/run proton-import [CTAs] [records a warp, at least 6]\n");
    return 2;
  }
  const std::string file = MakeBuffer(ctas, records);
  const double events = static_cast<double>(ctas) * kWarps * records / 2;

  std::vector<double> import_s, encode_s;
  uint64_t chunk_bytes = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double began = NowS();
    Recorded recorded = Import(file);
    const double imported = NowS();
    if (static_cast<double>(recorded.instances.size()) != events) {
      std::fprintf(stderr, "%zu events were read, %.0f were written\n", recorded.instances.size(), events);
      return 1;
    }
    chunk_bytes = 0;
    for (const auto& chunk : Check(sextant::chunk::EncodeTrace(std::move(recorded.trace),
                                                               std::move(recorded.instances)))) {
      chunk_bytes += chunk.bytes.size();
    }
    import_s.push_back(imported - began);
    encode_s.push_back(NowS() - imported);
  }
  const double ours = events / Quantile(import_s, 0.5);

  const Directory directory;
  const double plain = events / Peer(directory, file, "plain");
  const uint32_t few = std::min(ctas, 4u);
  const double shift = static_cast<double>(few) * kWarps * records / 2 /
                       Peer(directory, MakeBuffer(few, records), "shift");

  std::printf("%u CTAs × %u warps × %u records, %.1f MB, %.0f events\n", ctas, kWarps, records,
              static_cast<double>(file.size()) / 1e6, events);
  std::printf("  %-44s %12.0f events/s\n", "ours: raw buffer → instances", ours);
  std::printf("  %-44s %12.0f events/s, %.2f B each\n", "ours: and → chunks",
              events / (Quantile(import_s, 0.5) + Quantile(encode_s, 0.5)),
              static_cast<double>(chunk_bytes) / events);
  std::printf("  %-44s %12.0f events/s, %.0f times slower\n", "Proton's reader, parsing alone", plain,
              ours / plain);
  std::printf("  %-44s %12.0f events/s, %.0f times slower\n", "Proton's reader, with time shift", shift,
              ours / shift);
  Figures figures;
  figures.Add("events_per_s", ours);
  figures.Add("speedup", ours / shift);
  figures.Add("speedup_over_parsing", ours / plain);
  figures.Add("chunk_bytes_per_event", static_cast<double>(chunk_bytes) / events);
  figures.Print("proton-import");
  return 0;
}
