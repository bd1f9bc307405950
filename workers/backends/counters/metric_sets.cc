#include "workers/backends/counters/metric_sets.h"

namespace sextant::backends::counters {
namespace {

struct Set {
  const char* name;
  std::vector<std::string> metrics;
};

std::vector<std::string> Stalls() {
  std::vector<std::string> metrics = {"smsp__issue_active.sum"};
  for (const char* reason :
       {"barrier", "branch_resolving", "dispatch_stall", "drain", "gmma", "imc_miss", "lg_throttle",
        "long_scoreboard", "math_pipe_throttle", "membar", "mio_throttle", "misc", "no_instruction",
        "not_selected", "selected", "short_scoreboard", "sleeping", "tex_throttle", "wait"}) {
    metrics.push_back(std::string("smsp__average_warps_issue_stalled_") + reason +
                      "_per_issue_active.ratio");
  }
  return metrics;
}

const std::vector<Set>& Sets() {
  static const auto* const sets = new std::vector<Set>{
      {"ipc",
       {"gpu__time_duration.sum", "sm__cycles_elapsed.max", "sm__cycles_active.avg",
        "smsp__inst_executed.sum", "sm__inst_executed.avg.per_cycle_active",
        "sm__inst_executed.avg.per_cycle_elapsed",
        "smsp__issue_active.avg.pct_of_peak_sustained_active",
        "smsp__warps_active.avg.per_cycle_active"}},
      {"stalls", Stalls()},
      {"memory",
       {"gpu__time_duration.sum", "dram__bytes_read.sum", "dram__bytes_write.sum",
        "dram__throughput.avg.pct_of_peak_sustained_elapsed", "lts__t_bytes.sum",
        "lts__t_sectors_op_read.sum", "lts__t_sectors_op_write.sum", "lts__t_sector_hit_rate.pct",
        "l1tex__t_bytes.sum", "l1tex__t_sector_hit_rate.pct",
        "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum",
        "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
        "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum",
        "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
        "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum",
        "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum"}},
      {"tensor",
       {"sm__cycles_active.avg", "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
        "sm__inst_executed_pipe_tensor.sum", "sm__inst_executed_pipe_tensor_op_hmma.sum",
        "sm__inst_executed_pipe_tensor_op_gmma.sum", "sm__inst_executed_pipe_tensor_op_imma.sum",
        "sm__inst_executed_pipe_tensor_op_dmma.sum"}},
      {"occupancy",
       {"sm__cycles_elapsed.max", "sm__cycles_active.avg",
        "sm__warps_active.avg.pct_of_peak_sustained_active", "sm__ctas_launched.sum",
        "smsp__warps_launched.sum",
        "tpc__warp_launch_cycles_stalled_shader_cs_reason_register_allocation.avg",
        "tpc__warp_launch_cycles_stalled_shader_cs_reason_shmem_allocation.avg",
        "tpc__warp_launch_cycles_stalled_shader_cs_reason_cta_allocation.avg",
        "tpc__warp_launch_cycles_stalled_shader_cs_reason_barrier_allocation.avg"}},
      {"spills",
       {"smsp__sass_inst_executed_op_local_ld.sum", "smsp__sass_inst_executed_op_local_st.sum",
        "l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum",
        "l1tex__t_sectors_pipe_lsu_mem_local_op_st.sum",
        "l1tex__t_sector_pipe_lsu_mem_local_op_ld_hit_rate.pct",
        "l1tex__t_sector_pipe_lsu_mem_local_op_st_hit_rate.pct"}},
      {"roofline",
       {"gpu__time_duration.sum", "sm__cycles_elapsed.max", "dram__bytes.sum", "lts__t_bytes.sum",
        "l1tex__t_bytes.sum", "smsp__sass_thread_inst_executed_op_fadd_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_fmul_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_hadd_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_hmul_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_hfma_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_dadd_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_dmul_pred_on.sum",
        "smsp__sass_thread_inst_executed_op_dfma_pred_on.sum",
        "sm__ops_path_tensor_src_fp16.sum", "sm__ops_path_tensor_src_bf16_dst_fp32.sum",
        "sm__ops_path_tensor_src_tf32_dst_fp32.sum", "sm__ops_path_tensor_src_fp8.sum",
        "sm__ops_path_tensor_src_int8.sum", "sm__ops_path_tensor_src_fp64.sum"}},
  };
  return *sets;
}

}  // namespace

const std::vector<std::string>& MetricSetNames() {
  static const auto* const names = [] {
    auto* const all = new std::vector<std::string>();
    for (const Set& set : Sets()) all->push_back(set.name);
    return all;
  }();
  return *names;
}

std::vector<std::string> MetricSet(std::string_view name) {
  for (const Set& set : Sets()) {
    if (set.name == name) return set.metrics;
  }
  return {};
}

}  // namespace sextant::backends::counters
