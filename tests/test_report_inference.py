"""The report's section on inference, from made-up timing records."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.common.paths import EXPECTED, ROOT
from replicate.records.timing import Race, TimingRecord
from replicate.records.timing_file import write_timing
from replicate.report import build as report
from replicate.report.build import gather, render
from replicate.report.pictures.picture import Picture
from replicate.report.sections.augmentation import section_augmentation
from replicate.report.sections.inference import section_inference
from replicate.tables.file import load_tables
from replicate.tables.table import ResultsTable
from replicate.timing.pruned import pruned_of
from replicate.timing.summary import rows_of, shown
from tests.synthetic import PROFILES, line
from tests.test_timing import FULL, comparison, example

# Milliseconds differ a little from round to round, so that intervals have two ends.
WIDE = (0.5, 0.6, 0.9, 1.0, 1.1, 1.5, 2.0)
STEADY = (0.97, 1.0, 1.03, 1.0, 0.99, 1.01, 1.0)
REASON = "REPLICATE_TORCH_PYTHON is not set; name the Python of an environment with PyTorch"


@pytest.fixture(scope="module")
def tables() -> dict[str, ResultsTable]:
    """The published tables."""
    return load_tables(EXPECTED)


def changed(one: Race, label: str, factors: Sequence[float] = STEADY) -> Race:
    """The comparison with other seconds of one contestant, around the same median."""
    middle = sorted(one.seconds[label])[len(one.seconds[label]) // 2]
    return replace(one, seconds={**one.seconds, label: tuple(middle * factor for factor in factors)})


def measured() -> TimingRecord:
    """A record of two lengths; PyTorch is left out of the second."""
    short = comparison(32, FULL)
    for label in FULL:
        if label != "paddle-inference fp32 1":
            short = changed(short, label)
    without = {label: seconds * 4 for label, seconds in FULL.items() if not label.startswith("pytorch")}
    return example(short, comparison(128, without, {"pytorch fp32 1": REASON}))


def section(tables: Mapping[str, ResultsTable], *records: TimingRecord) -> str:
    """The section's text."""
    found = section_inference(gather(tables, [], PROFILES, timings=records))
    return "\n\n".join(block if isinstance(block, str) else block.markdown for block in found) + "\n"


def pictures(tables: Mapping[str, ResultsTable], *records: TimingRecord) -> list[Picture]:
    """The section's pictures."""
    found = section_inference(gather(tables, [], PROFILES, timings=records))
    return [block for block in found if isinstance(block, Picture)]


def test_without_records_it_says_so(tables: dict[str, ResultsTable]) -> None:
    """Nothing timed is one line, and neither a figure nor a picture."""
    heading, only = section(tables).strip().split("\n\n")
    assert heading == "## What pruning buys at inference"
    assert only == "**not-run**: no inference has been timed; `tox -e timing` does it."
    text = render(tables, [], PROFILES)
    assert f"\n{heading}\n\n{only}\n" in text
    assert report.SECTIONS.index(section_inference) < report.SECTIONS.index(section_augmentation)


def test_the_answer_names_the_fastest_runtime_and_the_machine(tables: dict[str, ResultsTable]) -> None:
    """Gains with their intervals, the ideals, runtime and threads, and another length in a line of its own."""
    text = section(tables, measured())
    answer = line(text, "**Times as fast as the whole ernie-3.0-base: 2.00 (1.94 to 2.04) with width 1/2, 1.46 (")
    assert "** (ideal: 2.00, 1.50)." in answer
    assert "on 2 threads of a processor, in batches of 32 texts of 32 tokens" in answer
    assert "`paddle-inference`, in which the whole net takes 800.0 ms." in answer
    line(text, "- ernie-3.0-base, 32 × 128, `paddle-inference`: 2.00 (2.00 to 2.00) of 2.00 with width 1/2, 1.4")


@pytest.mark.parametrize(
    ("label", "seconds", "told"),
    [
        ("onnxruntime int8 1", 0.2, "with nothing pruned: int8 in `onnxruntime` 4.00 ("),
        ("onnxruntime int8 1", 0.6, "Less: int8 in `onnxruntime` 1.33 ("),
        (
            "onnxruntime int8 1",
            0.388,
            "Not told apart from it, since the intervals overlap: int8 in `onnxruntime` 2.06 (",
        ),
        ("dygraph-default fp32 1", 4.0, "with nothing pruned: `paddle-inference` instead of `dygraph-default` 5.00 ("),
        ("pytorch fp32 1", 0.7, "Less: `paddle-inference` instead of `pytorch` 0.87 ("),
    ],
)
def test_what_buys_more_than_pruning_is_said(
    tables: dict[str, ResultsTable], label: str, seconds: float, told: str
) -> None:
    """Int8 and other runtimes stand beside the narrowest width; what overlaps with it is not called more or less."""
    widths = {one: value for one, value in FULL.items() if one.startswith("paddle-inference")}
    one = comparison(32, {**widths, label: seconds})
    for each in one.seconds:
        one = changed(one, each) if each != "paddle-inference fp32 1" else one
    assert told in section(tables, example(one))


