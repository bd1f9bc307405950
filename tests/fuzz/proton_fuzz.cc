// Proton's readers under any bytes. First byte: which reader. For the raw buffer the next bytes are a
// small header's numbers, so that inputs get past it; the rest is the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "workers/backends/proton/chrome_trace.h"
#include "workers/backends/proton/hatchet.h"
#include "workers/backends/proton/launch_log.h"
#include "workers/backends/proton/raw_buffer.h"

namespace {

using namespace sextant::backends::proton;

void Check(bool holds) {
  if (!holds) abort();
}

constexpr ImportLimits kLimits = {.max_instances = 1000, .max_tracks = 64, .max_regions = 8, .max_launches = 64};

// What the encoder and the analyses rely on.
void CheckRecorded(Recording& recording) {
  recording.ShiftOrigins(-1000);
  const Recorded recorded = recording.Finish(0.5);
  for (const auto& instance : recorded.instances) {
    Check(instance.track < recorded.trace.tracks.size());
    Check(instance.region < recorded.trace.regions.size());
    Check(instance.start < sextant::chunk::kMaxTime / 4);
    Check(instance.duration < sextant::chunk::kMaxTime / 4);
  }
  for (const auto& track : recorded.trace.tracks) {
    Check(track.role < recorded.trace.roles.size());
    Check(track.origin_ns < sextant::chunk::kMaxTime / 2);
  }
}

void ReadRaw(const uint8_t* data, size_t size) {
  std::vector<uint8_t> file;
  if (size > 4 && data[0] % 4 != 0) {
    const uint32_t units = 1 + data[0] / 4 % 8, recording = 1 + data[1] % units;
    const uint32_t block_bytes = 40 + 4 * units + 4 * (data[2] % 64);
    const uint32_t header[] = {1, 4, 40 + 4 * recording, 40 + 4 * recording, 0, 1, data[3] % 8u, units,
                               block_bytes, recording};
    file.resize(sizeof(header) + 4 * recording);
    std::memcpy(file.data(), header, sizeof(header));
    for (uint32_t i = 0; i < recording; ++i) file[40 + 4 * i] = static_cast<uint8_t>(i);
    file.insert(file.end(), data + 4, data + size);
    file.resize(40 + 4 * recording + block_bytes * header[6]);
    for (uint32_t i = 0; i < header[6]; ++i) {
      const uint32_t preamble = 0xdeadbeef;
      std::memcpy(&file[40 + 4 * recording + block_bytes * i], &preamble, 4);
    }
  } else {
    file.assign(data, data + size);
  }
  Recording recording(kLimits);
  RawLaunch launch{.kernel = "k", .scopes = {"a", "b"}};
  ClockEstimate clock;
  if (AddRawBufferUntrusted(file, launch, clock, recording).ok()) CheckRecorded(recording);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      ReadRaw(data + 1, size - 1);
      break;
    case 1: {
      Recording recording(kLimits);
      (void)AddChromeTraceUntrusted(text, recording);
      CheckRecorded(recording);
      break;
    }
    case 2:
      (void)ReadHostKernelsUntrusted(text, 100);
      break;
    case 3:
      (void)ReadHatchetUntrusted(text);
      break;
    default: {
      const LaunchLog log = ReadLaunchLogUntrusted(text, 10);
      Check(log.launches.size() <= 10);
      for (const auto& launch : log.launches) Check(launch.file.find('/') == std::string::npos);
      break;
    }
  }
  return 0;
}
