"""What timing records say, and the section that shows it, from made-up records."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.common.paths import EXPECTED, ROOT
from replicate.findings.evidence import gather
from replicate.findings.inference import InferenceFinding, compute_inference, timing_finding
from replicate.findings.raced import timed_race
from replicate.records.timing import Race, TimingRecord
from replicate.records.timing_file import write_timing
from replicate.report.blocks import Block
from replicate.report.sections.inference import section_inference
from replicate.tables.file import load_tables
from replicate.timing.summary import rows_of, shown, shown_ratio
from tests.shown import headings, line, lines, links, pictures, words
from tests.synthetic import PROFILES
from tests.synthetic_timing import FULL, example, race

# Milliseconds differ a little from round to round, so that intervals have two ends.
WIDE = (0.5, 0.6, 0.9, 1.0, 1.1, 1.5, 2.0)
STEADY = (0.97, 1.0, 1.03, 1.0, 0.99, 1.01, 1.0)
REASON = "REPLICATE_TORCH_PYTHON is not set; name the Python of an environment with PyTorch"


def changed(one: Race, label: str, factors: Sequence[float] = STEADY) -> Race:
    """The race with other seconds of one contestant, around the same median."""
    middle = sorted(one.seconds[label])[len(one.seconds[label]) // 2]
    return replace(one, seconds={**one.seconds, label: tuple(middle * factor for factor in factors)})


def measured() -> TimingRecord:
    """A record of two lengths; PyTorch is left out of the second."""
    short = race(32, FULL)
    for label in FULL:
        if label != "paddle-inference fp32 1":
            short = changed(short, label)
    without = {label: seconds * 4 for label, seconds in FULL.items() if not label.startswith("pytorch")}
    return example(short, race(128, without, {"pytorch fp32 1": REASON}))


def computed(*records: TimingRecord) -> InferenceFinding:
    """The finding beside the published tables."""
    return compute_inference(gather(load_tables(EXPECTED), [], PROFILES, records))


def section(*records: TimingRecord) -> list[Block]:
    """What the section shows of records, with nothing published."""
    return section_inference(InferenceFinding((), tuple(map(timing_finding, records))))


def test_without_records_it_says_so() -> None:
    """Nothing timed is one line, and neither a figure nor a picture."""
    assert computed().records == ()
    (only,) = section()
    assert words([only]).startswith("not-run: ")


def test_the_answer_names_the_fastest_runtime_and_the_machine() -> None:
    """Gains with their intervals, the ideals, runtime and threads, and another length in a line of its own."""
    short, long = timing_finding(measured()).largest
    assert (short.race.length, short.whole.runtime) == (32, "paddle-inference")
    assert short.whole_ms == pytest.approx(800)
    assert [(one.net, one.ideal) for one in short.nets] == [("width 1/2", 2.0), ("width 2/3", 1.5)]
    assert [shown_ratio(one.speed_up)[:5] for one in short.nets] == ["2.00 ", "1.46 "]
    assert long.race.length == 128
    answer, _, other, *_ = words(section(measured())[3:]).splitlines()
    for told in ("2.00 (1.94 to 2.04) with width 1/2", "(ideal: 2.00, 1.50)", "2 threads of a processor", "800.0 ms"):
        assert told in answer
    assert other.startswith("ernie-3.0-base, 32 × 128, paddle-inference: ")
    assert "2.00 (2.00 to 2.00) of 2.00 with width 1/2" in other


@pytest.mark.parametrize(
    ("label", "seconds", "beside", "ratio"),
    [
        ("onnxruntime int8 1", 0.2, "more", 4.0),
        ("onnxruntime int8 1", 0.6, "less", 1.33),
        ("onnxruntime int8 1", 0.388, "alike", 2.06),
        ("dygraph-default fp32 1", 4.0, "more", 5.0),
        ("pytorch fp32 1", 0.7, "less", 0.87),
    ],
)
def test_what_buys_more_than_pruning_is_said(label: str, seconds: float, beside: str, ratio: float) -> None:
    """Int8 and other runtimes stand beside the narrowest width; what overlaps with it is not called more or less."""
    widths = {one: value for one, value in FULL.items() if one.startswith("paddle-inference")}
    one = race(32, {**widths, label: seconds})
    for each in one.seconds:
        one = changed(one, each) if each != "paddle-inference fp32 1" else one
    (found,) = timing_finding(example(one)).largest
    (way,) = found.ways
    runtime, precision, _ = label.split()
    named = (runtime, "int8", None) if precision == "int8" else ("paddle-inference", None, runtime)
    assert (way.runtime, way.precision, way.instead_of) == named
    assert (way.beside, round(way.ratio.median, 2)) == (beside, ratio)
    assert found.less_precise == ((way,) if precision == "int8" else ())
    lead = {"more": "More than width 1/2", "less": "Less: ", "alike": "Can't be distinguished"}
    answer, *_ = words(section(example(one))[3:]).splitlines()
    assert [word for word, start in lead.items() if start in answer] == [beside]
    assert shown_ratio(way.ratio) in answer


def test_int8_and_pruning_together_are_told() -> None:
    """Both over the fastest whole net in fp32."""
    (found,) = timing_finding(example(race(32, FULL))).largest
    (both,) = found.together
    assert (both.runtime, both.precision, shown_ratio(both.ratio)) == ("onnxruntime", "int8", "2.67 (2.67 to 2.67)")
    assert "int8 and width 1/2 together" in words(section(example(race(32, FULL))))
    alone = {label: value for label, value in FULL.items() if label.startswith("paddle-inference")}
    (found,) = timing_finding(example(race(32, alone))).largest
    assert found.ways == ()
    assert found.together == ()


def test_without_a_pruned_net_there_is_no_answer() -> None:
    """A record of whole nets alone says so; one of a data set alone is asked nothing; neither draws anything."""
    of_whole_nets = example(race(32, {"paddle-inference fp32 1": 0.8}))
    assert timing_finding(of_whole_nets).largest == timing_finding(example()).largest == ()
    assert "Not known" in words(section(of_whole_nets))
    assert "Not known" not in words(section(example()))
    assert pictures([*section(of_whole_nets), *section(example())]) == []


def test_published_ratios_have_their_source() -> None:
    """The ratios of the published latencies stand with what the source tells of them, apart from any record."""
    newer, older = computed(measured()).published
    ratios = {one.title.rpartition(" ")[2]: (one.whole, one.small, round(one.ratio, 2)) for one in newer.ratios}
    assert ratios == {"3/4": ("1.07", "0.83", 1.29), "2/3": ("1.07", "0.79", 1.35), "1/2": ("1.07", "0.64", 1.67)}
    ratios = {one.title.rpartition(" ")[2]: (one.whole, one.small, round(one.ratio, 2)) for one in older.ratios}
    assert ratios == {"3/4": ("1.95", "1.55", 1.26), "2/3": ("1.95", "1.34", 1.46), "1/2": ("1.95", "1.06", 1.84)}
    for found in (newer, older):
        assert ["Tesla V100-SXM2-32GB" in fact for fact in found.source.latency_known] == [True]
    page = words(section_inference(computed(measured()))).splitlines()
    for start, parts in (
        ("1.67 for", ("1.35 for ", "(1.07 over 0.79 ms)", "batch 32 ")),
        ("1.84 for", ("1.46 for ", "(1.95 over 1.34 ms)", "batch 200 ", "ONNX Runtime")),
    ):
        (told,) = (one for one in page if start in one)
        for part in (*parts, "V100", "sequence length", "github.com/PaddlePaddle/PaddleNLP"):
            assert part in told


def test_tables_are_the_rows_of_the_summary() -> None:
    """Milliseconds and speed-ups are those of `rows_of`; everyone stands beside the fastest whole net too."""
    for one in measured().comparisons:
        shown_lines = lines(section(example(one, datasets=(), services=())), "over its base")
        assert len(shown_lines) == len(one.contestants)
        for contestant, row, found in zip(one.contestants, rows_of(one), shown_lines, strict=True):
            cells = found.cells
            assert (cells["runtime"], cells["precision"], cells["net"]) == (
                contestant.runtime,
                contestant.precision,
                f"width {contestant.width}",
            )
            assert (cells["ms"], found.values["ms"]) == (f"{row['ms']:,.2f}", row["ms"])
            assert cells["over its base"] == shown(row["speed-up"])
    slow = line(section(measured()), runtime="dygraph", ms="8,000.00")
    assert slow.cells["over the best"] == "0.40 (0.40 to 0.40)"
    assert "are random" in words(section(measured()))
    trained = replace(measured().comparisons[1], weights="trained")
    assert "are random" not in words(section(example(trained)))


def test_sizes_are_told_once() -> None:
    """A net has one line, whatever the number of races; runtimes that read as much share it."""
    found = line(section(measured()), net="ernie-3.0-base", width="1/2", precision="fp32", MB_of_weights="400.0")
    assert found.cells["runtimes"] == "paddle-inference, onnxruntime"


def test_goals_stand_beside_what_was_reached() -> None:
    """Reached, missed, undecided and not measured, each with its figure or reason."""
    record = measured()
    short = changed(record.comparisons[0], "pytorch fp32 1", WIDE)
    found = timing_finding(replace(record, comparisons=(short, record.comparisons[1])))
    verdicts = {(one.goal.id, one.length): one.status for one in found.goals}
    assert verdicts["half", 32] == "reached"
    assert verdicts["int8-half", 128] == "missed"
    assert verdicts["pytorch", 32] == "undecided"
    (why,) = found.lacking
    assert found.lacking[why] == 1
    assert "left out: REPLICATE_TORCH_PYTHON" in why
    blocks = section(found.record)
    assert f"1 goal: {why}" in words(blocks)
    half, *_ = lines(blocks, "goal")
    assert (half.cells["batch × length"], half.cells["wanted"], half.cells["reached"], half.cells["verdict"]) == (
        "32 × 32",
        "≥ 1.9",
        "2.00 (1.94 to 2.04)",
        "reached",
    )
    elsewhere = timing_finding(example(race(32, FULL), threads=4))
    assert elsewhere.goals == ()
    ((reason, count),) = elsewhere.lacking.items()
    assert (count, reason.endswith("2 threads of a CPU")) == (11, True)
    assert f"{reason}." in words(section(elsewhere.record))
    assert lines(section(elsewhere.record), "goal") == []


def test_padding_is_told() -> None:
    """A data set in the order of its file and by length, with the shares of padding."""
    ((one, (contestant,)),) = timing_finding(measured()).datasets
    assert contestant.seconds == {"file order": 2.1, "by length": 1.05}
    assert contestant.padded == {"file order": 0.5, "by length": 0.125}
    assert (contestant.accuracy, contestant.equal, contestant.p) == (0.5, 1.0, None)
    (cells,) = (found.cells for found in lines(section(measured()), "padding, by length"))
    assert [cells[name] for name in ("s, file order", "s, by length", "padding, file order", "padding, by length")] == [
        "2.100",
        "1.050",
        "50.0%",
        "12.5%",
    ]
    over = "by length over file order"
    assert cells[over] == "2.00 (2.00 to 2.00, 50%)"
    told = f"{one.texts} dev texts of {one.dataset} in batches of {one.batch}, cut after {one.max_length} tokens"
    assert told in words(section(measured()))
    assert lines(section(replace(measured(), datasets=())), "padding, by length") == []


def test_answers_of_random_weights_say_nothing() -> None:
    """With them there is neither an accuracy nor a column for it."""
    random = replace(measured().datasets[0], weights="random")
    found = lines(section(replace(measured(), datasets=(random,))), "padding, by length")
    assert [set(one.cells) & {"accuracy", "share of labels equal"} for one in found] == [set()]


def test_who_was_left_out_or_wandered_is_named() -> None:
    """Each with its reason or its race; a mark stands at the figures too."""
    record = measured()
    found = timing_finding(record)
    assert found.left_out == {REASON: ("pytorch fp32 1",)}
    assert found.unstable == ()
    assert f"Left out: pytorch fp32 1: {REASON}." in words(section(record)).splitlines()
    assert "unstable" not in {cell for one in lines(section(record)) for cell in one.cells.values()}
    short = changed(record.comparisons[0], "paddle-inference fp32 1/2", WIDE)
    wandering = replace(record, comparisons=(short,))
    assert [(one.race, one.count, one.of) for one in timing_finding(wandering).unstable] == [(short, 1, 10)]
    blocks = section(wandering)
    assert "1 of 10 at ernie-3.0-base, 32 × 32." in words(blocks)
    marked = [one.cells for one in lines(blocks, "over its base") if "unstable" in one.cells.values()]
    assert [(one["runtime"], one["net"], one["ms"]) for one in marked] == [("paddle-inference", "width 1/2", "400.00")]
    assert ", unstable with width 1/2" in words(blocks)


def test_how_it_was_measured_and_where() -> None:
    """The link to the record, its command, machine, versions, rounds and time."""
    told = words(section(measured())).splitlines()
    assert "measured/timing/cpu-2.json" in links(section(measured()))
    for fact in (
        "command: replicate time --grid full",
        "machine: cores 2, cpu a processor",
        "versions: numpy 1.26.4",
        "rounds: 7 rounds after 2 warm-ups: ernie-3.0-base, 32 × 32, ernie-3.0-base, 32 × 128",
        "when: 2026-01-01T00:00:00+00:00 to 2026-01-01T00:15:00+00:00",
    ):
        assert fact in told


def test_records_stand_by_themselves() -> None:
    """Each record's part is the same with and without another, in the order of their names."""
    other = replace(measured(), name="a-gpu", device={"kind": "gpu", "name": "some GPU", "threads": 8})
    finding = computed(measured(), other)
    assert [one.record.name for one in finding.records] == ["a-gpu", "cpu-2"]
    parts = [one.id for one in headings(section_inference(finding)) if one.level == 2]
    assert parts == ["inference-a-gpu", "inference-cpu-2", "inference-limit"]
    both = words(section(other, measured()))
    for record in (other, measured()):
        assert words(section(record)[2:-2]) in both
        assert timing_finding(record) in finding.records