def test_int8_and_pruning_together_are_told(tables: dict[str, ResultsTable]) -> None:
    """Both over the fastest whole net in fp32."""
    assert "int8 and width 1/2 together, in `onnxruntime`: 2.67 (2.67 to 2.67)." in section(
        tables, example(comparison(32, FULL))
    )
    alone = {label: value for label, value in FULL.items() if label.startswith("paddle-inference")}
    assert "No other precision or runtime took part." in section(tables, example(comparison(32, alone)))


def test_without_a_pruned_net_there_is_no_answer(tables: dict[str, ResultsTable]) -> None:
    """A record of whole nets alone says so; one of a data set alone is asked nothing; neither draws anything."""
    of_whole_nets = example(comparison(32, {"paddle-inference fp32 1": 0.8}))
    assert "**Not known from this record.**" in section(tables, of_whole_nets)
    assert "Not known" not in section(tables, example())
    assert pictures(tables, of_whole_nets) == pictures(tables, example()) == []


def test_published_ratios_have_their_source(tables: dict[str, ResultsTable]) -> None:
    """The ratios of the published latencies stand with what the source tells of them, apart from any record."""
    found = line(section(tables, measured()), "Published, on another machine")
    assert "1.35 for ERNIE 3.0 Medium, pruned to width 2/3 (1.07 over 0.79 ms)" in found
    assert "1.67 for ERNIE 3.0 Medium, pruned to width 1/2 (1.07 over 0.64 ms)" in found
    assert "one Tesla V100-SXM2-32GB" in found
    assert "Not told: Runtime, precision and sequence length of the latency runs." in found
    assert "github.com/PaddlePaddle/PaddleNLP" in found


def test_tables_are_the_rows_of_the_summary(tables: dict[str, ResultsTable]) -> None:
    """Milliseconds and speed-ups are those of `rows_of`; everyone stands beside the fastest whole net too."""
    record = measured()
    text = section(tables, record)
    for one in record.comparisons:
        part = text.partition(f"\n{one.shape}, {one.batch} × {one.length}, random weights:\n")[2]
        for contestant, row in zip(one.contestants, rows_of(one), strict=True):
            label = f"| {contestant.runtime} ", f"| {contestant.precision} ", f"| width {contestant.width} "
            found = next(each for each in part.splitlines() if all(cell in each for cell in label))
            assert f"{row['ms']:,.2f} " in found
            assert shown(row["speed-up"]) in found
    assert "0.40 (0.40 to 0.40)" in line(text, "| dygraph ", "8,000.00")
    assert "The weights are random." in text
    trained = replace(record.comparisons[1], weights="trained")
    assert "The weights are random." not in section(tables, example(trained))


def test_sizes_are_told_once(tables: dict[str, ResultsTable]) -> None:
    """A net has one line, whatever the number of comparisons; runtimes that read as much share it."""
    found = line(section(tables, measured()), "| ernie-3.0-base ", "| width 1/2 ", "| fp32 ", "| 400.0 ")
    assert "| paddle-inference, onnxruntime |" in found


def test_goals_stand_beside_what_was_reached(tables: dict[str, ResultsTable]) -> None:
    """Reached, missed, undecided and not measured, each with its figure or reason."""
    record = measured()
    short = changed(record.comparisons[0], "pytorch fp32 1", WIDE)
    text = section(tables, replace(record, comparisons=(short, record.comparisons[1])))
    assert "**reached**" in line(text, "| width 1/2 over Base", "| 32 × 32 ", "≥ 1.9", "2.00 (1.94 to 2.04)")
    assert "**missed**" in line(text, "| int8 width 1/2 over best", "| 32 × 128 ", "2.67")
    assert "**undecided**" in line(text, "| best fp32 Base over PyTorch", "| 32 × 32 ")
    found = line(text, "Not measured by this record: 1 goal: ")
    assert "pytorch fp32 1 was left out: REPLICATE_TORCH_PYTHON is not set" in found
    elsewhere = section(tables, example(comparison(32, FULL), threads=4))
    assert "Goals, which this record measures none of: the goals are about 2 threads of a CPU." in elsewhere


