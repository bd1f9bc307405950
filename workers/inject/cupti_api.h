// CUPTI as it is found at run time: one table of functions.
//
// Nothing here is linked to CUPTI, so the library loads everywhere. The program's own copy is used
// where it has one loaded (frameworks bring theirs): two copies in one process do not work.
#pragma once

#include <cupti.h>
#include <cupti_pcsampling.h>
#include <cupti_pmsampling.h>
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_sass_metrics.h>
#include <cupti_target.h>

#include <string>

namespace sextant::inject {

// Every function the library may call. Only those of the first list must be there; an instrument
// checks the ones it needs with Missing().
#define SEXTANT_CUPTI_REQUIRED(X) \
  X(cuptiGetVersion)              \
  X(cuptiGetResultString)         \
  X(cuptiSubscribe)               \
  X(cuptiUnsubscribe)             \
  X(cuptiEnableCallback)          \
  X(cuptiEnableDomain)            \
  X(cuptiGetCallbackName)         \
  X(cuptiGetContextId)            \
  X(cuptiGetDeviceId)             \
  X(cuptiGetStreamIdEx)           \
  X(cuptiGetTimestamp)

#define SEXTANT_CUPTI_ACTIVITY(X)          \
  X(cuptiActivityEnable)                   \
  X(cuptiActivityDisable)                  \
  X(cuptiActivityRegisterCallbacks)        \
  X(cuptiActivityRegisterTimestampCallback)\
  X(cuptiActivityGetNextRecord)            \
  X(cuptiActivityGetNumDroppedRecords)     \
  X(cuptiActivitySetAttribute)             \
  X(cuptiActivityFlushAll)                 \
  X(cuptiSetThreadIdType)

// Of newer copies; each may be null.
#define SEXTANT_CUPTI_OPTIONAL(X) X(cuptiActivityEnableDriverApi)

#define SEXTANT_CUPTI_PROFILING(X)                \
  X(cuptiGetGraphNodeId)                           \
  X(cuptiProfilerInitialize)                      \
  X(cuptiDeviceGetChipName)                       \
  X(cuptiProfilerGetCounterAvailability)          \
  X(cuptiProfilerHostInitialize)                  \
  X(cuptiProfilerHostDeinitialize)                \
  X(cuptiProfilerHostGetSupportedChips)           \
  X(cuptiProfilerHostGetBaseMetrics)              \
  X(cuptiProfilerHostGetSubMetrics)               \
  X(cuptiProfilerHostGetMetricProperties)         \
  X(cuptiProfilerHostConfigAddMetrics)            \
  X(cuptiProfilerHostGetConfigImageSize)          \
  X(cuptiProfilerHostGetConfigImage)              \
  X(cuptiProfilerHostGetNumOfPasses)              \
  X(cuptiProfilerHostEvaluateToGpuValues)         \
  X(cuptiProfilerHostGetRangeName)                \
  X(cuptiRangeProfilerEnable)                     \
  X(cuptiRangeProfilerDisable)                    \
  X(cuptiRangeProfilerStart)                      \
  X(cuptiRangeProfilerStop)                       \
  X(cuptiRangeProfilerPushRange)                  \
  X(cuptiRangeProfilerPopRange)                   \
  X(cuptiRangeProfilerSetConfig)                  \
  X(cuptiRangeProfilerDecodeData)                 \
  X(cuptiRangeProfilerGetCounterDataSize)         \
  X(cuptiRangeProfilerCounterDataImageInitialize) \
  X(cuptiRangeProfilerGetCounterDataInfo)         \
  X(cuptiPCSamplingEnable)                        \
  X(cuptiPCSamplingDisable)                       \
  X(cuptiPCSamplingGetData)                       \
  X(cuptiPCSamplingGetNumStallReasons)            \
  X(cuptiPCSamplingGetStallReasons)               \
  X(cuptiPCSamplingSetConfigurationAttribute)     \
  X(cuptiPCSamplingGetConfigurationAttribute)     \
  X(cuptiGetSassToSourceCorrelation)              \
  X(cuptiGetCubinCrc)                             \
  X(cuptiSassMetricsGetProperties)                \
  X(cuptiSassMetricsSetConfig)                    \
  X(cuptiSassMetricsUnsetConfig)                  \
  X(cuptiSassMetricsEnable)                       \
  X(cuptiSassMetricsDisable)                      \
  X(cuptiSassMetricsGetDataProperties)            \
  X(cuptiSassMetricsFlushData)                    \
  X(cuptiPmSamplingEnable)                        \
  X(cuptiPmSamplingDisable)                       \
  X(cuptiPmSamplingSetConfig)                     \
  X(cuptiPmSamplingStart)                         \
  X(cuptiPmSamplingStop)                          \
  X(cuptiPmSamplingDecodeData)                    \
  X(cuptiPmSamplingGetCounterAvailability)        \
  X(cuptiPmSamplingGetCounterDataSize)            \
  X(cuptiPmSamplingCounterDataImageInitialize)    \
  X(cuptiPmSamplingGetCounterDataInfo)            \
  X(cuptiPmSamplingCounterDataGetSampleInfo)

#define SEXTANT_CUPTI_ALL(X) \
  SEXTANT_CUPTI_REQUIRED(X)  \
  SEXTANT_CUPTI_ACTIVITY(X)  \
  SEXTANT_CUPTI_OPTIONAL(X)  \
  SEXTANT_CUPTI_PROFILING(X)

struct CuptiApi {
#define SEXTANT_CUPTI_POINTER(name) decltype(&::name) name = nullptr;
  SEXTANT_CUPTI_ALL(SEXTANT_CUPTI_POINTER)
#undef SEXTANT_CUPTI_POINTER

  void* library = nullptr;
  uint32_t version = 0;     // CUPTI_API_VERSION of the copy in use
  std::string path;         // where that copy is
};

// Finds CUPTI: loaded already, else one of `candidates` (paths, ':' between), else by its name.
// False: none; `why` says what was tried.
bool LoadCupti(const char* candidates, CuptiApi* api, std::string* why);

// "CUPTI_ERROR_…" of a result.
const char* ResultText(const CuptiApi& api, CUptiResult result);

}  // namespace sextant::inject