def test_headings_have_ids_of_their_own() -> None:
    """Records have the same parts, and a link finds each."""
    found = [one.id for one in headings(section(measured(), replace(measured(), name="other")))]
    assert len(found) == len(set(found)) == 11
    assert {"inference-cpu-2-goals", "inference-other-goals"} <= set(found)


def test_pictures_show_intervals_and_ideals() -> None:
    """One picture of pruned nets against the ideal, one of everyone over the best whole net; both say it in words."""
    first, second = pictures(section(measured()))
    assert first.path == "docs/figures/inference-pruned-cpu-2.svg"
    assert "32 × 32: 2.00 (1.94 to 2.04) with width 1/2" in first.finding
    assert ">2.00 of 2.00<" in first.svg()
    assert ">ideal<" in first.svg()
    assert second.path == "docs/figures/inference-everyone-cpu-2.svg"
    assert "onnxruntime int8 width 1/2 2.67" in second.finding
    assert ">2.67<" in second.svg()


def test_user_models_go_by_their_names() -> None:
    """Models of the user are named, and two of one width are two."""
    one = race(32, {"paddle-inference fp32 1": 0.8, "paddle-inference fp32 1/2": 0.4})
    base, half = one.contestants
    again = replace(half, label="other", model="again")
    contestants = (replace(base, model="mine"), replace(half, model="short"), again)
    named = replace(one, contestants=contestants, seconds={**one.seconds, "other": one.seconds[half.label]})
    found = timed_race(named).pruned
    assert found is not None
    assert list(found.named) == ["short (width 1/2)", "again (width 1/2)"]


