// Packets of a Perfetto trace: tracks, slices, counters, with names interned.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/foreign/perfetto.pb.h"
#include "server/analysis/rows.h"

namespace sextant::analysis {

namespace perfetto = foreign::perfetto;

// Packets may come in any order of time: readers sort them, and keep those of equal time in the order
// written. Owns what is not yet flushed, and the names. One thread.
class PerfettoWriter {
 public:
  explicit PerfettoWriter(ByteSink sink) : sink_(sink) {}

  // All return the track's uuid. `rank`: its place among its siblings.
  uint64_t AddProcess(absl::string_view name);
  uint64_t AddTrack(uint64_t parent, absl::string_view name, int rank);
  uint64_t AddCounter(uint64_t parent, absl::string_view name, int rank);

  // A note beside an event.
  struct Note {
    const char* name;
    double number = 0;
    uint64_t whole = 0;
    bool is_whole = true;
  };
  static Note Whole(const char* name, uint64_t value) { return {name, 0, value, true}; }
  static Note Number(const char* name, double value) { return {name, value, 0, false}; }

  void Begin(uint64_t track, uint64_t at_ns, absl::string_view name, absl::Span<const Note> notes);
  void End(uint64_t track, uint64_t at_ns, absl::Span<const uint64_t> ended_flows = {});
  void Instant(uint64_t track, uint64_t at_ns, absl::string_view name, absl::Span<const Note> notes,
               absl::Span<const uint64_t> begun_flows = {});
  void Counter(uint64_t track, uint64_t at_ns, double value);

  // Hands over what has gathered when it is at least so much.
  absl::Status FlushIf(size_t bytes);

 private:
  perfetto::TrackEvent* Event(perfetto::TrackEvent::Type type, uint64_t track, uint64_t at_ns);
  perfetto::TrackDescriptor* Descriptor(uint64_t parent, absl::string_view name, int rank);
  uint64_t NameId(absl::string_view name);
  void AddNotes(absl::Span<const Note> notes, perfetto::TrackEvent* event);
  void Emit();

  const ByteSink sink_;
  std::string bytes_;
  perfetto::TracePacket packet_;   // the one being made
  absl::flat_hash_map<std::string, uint64_t> names_, note_names_;
  uint64_t tracks_ = 0;
  int processes_ = 0;
  bool first_ = true;
};

}  // namespace sextant::analysis
