// The tables that scopes leave beside their trace (docs/tables.md).
#pragma once

#include <cstdint>
#include <string>

#include "proto/table/table.h"

namespace sextant::backends::scopes {

// A wait for, or a signal to, one slot of a barrier.
struct BarrierRow {
  uint32_t launch, cta, warp;
  std::string barrier;
  uint32_t slot;
  bool wait;
  uint64_t ordinal;  // of the same (launch, CTA, warp, barrier, slot, kind)
  uint64_t at_cycles;
  uint64_t duration_cycles;
  bool head_lost;
};

class BarrierTable {
 public:
  BarrierTable();
  void Add(const BarrierRow& row);
  uint64_t rows() const { return table_.rows(); }
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_{"barriers"};
  table::Builder::IntColumn launch_, cta_, warp_, slot_, ordinal_, at_, duration_, head_lost_;
  table::Builder::TextColumn barrier_, kind_;
};

// A region that a warp was inside when its process, or the recording, ended.
struct OpenRow {
  uint32_t launch, cta, sm, warp;
  std::string kernel, role, region;
  int64_t slot;  // of a barrier; -1: none
  uint32_t depth;
  uint64_t since_cycles;
};

class OpenTable {
 public:
  OpenTable();
  void Add(const OpenRow& row);
  uint64_t rows() const { return table_.rows(); }
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_{"open_scopes"};
  table::Builder::IntColumn launch_, cta_, sm_, warp_, slot_, depth_, since_;
  table::Builder::TextColumn kernel_, role_, region_;
};

struct LaunchRow {
  uint32_t launch, process, device;
  std::string kernel;
  uint64_t start_ns, end_ns;
  uint32_t ctas;
  uint64_t ctas_recorded;
};

class LaunchTable {
 public:
  LaunchTable();
  void Add(const LaunchRow& row);
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_{"launches"};
  table::Builder::IntColumn launch_, process_, device_, start_, end_, duration_, ctas_, recorded_;
  table::Builder::TextColumn kernel_, source_;
};

}  // namespace sextant::backends::scopes
