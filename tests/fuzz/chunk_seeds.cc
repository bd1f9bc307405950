// Writes chunks of several kinds into the folder argv[1], in both ways that chunk_fuzz reads.
#include <zstd.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include "proto/chunk/encoder.h"

namespace {

int written = 0;

void Write(const std::string& folder, const std::string& bytes) {
  std::ofstream(folder + "/seed" + std::to_string(written++), std::ios::binary) << bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: chunk_seeds FOLDER\n");
    return 2;
  }
  using namespace sextant;
  for (uint32_t kind = 0; kind < 12; ++kind) {
    std::mt19937_64 random(kind);
    chunk::TraceInfo info{.kernel = "k"};
    if (kind % 2 == 1) {
      info.unit = v1::CYCLES;
      info.ns_per_unit = 0.7;
    }
    info.roles = {"", "producer"};
    for (uint32_t i = 0; i <= kind % 5; ++i) info.regions.push_back("r" + std::to_string(i));
    for (uint32_t i = 0; i <= kind % 4; ++i) {
      info.tracks.push_back({.launch = i / 2, .cta = i, .sm = 7 * i, .warp = i, .role = i % 2,
                             .origin_ns = 1000 * i, .dropped = i, .from_tail = i == 1});
    }
    std::vector<chunk::Instance> instances;
    for (uint32_t i = 0; i < 3 * kind; ++i) {
      instances.push_back({static_cast<uint32_t>(random() % info.tracks.size()),
                           static_cast<uint32_t>(random() % info.regions.size()), 10 * i,
                           random() >> (random() % 50 + 10)});
    }
    chunk::Limits limits;
    limits.max_events = 20;
    const auto chunks = chunk::EncodeTrace(info, instances, limits);
    if (!chunks.ok()) {
      std::fprintf(stderr, "%s\n", chunks.status().ToString().c_str());
      return 1;
    }
    for (const chunk::EncodedChunk& c : *chunks) {
      Write(argv[1], std::string(1, '\0') + c.bytes);
      v1::Chunk message;
      if (!message.ParseFromString(c.bytes)) return 1;
      std::string columns(message.header().columns_bytes(), '\0');
      ZSTD_decompress(columns.data(), columns.size(), message.columns().data(),
                      message.columns().size());
      const std::string header = message.header().SerializeAsString();
      std::string open(1, '\1');
      open += static_cast<char>(header.size() & 0xff);
      open += static_cast<char>(header.size() >> 8);
      Write(argv[1], open + header + columns);
    }
  }
  return 0;
}
