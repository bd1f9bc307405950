#include "server/analysis/perfetto_writer.h"

#include "proto/status/status.h"

namespace sextant::analysis {
namespace {

constexpr uint32_t kSequence = 1;   // all packets are of one
constexpr char kPacketTag = 1 << 3 | 2;   // Trace.packet, and its length follows

}  // namespace

// Appends the packet and empties it.
void PerfettoWriter::Emit() {
  packet_.set_trusted_packet_sequence_id(kSequence);
  packet_.set_sequence_flags(first_ ? perfetto::TracePacket::SEQ_INCREMENTAL_STATE_CLEARED
                                    : perfetto::TracePacket::SEQ_NEEDS_INCREMENTAL_STATE);
  first_ = false;
  bytes_.push_back(kPacketTag);
  size_t size = packet_.ByteSizeLong();
  for (; size >= 0x80; size >>= 7) bytes_.push_back(static_cast<char>(size | 0x80));
  bytes_.push_back(static_cast<char>(size));
  packet_.AppendToString(&bytes_);
  packet_.Clear();
}

perfetto::TrackDescriptor* PerfettoWriter::Descriptor(uint64_t parent, absl::string_view name,
                                                      int rank) {
  perfetto::TrackDescriptor* track = packet_.mutable_track_descriptor();
  track->set_uuid(++tracks_);
  track->set_child_ordering(perfetto::TrackDescriptor::EXPLICIT);
  track->set_sibling_order_rank(rank);
  if (parent != 0) {
    track->set_parent_uuid(parent);
    track->set_name(name.data(), name.size());
  }
  return track;
}

uint64_t PerfettoWriter::AddProcess(absl::string_view name) {
  perfetto::TrackDescriptor* track = Descriptor(0, "", processes_);
  track->mutable_process()->set_pid(++processes_);   // 0 is the idle one's
  track->mutable_process()->set_process_name(name.data(), name.size());
  Emit();
  return tracks_;
}

uint64_t PerfettoWriter::AddTrack(uint64_t parent, absl::string_view name, int rank) {
  Descriptor(parent, name, rank);
  Emit();
  return tracks_;
}

uint64_t PerfettoWriter::AddCounter(uint64_t parent, absl::string_view name, int rank) {
  Descriptor(parent, name, rank)
      ->mutable_counter()
      ->set_unit(perfetto::CounterDescriptor::UNIT_TIME_NS);
  Emit();
  return tracks_;
}

perfetto::TrackEvent* PerfettoWriter::Event(perfetto::TrackEvent::Type type, uint64_t track,
                                            uint64_t at_ns) {
  packet_.set_timestamp(at_ns);
  perfetto::TrackEvent* event = packet_.mutable_track_event();
  event->set_type(type);
  event->set_track_uuid(track);
  return event;
}

uint64_t PerfettoWriter::NameId(absl::string_view name) {
  const auto [at, added] = names_.try_emplace(name, names_.size() + 1);
  if (added) {
    perfetto::InternedName* interned = packet_.mutable_interned_data()->add_event_names();
    interned->set_iid(at->second);
    interned->set_name(name.data(), name.size());
  }
  return at->second;
}

void PerfettoWriter::AddNotes(absl::Span<const Note> notes, perfetto::TrackEvent* event) {
  for (const Note& note : notes) {
    const auto [at, added] = note_names_.try_emplace(note.name, note_names_.size() + 1);
    if (added) {
      perfetto::InternedName* name = packet_.mutable_interned_data()->add_debug_annotation_names();
      name->set_iid(at->second);
      name->set_name(note.name);
    }
    perfetto::DebugAnnotation* annotation = event->add_debug_annotations();
    annotation->set_name_iid(at->second);
    if (note.is_whole) annotation->set_uint_value(note.whole);
    else annotation->set_double_value(note.number);
  }
}

void PerfettoWriter::Begin(uint64_t track, uint64_t at_ns, absl::string_view name,
                           absl::Span<const Note> notes) {
  perfetto::TrackEvent* event = Event(perfetto::TrackEvent::TYPE_SLICE_BEGIN, track, at_ns);
  event->set_name_iid(NameId(name));
  AddNotes(notes, event);
  Emit();
}

void PerfettoWriter::End(uint64_t track, uint64_t at_ns, absl::Span<const uint64_t> ended_flows) {
  perfetto::TrackEvent* event = Event(perfetto::TrackEvent::TYPE_SLICE_END, track, at_ns);
  for (uint64_t flow : ended_flows) event->add_terminating_flow_ids(flow);
  Emit();
}

void PerfettoWriter::Instant(uint64_t track, uint64_t at_ns, absl::string_view name,
                             absl::Span<const Note> notes, absl::Span<const uint64_t> begun_flows) {
  perfetto::TrackEvent* event = Event(perfetto::TrackEvent::TYPE_INSTANT, track, at_ns);
  event->set_name_iid(NameId(name));
  for (uint64_t flow : begun_flows) event->add_flow_ids(flow);
  AddNotes(notes, event);
  Emit();
}

void PerfettoWriter::Counter(uint64_t track, uint64_t at_ns, double value) {
  Event(perfetto::TrackEvent::TYPE_COUNTER, track, at_ns)->set_double_counter_value(value);
  Emit();
}

absl::Status PerfettoWriter::FlushIf(size_t bytes) {
  if (bytes_.empty() || bytes_.size() < bytes) return absl::OkStatus();
  RETURN_IF_ERROR(sink_(bytes_));
  bytes_.clear();
  return absl::OkStatus();
}

}  // namespace sextant::analysis
