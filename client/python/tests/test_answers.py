"""Answers as tables and pictures, of passes that were recorded on an H200."""

import math

import pandas
import pytest

import sextant
from conftest import RECORDINGS
from sextant import frames, picture
from sextant.v1 import analysis_pb2, sextant_pb2


@pytest.fixture(scope="module")
def timeline(matmul):
    return matmul.timeline(kernel="matmul_kernel")


def test_a_timeline_is_a_table_of_instances(timeline):
    table = timeline.to_pandas()
    assert {"role", "region", "ordinal", "start_p20_ns", "end_p80_ns", "duration_p50_ns", "count"} <= set(table.columns)
    loops = table[table["region"] == "mainloop"]
    assert len(loops) == len(timeline.roles)
    assert (loops["duration_p50_ns"] > 6000).all() and (loops["duration_p50_ns"] < 8000).all()
    assert (table["start_p20_ns"] <= table["start_p80_ns"]).all()
    regions = timeline.regions()
    for region in ("dot", "load", "epilogue"):  # an instance is seen once by each of its observations
        assert table[table["region"] == region]["count"].sum() == regions[regions["region"] == region]["count"].sum()
    assert {"lanes", "lanes.instances", "regions", "perturbation"} <= set(timeline.tables())
    assert timeline.passes >= 3
    with pytest.raises(sextant.UsageError, match="lanes.instances"):
        timeline.to_pandas("nothing")
    with pytest.raises(AttributeError, match="span_ns"):
        timeline.nothing


def test_a_timeline_is_drawn(timeline, tmp_path):
    axes = timeline.plot(roles=timeline.roles[:1])
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert sorted(labels) == ["dot", "epilogue", "load", "mainloop"]
    bars = [len(c.get_paths()) for c in axes.collections]
    assert sum(bars) > 1 + 16 + 16 + 1  # and whiskers
    assert "CTA" in axes.get_xlabel() and "µs" in axes.get_xlabel()
    assert timeline.save(tmp_path / "t.svg").stat().st_size > 10_000
    with pytest.raises(sextant.UsageError):
        timeline.plot(regions=["none"])


def test_pages_of_tables_are_joined(matmul):
    for one in matmul.passes():
        if one.backend.startswith("sassmetrics"):
            table = one.table("sass_metrics")
            assert "matmul_kernel" in set(table["kernel"])
            assert table["executed"].sum() > 0
            assert one.table("sass_metrics").attrs["units"].keys() == set(table.columns)
            return
    raise AssertionError("no pass of sassmetrics")


def test_large_tables_are_whole(matmul):
    sampled = next(p for p in matmul.passes() if p.backend.startswith("pmsampling"))
    assert len(sampled.table("pm_samples")) > 1000  # more than one page


def test_the_report_and_the_timeline_show_themselves(matmul, timeline):
    assert "mainloop" in timeline._repr_html_()
    assert "<table" in matmul.report()._repr_html_()
    assert matmul.report().tldr
    assert matmul.passes()._repr_html_()


def test_exports_are_files(matmul, tmp_path):
    path = matmul.export(tmp_path / "trace.csv", "csv")
    assert "mainloop" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["trace.csv"]
    with pytest.raises(sextant.SextantError, match="no 'zip'"):
        matmul.export(tmp_path / "x", "zip")


def test_a_comparison_is_a_table_and_a_picture(sx, matmul):
    twin = sx.profile("", f"replay:{RECORDINGS / 'triton_matmul'}", salt="twin")
    change = sextant.compare(matmul, twin)
    assert change.verdict in ("no difference", "inconclusive", "faster", "slower")
    table = change.to_pandas()
    assert "kernel" in set(table["kind"])
    assert change.plot().get_xlabel().startswith("change")
    assert change.verdict in repr(change)


def test_rows_follow_the_message():
    cost = analysis_pb2.RegionCost(role="mma", region="dot", cycles=[1, 2, 3], ipc=math.nan, confidence=1,
                                   mix=[analysis_pb2.NamedShare(name="HGMMA", value=8, share=0.5)], code=["0x0-0x10"])
    row = frames.row(cost, (0.2, 0.5, 0.8))
    assert (row["p20_cycles"], row["p80_cycles"]) == (1, 3)
    assert math.isnan(row["ipc"]) and row["mix"] == {"HGMMA": 0.5} and row["code"] == ["0x0-0x10"]
    answer = sextant.RegionCosts(analysis_pb2.RegionCosts(regions=[cost], basis=analysis_pb2.Basis(
        kernel="k", quantiles=[0.2, 0.5, 0.8], notes=["a note"],
        abstentions=[analysis_pb2.Abstention(question="q", why="<i>no pass</i>", **{"pass": "counters:ipc"})])))
    assert isinstance(answer.to_pandas(), pandas.DataFrame) and answer.to_pandas()["region"].tolist() == ["dot"]
    assert answer.notes == ["a note"] and answer.abstentions[0].why == "<i>no pass</i>"
    assert "&lt;i&gt;no pass" in answer._repr_html_() and "counters:ipc" in answer._repr_html_()
    empty = sextant.RegionCosts(analysis_pb2.RegionCosts())
    assert "region" in empty.to_pandas().columns and len(empty.to_pandas()) == 0