def test_the_report_needs_no_paddle(tmp_path: Path) -> None:
    """`report.check` with a timing record imports neither Paddle nor a runtime, nor anything of the service."""
    (tmp_path / "measured").mkdir()
    write_timing(measured(), tmp_path / "measured" / "timing")
    code = (
        "import sys\n"
        "names = 'paddle paddlenlp paddleslim onnx onnxruntime fastapi uvicorn gensim safetensors pytest torch'\n"
        "for name in names.split():\n"
        "    sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from replicate.report import build as report\n"
        "report.MEASURED = Path(sys.argv[1], 'measured')\n"
        "report.write(Path(sys.argv[1], 'REPORT.md'))\n"
        "sys.exit(report.check(Path(sys.argv[1], 'REPORT.md')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "docs" / "report" / "inference.md").read_text(encoding="utf-8")
    link = "[cpu-2](../../measured/timing/cpu-2.json)"
    assert link in page
    assert len(list((tmp_path / "docs" / "figures").glob("inference-*-cpu-2.svg"))) == 2


def test_the_service_under_load() -> None:
    """Rates and latencies of each net; a record of nothing else claims nothing of goals or speed-ups."""
    record = example(datasets=())
    ((one, (whole, half)),) = timing_finding(record).services
    assert (half.rate, half.p50, half.p99) == (20.0, 100.0, 937.0)
    assert (whole.over_first, half.over_first and half.over_first.median) == (None, 2)
    blocks = section(record)
    cells = lines(blocks, "requests/s")[1].cells
    assert [cells[name] for name in ("requests/s", "p50 ms", "p99 ms")] == ["20.0", "100.0", "937.0"]
    assert cells["over the first"].startswith("2.00 (")
    told = f"{one.clients} clients, {one.requests} requests a round, {one.rounds} rounds, texts of {one.length} tokens"
    assert told in words(blocks)
    assert [heading.id for heading in headings(blocks)] == [
        "inference-cpu-2",
        "inference-cpu-2-service",
        "inference-limit",
    ]
    assert "Not known" not in words(blocks)
    assert lines(section(replace(measured(), services=())), "requests/s") == []
