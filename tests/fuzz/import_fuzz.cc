// What `import` reads of untrusted files: which tool wrote them, gzip, and Chrome traces, whose import must be
// a trace and tables that decode.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/chunk/decoder.h"
#include "proto/table/table.h"
#include "workers/backends/formats/gzip.h"
#include "workers/backends/import/kind.h"
#include "workers/backends/import/trace_events_importer.h"

namespace {

using namespace sextant;

void Check(bool holds) {
  if (!holds) abort();
}

void Read(std::string_view text) {
  backends::import::KindOf(text);
  const auto imported = backends::import::ImportTraceEventsUntrusted(
      text, {.max_instances = 1000, .max_tracks = 16, .max_regions = 8, .max_depth = 4});
  if (!imported.ok()) return;
  uint64_t events = 0;
  for (const std::string& bytes : imported->collected.chunks) {
    const auto chunk = chunk::DecodeUntrusted(bytes);
    Check(chunk.ok());
    events += chunk->header.events();
  }
  Check(events == imported->collected.events);
  for (const v1::DataTable& table : imported->collected.tables) Check(table::Check(table).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (backends::formats::IsGzip(text)) {
    const auto unpacked = backends::formats::UnpackGzipUntrusted(text, 1 << 16);
    if (unpacked.ok()) Check(backends::formats::UnpackGzipHead(text, 100) == unpacked->substr(0, 100));
    if (unpacked.ok()) Read(*unpacked);
    return 0;
  }
  Read(text);
  return 0;
}