def test_tables_inside_tables_keep_their_parent():
    path = analysis_pb2.CriticalPath(paths=[analysis_pb2.CriticalPathAt(quantile=0.5, shares=[
        analysis_pb2.PathShare(role="a", region="load", share=0.75)])])
    table = sextant.CriticalPath(path).to_pandas()
    assert table[["paths_quantile", "role", "region", "share"]].values.tolist() == [[0.5, "a", "load", 0.75]]


def test_other_pictures_are_drawn():
    basis = analysis_pb2.Basis(kernel="k$_{x}$")
    roof = analysis_pb2.Roofline(basis=basis, ceilings=[
        analysis_pb2.Ceiling(name="DRAM", value=4.8e12, unit="B/s"), analysis_pb2.Ceiling(name="FP16", value=9e14, unit="FLOP/s")],
        points=[analysis_pb2.RooflinePoint(kernel="k", level="DRAM", intensity=100, achieved=3e14, attainable=4.8e14, share=0.62)])
    assert sextant.Roofline(roof).plot().get_xscale() == "log"
    spots = analysis_pb2.Hotspots(basis=basis, by="line", hotspots=[analysis_pb2.Hotspot(
        name="k.py:3", text="x = $y", share=0.6, stalls=[analysis_pb2.NamedShare(name="wait", value=6)])])
    assert len(sextant.Hotspots(spots).plot().patches) == 1
    busy = analysis_pb2.OccupancyOverTime(basis=basis, bucket_ns=100, resident_ctas=[1, 2, 2, 1], active_sms=[1, 1, 1, 1])
    assert sextant.Occupancy(busy).plot().get_xlabel() == "time since the launch [ns]"
    assert len(sextant.Occupancy(busy).to_pandas()) == 4
    for answer in (sextant.Roofline(analysis_pb2.Roofline()), sextant.Hotspots(analysis_pb2.Hotspots()),
                   sextant.Occupancy(analysis_pb2.OccupancyOverTime()), sextant.Comparison(sextant_pb2.Comparison())):
        with pytest.raises(sextant.UsageError):
            answer.plot()


def test_times_choose_their_unit():
    assert [picture.time_scale(t)[1] for t in (100, 5_000, 5e6, 5e9)] == ["ns", "µs", "ms", "s"]


HOSTILE = "<script>alert('1')</script><img src=x onerror=alert(1)>"


def filled(message, depth=0):
    """The message with every text hostile, and one element in every list."""
    for field in message.DESCRIPTOR.fields:
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None:
            if depth < 4:
                filled(getattr(message, field.name).add() if many else getattr(message, field.name), depth + 1)
        elif field.type == field.TYPE_STRING:
            getattr(message, field.name).append(HOSTILE) if many else setattr(message, field.name, HOSTILE)
        elif field.type == field.TYPE_BYTES:
            getattr(message, field.name).append(HOSTILE.encode()) if many else setattr(message, field.name, HOSTILE.encode())
        elif many and field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
            getattr(message, field.name).extend([0.2, 0.5, 0.8])
    return message


@pytest.mark.parametrize("answer, message", [
    (sextant.answers.RegionCosts, analysis_pb2.RegionCosts), (sextant.answers.Hotspots, analysis_pb2.Hotspots),
    (sextant.answers.Registers, analysis_pb2.Registers), (sextant.answers.CriticalPath, analysis_pb2.CriticalPath),
    (sextant.answers.Roofline, analysis_pb2.Roofline), (sextant.answers.Variation, analysis_pb2.Variation),
    (sextant.answers.Occupancy, analysis_pb2.OccupancyOverTime), (sextant.answers.Diagnosis, analysis_pb2.Diagnosis),
    (sextant.answers.Report, sextant_pb2.Report), (sextant.answers.Comparison, sextant_pb2.Comparison),
    (sextant.timeline.Timeline, sextant_pb2.Timeline)], ids=lambda value: value.__name__)
def test_in_a_notebook_every_text_of_an_answer_is_only_text(answer, message):
    shown = answer(filled(message()))._repr_html_()
    assert "<script" not in shown and "<img src=x" not in shown, shown[:2000]
    assert "&lt;script" in shown
