"""What can be asked about a profile task: one method for each analysis of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Sequence, TypeVar, Union

from google.protobuf.message import Message

from sextant.answers import (CriticalPath, Diagnosis, Hotspots, Occupancy, RegionCosts, Registers, Report, Roofline,
                             Variation)
from sextant.channel import ANSWER_TIMEOUT_S
from sextant.errors import UsageError
from sextant.timeline import Timeline
from sextant.v1 import analysis_pb2, sextant_pb2
from sextant.v1.analysis_pb2 import Subject, WhatIf

if TYPE_CHECKING:
    from sextant.client import Client

R = TypeVar("R", bound=Message)

#: Of an analysis by its method's name: backends whose passes hold nothing that it reads, and that it does not
#: wait for. Of other analyses none is known.
NOT_READ = {"timeline": frozenset({"run", "ir", "counters", "pcsampling", "pmsampling", "sassmetrics", "ncu", "sanitizer"})}

#: Regions to shorten by so many percent: {"load": 10}, {("producer", "load"): 10}, or messages.
WhatIfs = Union[Mapping[Union[str, tuple[str, str]], float], Sequence[WhatIf]]


def _what_ifs(asked: WhatIfs) -> list[WhatIf]:
    if not isinstance(asked, Mapping):
        return list(asked)
    return [WhatIf(role=key[0] if isinstance(key, tuple) else "", region=key[1] if isinstance(key, tuple) else key,
                   shorten_pct=percent) for key, percent in asked.items()]


class Analyses:
    """Analyses of one profile task. Parameters they share:

      kernel: exact name; "": the one that took most time (timeline, diagnosis, report: all).
      quantiles: in [0, 1], ascending; (): 0.2, 0.5, 0.8.
      include_disturbed: join passes too that lengthened kernels more than twofold.
      wait: until the passes it reads have ended (`timeline`: not those of counters and samplers); False: from what
        is there already.
    """

    path: str

    @property
    def client(self) -> "Client":
        raise NotImplementedError

    @property
    def job_id(self) -> int:
        raise NotImplementedError

    def _settle(self, wait: bool, without: frozenset[str] = frozenset()) -> None:
        raise NotImplementedError

    def _subject(self, kernel: str, quantiles: Sequence[float], include_disturbed: bool) -> Subject:
        return Subject(job_id=self.job_id, task=self.path, kernel=kernel, quantiles=quantiles,
                       include_disturbed=include_disturbed)

    def _ask(self, request: Message, reply: type[R], wait: bool, without: frozenset[str] = frozenset()) -> R:
        self._settle(wait, without)
        return self.client.channel.call(request, reply, ANSWER_TIMEOUT_S)

    def ask(self, method: str, *, wait: bool = True, **fields: Any) -> Message:
        """Any RPC about this task by its name, with its fields as keywords: `run.ask("GetRoofline")`. The
        job, the task and the subject are filled in."""
        from sextant.channel import reply_of, request_of

        request = request_of(method)
        known = request.DESCRIPTOR.fields_by_name
        if "subject" in known:
            fields.setdefault("subject", {"job_id": self.job_id, "task": self.path})
        elif "job_id" in known:
            fields.setdefault("job_id", self.job_id)
            if "task" in known:
                fields.setdefault("task", self.path)
        else:
            raise UsageError(f"method: {method} is not about a task", field="method", remedy="use Client.call")
        return self._ask(request_of(method, **fields), reply_of(method), wait)

    def timeline(self, *, kernel: str = "", quantiles: Sequence[float] = (), exact: bool = False, buckets: int = 0,
                 from_ns: int = 0, to_ns: int = 0, regions: Sequence[str] = (), roles: Sequence[str] = (),
                 backend: str = "", max_instances: int = 0, fold_loops: bool = False, overlaps: bool = False,
                 include_disturbed: bool = False, wait: bool = True) -> Timeline:
        """P20/P50/P80 of every region instance. `exact`: aggregates from every instance instead of rollups
        (1 % relative error); `buckets` > 0: also the view by time; `backend`: of these passes alone."""
        return Timeline(self._ask(sextant_pb2.GetTimelineRequest(
            job_id=self.job_id, task=self.path, kernel=kernel, quantiles=quantiles, exact=exact, buckets=buckets,
            from_ns=from_ns, to_ns=to_ns, regions=regions, roles=roles, backend=backend, max_instances=max_instances,
            fold_loops=fold_loops, overlaps=overlaps, include_disturbed=include_disturbed), sextant_pb2.Timeline, wait,
            NOT_READ["timeline"]))

    def report(self, *, kernel: str = "", sections: Sequence[str] = (), format: str = "",
               wait: bool = True) -> Report:
        """All of it for reading: `.tldr`, `.markdown`; format "html" fills `.html`."""
        known = sextant_pb2.ReportFormat.keys()
        name = format.upper() or known[0]
        if name not in known:
            raise UsageError(f"format: there is no {format!r}", field="format", remedy="markdown, html or tldr")
        return Report(self._ask(sextant_pb2.GetReportRequest(
            job_id=self.job_id, task=self.path, kernel=kernel, sections=sections,
            format=name), sextant_pb2.Report, wait))

    def diagnosis(self, *, kernel: str = "", top: int = 0, quantiles: Sequence[float] = (),
                  include_disturbed: bool = False, wait: bool = True) -> Diagnosis:
        """What bounds the kernels, what to try, and what could not be judged."""
        return Diagnosis(self._ask(analysis_pb2.GetDiagnosisRequest(
            subject=self._subject(kernel, quantiles, include_disturbed), top=top), analysis_pb2.Diagnosis, wait))

    def critical_path(self, *, kernel: str = "", what_if: WhatIfs = (), max_steps: int = 0,
                      quantiles: Sequence[float] = (), include_disturbed: bool = False,
                      wait: bool = True) -> CriticalPath:
        """The longest chain of regions and barriers through a run; `what_if={"load": 10}` predicts the span
        with the region 10 % shorter."""
        return CriticalPath(self._ask(analysis_pb2.GetCriticalPathRequest(
            subject=self._subject(kernel, quantiles, include_disturbed), max_steps=max_steps,
            what_if=_what_ifs(what_if)), analysis_pb2.CriticalPath, wait))

    def costs(self, *, kernel: str = "", by_warp: bool = False, quantiles: Sequence[float] = (),
              include_disturbed: bool = False, wait: bool = True) -> RegionCosts:
        """Instructions, cycles, stalls and IPC of every region of a kernel."""
        return RegionCosts(self._ask(analysis_pb2.GetRegionCostsRequest(
            subject=self._subject(kernel, quantiles, include_disturbed), by_warp=by_warp),
            analysis_pb2.RegionCosts, wait))

    def hotspots(self, *, by: str = "", within: str = "", top: int = 0, kernel: str = "",
                 include_disturbed: bool = False, wait: bool = True) -> Hotspots:
        """Where samples fell, `by` "line" (default), "sass", "function", "region" or "kernel"; `within` one
        of them."""
        return Hotspots(self._ask(analysis_pb2.GetHotspotsRequest(
            subject=self._subject(kernel, (), include_disturbed), by=by, within=within, top=top),
            analysis_pb2.Hotspots, wait))

    def roofline(self, *, kernel: str = "", include_disturbed: bool = False, wait: bool = True) -> Roofline:
        """Achieved against attainable work, at each level of memory."""
        return Roofline(self._ask(analysis_pb2.GetRooflineRequest(
            subject=self._subject(kernel, (), include_disturbed)), analysis_pb2.Roofline, wait))

    def registers(self, *, kernel: str = "", include_disturbed: bool = False, wait: bool = True) -> Registers:
        """Register pressure, spills, and what limits occupancy."""
        return Registers(self._ask(analysis_pb2.GetRegistersRequest(
            subject=self._subject(kernel, (), include_disturbed)), analysis_pb2.Registers, wait))

    def variation(self, *, kernel: str = "", quantiles: Sequence[float] = (), include_disturbed: bool = False,
                  wait: bool = True) -> Variation:
        """Which regions spread, where the spread comes from, and what goes with it."""
        return Variation(self._ask(analysis_pb2.GetVariationRequest(
            subject=self._subject(kernel, quantiles, include_disturbed)), analysis_pb2.Variation, wait))

    def occupancy(self, *, kernel: str = "", buckets: int = 0, launch: int = 0, all_launches: bool = False,
                  include_disturbed: bool = False, wait: bool = True) -> Occupancy:
        """Resident CTAs and busy SMs over a launch, waves, the tail."""
        return Occupancy(self._ask(analysis_pb2.GetOccupancyRequest(
            subject=self._subject(kernel, (), include_disturbed), buckets=buckets, launch=launch,
            all_launches=all_launches), analysis_pb2.OccupancyOverTime, wait))
