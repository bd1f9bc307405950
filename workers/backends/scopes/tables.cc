#include "workers/backends/scopes/tables.h"

namespace sextant::backends::scopes {

BarrierTable::BarrierTable()
    : launch_(table_.Int("launch")),
      cta_(table_.Int("cta")),
      warp_(table_.Int("warp")),
      slot_(table_.Int("slot")),
      ordinal_(table_.Int("ordinal")),
      at_(table_.Int("at_cycles", "cycles")),
      duration_(table_.Int("duration_cycles", "cycles")),
      head_lost_(table_.Int("head_lost")),
      barrier_(table_.Text("barrier")),
      kind_(table_.Text("kind")) {}

void BarrierTable::Add(const BarrierRow& row) {
  table_.Set(launch_, row.launch);
  table_.Set(cta_, row.cta);
  table_.Set(warp_, row.warp);
  table_.Set(slot_, row.slot);
  table_.Set(ordinal_, static_cast<int64_t>(row.ordinal));
  table_.Set(at_, static_cast<int64_t>(row.at_cycles));
  table_.Set(duration_, static_cast<int64_t>(row.duration_cycles));
  table_.Set(head_lost_, row.head_lost);
  table_.Set(barrier_, row.barrier);
  table_.Set(kind_, row.wait ? "wait" : "signal");
  table_.EndRow();
}

OpenTable::OpenTable()
    : launch_(table_.Int("launch")),
      cta_(table_.Int("cta")),
      sm_(table_.Int("sm")),
      warp_(table_.Int("warp")),
      slot_(table_.Int("slot")),
      depth_(table_.Int("depth")),
      since_(table_.Int("since_cycles", "cycles")),
      kernel_(table_.Text("kernel")),
      role_(table_.Text("role")),
      region_(table_.Text("region")) {}

void OpenTable::Add(const OpenRow& row) {
  table_.Set(launch_, row.launch);
  table_.Set(cta_, row.cta);
  table_.Set(sm_, row.sm);
  table_.Set(warp_, row.warp);
  table_.Set(slot_, row.slot);
  table_.Set(depth_, row.depth);
  table_.Set(since_, static_cast<int64_t>(row.since_cycles));
  table_.Set(kernel_, row.kernel);
  table_.Set(role_, row.role);
  table_.Set(region_, row.region);
  table_.EndRow();
}

LaunchTable::LaunchTable()
    : launch_(table_.Int("launch")),
      process_(table_.Int("process")),
      device_(table_.Int("device")),
      start_(table_.Int("start_ns", "ns")),
      end_(table_.Int("end_ns", "ns")),
      duration_(table_.Int("duration_ns", "ns")),
      ctas_(table_.Int("ctas")),
      recorded_(table_.Int("ctas_recorded")),
      kernel_(table_.Text("kernel")),
      source_(table_.Text("source")) {}

void LaunchTable::Add(const LaunchRow& row) {
  table_.Set(launch_, row.launch);
  table_.Set(process_, row.process);
  table_.Set(device_, row.device);
  table_.Set(start_, static_cast<int64_t>(row.start_ns));
  table_.Set(end_, static_cast<int64_t>(row.end_ns));
  table_.Set(duration_, static_cast<int64_t>(row.end_ns - row.start_ns));
  table_.Set(ctas_, row.ctas);
  table_.Set(recorded_, static_cast<int64_t>(row.ctas_recorded));
  table_.Set(kernel_, row.kernel);
  table_.Set(source_, "scopes");
  table_.EndRow();
}

}  // namespace sextant::backends::scopes
