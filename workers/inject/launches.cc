#include "workers/inject/launches.h"

#include <algorithm>
#include <utility>

#include "workers/inject/driver_api.h"
#include "workers/inject/texts.h"

namespace sextant::inject {
namespace {

constexpr int kMaxGraphDepth = 16;

constexpr CUpti_CallbackId kCallbacks[] = {
    CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel,
    CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz,
    CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx,
    CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz,
    CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel,
    CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz,
    CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate,
    CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate_v2,
    CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithFlags,
    CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams,
    CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams_ptsz,
    CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch,
    CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch_ptsz,
};

void Set(uint32_t (&out)[3], unsigned x, unsigned y, unsigned z) {
  out[0] = x;
  out[1] = y;
  out[2] = z;
}

// The stream that a call means: calls of programs with a default stream for each thread have names of
// their own.
CUstream StreamOf(CUpti_CallbackId id, CUstream stream) {
  const bool per_thread = id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz ||
                          id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz ||
                          id == CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz ||
                          id == CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch_ptsz;
  return per_thread && stream == nullptr ? CU_STREAM_PER_THREAD : stream;
}

// CUPTI's id of a node with its kernel.
using Node = std::pair<uint64_t, LaunchedKernel>;

void AddKernels(const CuptiApi& cupti, CUgraph graph, int depth, std::vector<Node>* out) {
  const DriverApi& driver = Driver();
  if (depth > kMaxGraphDepth || driver.cuGraphGetNodes == nullptr ||
      driver.cuGraphNodeGetType == nullptr) {
    return;
  }
  size_t count = 0;
  if (driver.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || count == 0) return;
  std::vector<CUgraphNode> nodes(count);
  if (driver.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
  nodes.resize(count);
  for (const CUgraphNode node : nodes) {
    CUgraphNodeType type;
    if (driver.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) continue;
    if (type == CU_GRAPH_NODE_TYPE_GRAPH && driver.cuGraphChildGraphNodeGetGraph != nullptr) {
      CUgraph child;
      if (driver.cuGraphChildGraphNodeGetGraph(node, &child) == CUDA_SUCCESS) {
        AddKernels(cupti, child, depth + 1, out);
      }
    }
    if (type != CU_GRAPH_NODE_TYPE_KERNEL || driver.cuGraphKernelNodeGetParams_v2 == nullptr) {
      continue;
    }
    CUDA_KERNEL_NODE_PARAMS params = {};
    if (driver.cuGraphKernelNodeGetParams_v2(node, &params) != CUDA_SUCCESS) continue;
    CUfunction function = params.func;
    if (function == nullptr && params.kern != nullptr && driver.cuKernelGetFunction != nullptr) {
      driver.cuKernelGetFunction(&function, params.kern);
    }
    LaunchedKernel kernel;
    const char* name = nullptr;
    if (driver.cuFuncGetName != nullptr &&
        driver.cuFuncGetName(&name, function) == CUDA_SUCCESS && name != nullptr) {
      kernel.name = name;
    }
    Set(kernel.grid, params.gridDimX, params.gridDimY, params.gridDimZ);
    Set(kernel.block, params.blockDimX, params.blockDimY, params.blockDimZ);
    kernel.dynamic_shared_bytes = params.sharedMemBytes;
    kernel.function = function;
    uint64_t id = out->size();
    if (cupti.cuptiGetGraphNodeId != nullptr) cupti.cuptiGetGraphNodeId(node, &id);
    out->emplace_back(id, std::move(kernel));
  }
}

bool SideBySide(CUgraph graph, int depth, bool* has_kernels) {
  const DriverApi& driver = Driver();
  if (depth > kMaxGraphDepth || driver.cuGraphGetNodes == nullptr ||
      driver.cuGraphNodeGetType == nullptr || driver.cuGraphGetEdges_v2 == nullptr) {
    return false;
  }
  size_t count = 0, edges = 0;
  if (driver.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || count == 0) return false;
  std::vector<CUgraphNode> nodes(count);
  if (driver.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return false;
  struct Node {
    size_t waits_for = 0;
    bool kernels = false;
    std::vector<CUgraphNode> next;
  };
  std::unordered_map<CUgraphNode, Node> all;
  for (const CUgraphNode node : nodes) {
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    driver.cuGraphNodeGetType(node, &type);
    bool kernels = type == CU_GRAPH_NODE_TYPE_KERNEL;
    CUgraph child;
    if (type == CU_GRAPH_NODE_TYPE_GRAPH && driver.cuGraphChildGraphNodeGetGraph != nullptr &&
        driver.cuGraphChildGraphNodeGetGraph(node, &child) == CUDA_SUCCESS &&
        SideBySide(child, depth + 1, &kernels)) {
      return true;
    }
    all[node].kernels = kernels;
    *has_kernels |= kernels;
  }
  if (driver.cuGraphGetEdges_v2(graph, nullptr, nullptr, nullptr, &edges) != CUDA_SUCCESS) return false;
  std::vector<CUgraphNode> from(edges), to(edges);
  std::vector<CUgraphEdgeData> data(edges);
  if (edges > 0 && driver.cuGraphGetEdges_v2(graph, from.data(), to.data(), data.data(), &edges) !=
                       CUDA_SUCCESS) {
    return false;
  }
  for (size_t i = 0; i < edges; ++i) {
    all[from[i]].next.push_back(to[i]);
    ++all[to[i]].waits_for;
  }
  // Everything but kernels first: then two kernels that are ready at once wait for nothing of each other's.
  std::vector<CUgraphNode> ready, kernels;
  const auto add = [&](CUgraphNode node) { (all[node].kernels ? kernels : ready).push_back(node); };
  for (const auto& [node, of] : all) {
    if (of.waits_for == 0) add(node);
  }
  while (!ready.empty() || !kernels.empty()) {
    if (ready.empty() && kernels.size() > 1) return true;
    std::vector<CUgraphNode>& from_here = ready.empty() ? kernels : ready;
    const CUgraphNode node = from_here.back();
    from_here.pop_back();
    for (const CUgraphNode next : all[node].next) {
      if (--all[next].waits_for == 0) add(next);
    }
  }
  return false;
}

}  // namespace

bool HasKernelsSideBySide(CUgraph graph) {
  const Quiet quiet;
  bool has_kernels = false;
  return SideBySide(graph, 0, &has_kernels);
}

CUgraph InstantiatedGraph(CUpti_CallbackId id, const CUpti_CallbackData& data) {
  switch (id) {
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate_v2:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithFlags:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams_ptsz:
      // All of these begin alike: where the result goes, and the graph.
      return static_cast<const cuGraphInstantiateWithFlags_params*>(data.functionParams)->hGraph;
    default:
      return nullptr;
  }
}

thread_local bool Quiet::inside_ = false;

bool Launches::Enable(Session& session) {
  for (const CUpti_CallbackId id : kCallbacks) {
    if (!session.Enable(CUPTI_CB_DOMAIN_DRIVER_API, id)) return false;
  }
  return true;
}

void Launches::OnInstantiated(CUpti_CallbackId id, const CUpti_CallbackData& data) {
  if (data.callbackSite != CUPTI_API_EXIT || data.functionReturnValue == nullptr ||
      *static_cast<const CUresult*>(data.functionReturnValue) != CUDA_SUCCESS) {
    return;
  }
  CUgraphExec* exec = nullptr;
  CUgraph graph = nullptr;
  // All of these begin alike: where the result goes, and the graph.
  const auto& params =
      *static_cast<const cuGraphInstantiateWithFlags_params*>(data.functionParams);
  exec = params.phGraphExec;
  graph = params.hGraph;
  if (exec == nullptr || *exec == nullptr) return;
  std::vector<Node> nodes;
  {
    const Quiet quiet;
    AddKernels(cupti_, graph, 0, &nodes);
  }
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const Node& a, const Node& b) { return a.first < b.first; });
  std::vector<LaunchedKernel> kernels;
  for (Node& node : nodes) kernels.push_back(std::move(node.second));
  const Locked locked(lock_);
  graphs_[*exec] = std::move(kernels);
}

bool Launches::OnCallback(CUpti_CallbackId id, const CUpti_CallbackData& data, LaunchCall* call) {
  *call = {};
  call->context = data.context;
  LaunchedKernel kernel;
  switch (id) {
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiate_v2:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithFlags:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphInstantiateWithParams_ptsz:
      OnInstantiated(id, data);
      return false;
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz: {
      const auto& p = *static_cast<const cuLaunchKernel_params*>(data.functionParams);
      Set(kernel.grid, p.gridDimX, p.gridDimY, p.gridDimZ);
      Set(kernel.block, p.blockDimX, p.blockDimY, p.blockDimZ);
      kernel.dynamic_shared_bytes = p.sharedMemBytes;
      kernel.function = p.f;
      call->stream = StreamOf(id, p.hStream);
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz: {
      const auto& p = *static_cast<const cuLaunchCooperativeKernel_params*>(data.functionParams);
      Set(kernel.grid, p.gridDimX, p.gridDimY, p.gridDimZ);
      Set(kernel.block, p.blockDimX, p.blockDimY, p.blockDimZ);
      kernel.dynamic_shared_bytes = p.sharedMemBytes;
      kernel.function = p.f;
      call->stream = StreamOf(id, p.hStream);
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz: {
      const auto& p = *static_cast<const cuLaunchKernelEx_params*>(data.functionParams);
      if (p.config == nullptr) return false;
      Set(kernel.grid, p.config->gridDimX, p.config->gridDimY, p.config->gridDimZ);
      Set(kernel.block, p.config->blockDimX, p.config->blockDimY, p.config->blockDimZ);
      kernel.dynamic_shared_bytes = p.config->sharedMemBytes;
      kernel.function = p.f;
      call->stream = StreamOf(id, p.config->hStream);
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch_ptsz: {
      const auto& p = *static_cast<const cuGraphLaunch_params*>(data.functionParams);
      call->graph = true;
      call->stream = StreamOf(id, p.hStream);
      const Locked locked(lock_);
      const auto found = graphs_.find(p.hGraph);
      if (found != graphs_.end()) call->kernels = found->second;
      break;
    }
    default:
      return false;
  }
  if (!call->graph) {
    if (data.symbolName != nullptr) kernel.name = data.symbolName;
    call->kernels.push_back(std::move(kernel));
  }
  if (Driver().cuStreamIsCapturing != nullptr) {
    const Quiet quiet;
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    // The legacy stream cannot be asked while another captures; then nothing may run on it either.
    call->capturing = Driver().cuStreamIsCapturing(call->stream, &status) != CUDA_SUCCESS ||
                      status != CU_STREAM_CAPTURE_STATUS_NONE;
  }
  return true;
}

}  // namespace sextant::inject