def test_padding_is_told(tables: dict[str, ResultsTable]) -> None:
    """A data set in the order of its file and by length, with the shares of padding."""
    text = section(tables, measured())
    found = line(text, "| paddle-inference ", "2.100", "1.050", "50.0%", "12.5%")
    assert "2.00 (2.00 to 2.00, 50%)" in found
    assert "70 dev texts of `generated` in batches of 32, cut after 128 tokens, trained weights, 2 rounds:" in text
    assert "#### Padding" not in section(tables, replace(measured(), datasets=()))


def test_who_was_left_out_or_wandered_is_named(tables: dict[str, ResultsTable]) -> None:
    """Each with its reason or its comparison; a mark stands at the figures too."""
    record = measured()
    text = section(tables, record)
    assert f"- Left out: `pytorch fp32 1`: {REASON}." in text
    assert "- Unstable" not in text
    assert "| unstable" not in text
    short = changed(record.comparisons[0], "paddle-inference fp32 1/2", WIDE)
    text = section(tables, replace(record, comparisons=(short,)))
    assert "- Unstable, and marked so in the tables: 1 of 10 at ernie-3.0-base, 32 × 32." in text
    assert "unstable |" in line(text, "| paddle-inference ", "| width 1/2 ", "| 400.00 ")
    assert ", unstable with width 1/2" in line(text, "**Times as fast")


def test_how_it_was_measured_and_where(tables: dict[str, ResultsTable]) -> None:
    """The link to the record, its command, machine, versions, rounds and time."""
    text = section(tables, measured())
    assert "- record: [cpu-2](measured/timing/cpu-2.json), with every raw second" in text
    assert "- command: `replicate time --grid full`" in text
    assert "- machine: cores 2, cpu a processor" in text
    assert "- versions: numpy 1.26.4" in text
    assert "- rounds: 7 rounds after 2 warm-ups: ernie-3.0-base, 32 × 32, ernie-3.0-base, 32 × 128\n" in text
    assert "- when: 2026-01-01T00:00:00+00:00 to 2026-01-01T00:15:00+00:00" in text


def test_records_stand_by_themselves(tables: dict[str, ResultsTable]) -> None:
    """Each record's part is the same with and without another, in the order of their names."""
    other = replace(measured(), name="a-gpu", device={"kind": "gpu", "name": "some GPU", "threads": 8})
    both = section(tables, measured(), other)
    alone = [section(tables, record).partition("\n### ")[2] for record in (other, measured())]
    assert all(part in both for part in alone)
    assert both.index("### `a-gpu`: some GPU\n") < both.index("### `cpu-2`: 2 threads of a processor\n")


def test_pictures_show_intervals_and_ideals(tables: dict[str, ResultsTable]) -> None:
    """One picture of pruned nets against the ideal, one of everyone over the best whole net; both say it in words."""
    first, second = pictures(tables, measured())
    assert first.path == "docs/figures/inference-pruned-cpu-2.svg"
    assert "ernie-3.0-base, 32 × 32: 2.00 (1.94 to 2.04) with width 1/2" in first.finding
    assert ">2.00 of 2.00<" in first.svg()
    assert ">ideal<" in first.svg()
    assert second.path == "docs/figures/inference-everyone-cpu-2.svg"
    assert "onnxruntime int8 width 1/2 2.67" in second.finding
    assert ">2.67<" in second.svg()


def test_user_models_go_by_their_names() -> None:
    """Models of the user are named, and two of one width are two."""
    one = comparison(32, {"paddle-inference fp32 1": 0.8, "paddle-inference fp32 1/2": 0.4})
    base, half = one.contestants
    again = replace(half, label="other", model="again")
    contestants = (replace(base, model="mine"), replace(half, model="short"), again)
    named = replace(one, contestants=contestants, seconds={**one.seconds, "other": one.seconds[half.label]})
    found = pruned_of(named)
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
    assert "[cpu-2](measured/timing/cpu-2.json)" in (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    assert len(list((tmp_path / "docs" / "figures").glob("inference-*-cpu-2.svg"))) == 2


def test_the_service_under_load(tables: dict[str, ResultsTable]) -> None:
    """Rates and latencies of each net; a record of nothing else claims nothing of goals or speed-ups."""
    text = section(tables, example(datasets=()))
    assert "4 clients, 4 requests a round, 2 rounds, texts of 32 tokens, at most 4 computed together:" in text
    cells = [one.strip() for one in line(text, "| ernie-3.0-base | width 1/2").strip("|").split("|")]
    assert cells[4:7] == ["20.0", "100.0", "937.0"]
    assert cells[7].startswith("2.00 (")
    assert "Goals" not in text
    assert "Not known" not in text
    assert "#### The service under load" not in section(tables, replace(measured(), services=()))
