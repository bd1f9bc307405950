#include "server/analysis/registers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/occupancy/occupancy.h"
#include "proto/status/status.h"
#include "server/analysis/chip.h"
#include "server/analysis/columns.h"
#include "server/analysis/kernel_code.h"
#include "server/analysis/live_registers.h"
#include "server/analysis/region_map.h"
#include "server/analysis/region_names.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxProfile = 64;
constexpr uint32_t kMinRegisters = 16;   // no compiler goes below
constexpr double kAgrees = 0.01;         // percentage points of occupancy

// Bytes that one thread moves by an access to local memory.
double WidthBytes(const SassInstruction& one) {
  if (one.Has("128")) return 16;
  if (one.Has("64")) return 8;
  if (one.Has("U16") || one.Has("S16") || one.Has("16")) return 2;
  if (one.Has("U8") || one.Has("S8")) return 1;
  return 4;
}

class Builder {
 public:
  explicit Builder(const Evidence& evidence) : evidence_(evidence), basis_(out_.mutable_basis()) {}

  absl::StatusOr<v1::Registers> Build() {
    evidence_.Begin(basis_);
    out_.set_spill_bytes(NAN);
    out_.set_occupancy_pct(NAN);
    ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence_, "how many registers are live, and where", basis_));
    if (code != nullptr) {
      Live(*code);
      RETURN_IF_ERROR(Spills(*code));
    }
    CompiledSpills();
    Occupancy(code != nullptr ? code->function.architecture : 0);
    return std::move(out_);
  }

 private:
  std::string Where(const KernelCode& code, uint32_t i) const {
    const SassInstruction& one = code.function.code[i];
    return ShortPlace(code.function.files[one.file], one.line);
  }

  void Live(const KernelCode& code) {
    const std::vector<uint32_t> live = LiveRegisterCounts(code.function, code.flow);
    std::map<std::string, uint32_t> peaks;   // by line: where it is worst
    uint32_t peak = 0;
    for (uint32_t i = 0; i < live.size(); ++i) {
      if (live[i] > live[peak]) peak = i;
      std::string where = Where(code, i);
      if (where.empty()) continue;
      const auto [at, added] = peaks.try_emplace(std::move(where), i);
      if (!added && live[i] > live[at->second]) at->second = i;
    }
    const auto fill = [&](uint32_t i, v1::LiveRegisters* to) {
      to->set_pc(code.function.code[i].pc);
      to->set_opcode(code.function.TextOf(i));
      to->set_live(live[i]);
      to->set_where(Where(code, i));
    };
    out_.set_max_live(live[peak]);
    fill(peak, out_.mutable_peak());
    std::vector<uint32_t> order;
    for (const auto& [where, i] : peaks) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return live[a] > live[b]; });
    for (const uint32_t i : order) {
      if (static_cast<size_t>(out_.profile_size()) == kMaxProfile) break;
      fill(i, out_.add_profile());
    }
    if (!code.function.lines)
      basis_->add_notes("the code has no source lines: compile with -lineinfo to see where registers are live");
    for (const SassInstruction& one : code.function.code)
      if (one.mnemonic() == "USETMAXREG") {
        basis_->add_notes("warps of the kernel pass registers to each other (setmaxnreg): a warp has more or less than the launch "
                          "gave it");
        break;
      }
  }

  absl::Status Spills(const KernelCode& code) {
    std::vector<uint32_t> sites;
    for (uint32_t i = 0; i < code.function.code.size(); ++i)
      if (const auto name = code.function.code[i].mnemonic(); name == "STL" || name == "LDL") sites.push_back(i);
    if (sites.empty()) {
      out_.set_spill_bytes(0);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence_, "how many bytes spills move", basis_));
    ASSIGN_OR_RETURN(const auto names, ReadRegionNames(evidence_));
    v1::Basis unsaid;   // a site without its region says enough
    ASSIGN_OR_RETURN(const RegionMap map, ReadRegionMap(evidence_, names, &code, counts, {}, &unsaid));
    double bytes = 0;
    std::vector<v1::SpillSite> all;
    for (const uint32_t i : sites) {
      const SassInstruction& one = code.function.code[i];
      v1::SpillSite& site = all.emplace_back();
      site.set_pc(one.pc);
      site.set_store(one.mnemonic() == "STL");
      site.set_where(Where(code, i));
      if (site.where().empty()) site.set_where(absl::StrFormat("pc 0x%x", one.pc));
      if (const auto at = map.at.find(one.pc); at != map.at.end() && at->second.innermost >= 0)
        site.set_region(map.regions[static_cast<size_t>(at->second.innermost)].name);
      const auto count = counts.find(one.pc);
      const bool known = !counts.empty();   // what was never executed has no row
      site.set_executed(!known ? NAN : count == counts.end() ? 0 : count->second.executed);
      site.set_bytes(!known                   ? NAN
                     : count == counts.end() ? 0
                                             : (count->second.threads - count->second.predicated_off) * WidthBytes(one));
      bytes += site.bytes();
    }
    out_.set_spill_bytes(bytes);
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.bytes() > b.bytes(); });
    for (v1::SpillSite& site : all) *out_.add_spills() = std::move(site);
    return absl::OkStatus();
  }

  // What the compiler made, by the table `kernels`.
  void CompiledSpills() {
    for (const v1::PassInfo& pass : evidence_.passes()) {
      if (!EndedWell(pass) || !Evidence::Has(pass, "kernels")) continue;
      const auto read = evidence_.Read(pass, "kernels");
      if (!read.ok()) continue;
      const TextColumn kernel(**read, "kernel"), digest(**read, "sass_digest");
      const NumberColumn store(**read, "spill_store_bytes"), load(**read, "spill_load_bytes");
      for (uint64_t row = 0; row < (*read)->rows(); ++row) {
        if (!evidence_.IsKernel(std::string(kernel[row])) || (!evidence_.code().empty() && digest[row] != evidence_.code())) continue;
        if (!(store[row] >= 0) || !(load[row] >= 0)) continue;
        out_.set_spill_store_bytes(static_cast<uint64_t>(store[row]));
        out_.set_spill_load_bytes(static_cast<uint64_t>(load[row]));
        return;
      }
    }
  }

  void Occupancy(uint32_t architecture) {
    const Evidence::LaunchRow launch = evidence_.AnyLaunch();
    const auto value = [&](const char* column) {
      return launch.pass == nullptr ? 0 : NumberColumn(*launch.launches, column).Positive(launch.row);
    };
    out_.set_registers(static_cast<uint32_t>(value("registers")));
    const double threads = value("block_x") * value("block_y") * value("block_z");
    if (out_.registers() == 0 || !(threads > 0)) {
      evidence_.Abstain("what limits occupancy", "no pass recorded launches with their registers and blocks", "activity:light=1",
                        basis_);
      return;
    }
    out_.set_occupancy_pct(NumberColumn(*launch.launches, "occupancy_pct")[launch.row]);
    out_.set_limiter(std::string(TextColumn(*launch.launches, "occupancy_limiter")[launch.row]));
    // By what the driver calls the GPU: the code's architecture may be older than it.
    const v1::Provenance& where = launch.pass->result().provenance();
    const auto gpu = where.extra().find("gpu");
    const uint32_t capability = ChipOf(gpu != where.extra().end() ? gpu->second : where.machine_class()).capability;
    const occupancy::Multiprocessor sm = occupancy::MultiprocessorOf(capability != 0 ? capability : architecture);
    const occupancy::BlockNeeds needs{.threads = static_cast<uint64_t>(threads),
                                      .registers = out_.registers(),
                                      .shared_bytes = static_cast<uint64_t>(value("static_shared_bytes") +
                                                                            value("dynamic_shared_bytes"))};
    const occupancy::Occupancy now = occupancy::CalculateOccupancy(sm, needs);
    if (sm.max_warps == 0 || now.blocks == 0) {
      evidence_.Abstain("what one register less or one block more would change",
                        sm.max_warps == 0 ? "the limits of this GPU's multiprocessors are not known here"
                                          : "by calculation the block does not fit on a multiprocessor",
                        "", basis_);
      return;
    }
    if (std::abs(now.percent - out_.occupancy_pct()) > kAgrees)
      basis_->add_notes(absl::StrFormat("the launch says %.1f %% occupancy, the limits of compute capability %d.%d give %.1f %%",
                                        out_.occupancy_pct(), sm.major, sm.minor, now.percent));
    if (std::isnan(out_.occupancy_pct())) {
      out_.set_occupancy_pct(now.percent);
      out_.set_limiter(NameOf(now.limiter));
    }
    out_.set_blocks_per_sm(now.blocks);
    Cases(sm, needs, now);
  }

  v1::OccupancyCase* AddCase(const std::string& change, const occupancy::Multiprocessor& sm, const occupancy::BlockNeeds& needs) {
    const occupancy::Occupancy then = occupancy::CalculateOccupancy(sm, needs);
    v1::OccupancyCase* const one = out_.add_cases();
    one->set_change(change);
    one->set_registers(needs.registers);
    one->set_blocks_per_sm(then.blocks);
    one->set_occupancy_pct(then.percent);
    one->set_limiter(NameOf(then.limiter));
    if (then.blocks == 0) one->set_needs(absl::StrCat("does not fit: a block of ", needs.threads, " threads is too large then"));
    return one;
  }

  static uint32_t Blocks(const occupancy::Multiprocessor& sm, occupancy::BlockNeeds needs, uint32_t registers, uint64_t shared) {
    needs.registers = registers;
    needs.shared_bytes = shared;
    return occupancy::CalculateOccupancy(sm, needs).blocks;
  }

  void Cases(const occupancy::Multiprocessor& sm, const occupancy::BlockNeeds& needs, const occupancy::Occupancy& now) {
    occupancy::BlockNeeds changed = needs;
    changed.registers = needs.registers - 1;
    AddCase("−1 register a thread", sm, changed)->set_needs(absl::StrCat("registers ≤ ", changed.registers, " (now ", needs.registers, ")"));
    changed.registers = needs.registers + 1;
    AddCase("+1 register a thread", sm, changed);
    if (out_.max_live() > 0 && out_.max_live() < needs.registers) {
      changed.registers = std::max(out_.max_live(), kMinRegisters);
      AddCase("registers as many as are live at most", sm, changed)
          ->set_needs(absl::StrCat("registers ≤ ", changed.registers, " (now ", needs.registers, "): no room for alignment, seldom reached"));
    }
    OneBlockMore(sm, needs, now);
    // How many registers there may be before a block is lost.
    uint32_t most = needs.registers;
    while (most < 255 && Blocks(sm, needs, most + 1, needs.shared_bytes) >= now.blocks) ++most;
    if (most > needs.registers) {
      changed.registers = most;
      AddCase("as many registers as the same blocks allow", sm, changed)
          ->set_needs(absl::StrCat("registers ≤ ", most, ": ", most - needs.registers, " more cost no occupancy"));
    }
  }

  void OneBlockMore(const occupancy::Multiprocessor& sm, const occupancy::BlockNeeds& needs, const occupancy::Occupancy& now) {
    const uint32_t wanted = now.blocks + 1;
    // The most registers, and the most shared memory, with which so many blocks fit; each alone.
    occupancy::BlockNeeds changed = needs;
    std::vector<std::string> what;
    uint32_t registers = needs.registers;
    while (registers > kMinRegisters && Blocks(sm, needs, registers, 0) < wanted) --registers;
    uint64_t low = 0, high = needs.shared_bytes;   // the largest that fits, by bisection
    while (low < high) {
      const uint64_t middle = (low + high + 1) / 2;
      if (Blocks(sm, needs, kMinRegisters, middle) >= wanted) low = middle;
      else high = middle - 1;
    }
    changed.registers = registers;
    changed.shared_bytes = low;
    if (registers < needs.registers) what.push_back(absl::StrCat("registers ≤ ", registers, " (now ", needs.registers, ")"));
    if (low < needs.shared_bytes)
      what.push_back(absl::StrFormat("shared memory ≤ %.1f KiB a block (now %.1f)", static_cast<double>(low) / 1024,
                                     static_cast<double>(needs.shared_bytes) / 1024));
    v1::OccupancyCase* const one = AddCase("+1 block an SM", sm, changed);
    if (one->blocks_per_sm() < wanted) {
      one->set_registers(needs.registers);
      one->set_blocks_per_sm(now.blocks);
      one->set_occupancy_pct(now.percent);
      what = {absl::StrCat("smaller blocks: ", now.blocks, " of ", needs.threads, " threads are all the ", sm.max_warps,
                           " warps or ", sm.max_blocks, " blocks that an SM holds")};
    }
    one->set_needs(absl::StrJoin(what, " and "));
  }

  const Evidence& evidence_;
  v1::Registers out_;
  v1::Basis* const basis_;
};

}  // namespace

absl::StatusOr<v1::Registers> MakeRegisters(const Evidence& evidence) { return Builder(evidence).Build(); }

}  // namespace sextant::analysis
