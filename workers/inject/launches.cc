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
    uint64_t id = out->size();
    if (cupti.cuptiGetGraphNodeId != nullptr) cupti.cuptiGetGraphNodeId(node, &id);
    out->emplace_back(id, std::move(kernel));
  }
}

}  // namespace

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
      call->stream = p.hStream;
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz: {
      const auto& p = *static_cast<const cuLaunchCooperativeKernel_params*>(data.functionParams);
      Set(kernel.grid, p.gridDimX, p.gridDimY, p.gridDimZ);
      Set(kernel.block, p.blockDimX, p.blockDimY, p.blockDimZ);
      call->stream = p.hStream;
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx:
    case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz: {
      const auto& p = *static_cast<const cuLaunchKernelEx_params*>(data.functionParams);
      if (p.config == nullptr) return false;
      Set(kernel.grid, p.config->gridDimX, p.config->gridDimY, p.config->gridDimZ);
      Set(kernel.block, p.config->blockDimX, p.config->blockDimY, p.config->blockDimZ);
      call->stream = p.config->hStream;
      break;
    }
    case CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch:
    case CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch_ptsz: {
      const auto& p = *static_cast<const cuGraphLaunch_params*>(data.functionParams);
      call->graph = true;
      call->stream = p.hStream;
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
