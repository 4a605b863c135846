"""The `replicate` command. Paddle is imported only inside commands that train or predict."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from replicate.common.checks import LARGEST_SEED
from replicate.common.errors import Stopped, UserError
from replicate.common.paths import REPORT, store_root
from replicate.common.progress import Progress

BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 checked and found wanting, 2 bad input, 130 or 143 stopped."""
    words = sys.argv[1:] if argv is None else list(argv)
    # What is piped into a terminal or a file of another encoding is shown somehow.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    args = build_parser(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
    Progress.curves = getattr(args, "visualdl", None)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        _check_words(words, args)
        with _network(args):
            code = int(args.run(args))
        # Here, not at exit: a reader that has left is no error of ours.
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"replicate: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        # NumPy says in one line what it wanted, Paddle in a page what it did.
        what = "" if "\n" in str(error).strip() else f" ({error})" * bool(str(error))
        print(f"replicate: there is not enough memory for this{what}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        print(f"replicate: {stopped}", file=sys.stderr)
        return stopped.code
    except BrokenPipeError:
        # The reader (head, less) has what it wants; Python must not complain about that at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115  (lives until exit)
        return BROKEN_PIPE
    except OSError as error:
        # A name that is too long, a folder that can't be entered: what the system says of a file is the user's to mend.
        if error.filename is None:
            raise
        print(f"replicate: {UserError(str(error.strerror), path=error.filename)}", file=sys.stderr)
        return 2


def _check_words(words: Sequence[str], args: argparse.Namespace) -> None:
    """Refuse what no command could make sense of."""
    for word in words:
        # Bytes of the command line that are not UTF-8 arrive as lone surrogates, which Paddle takes for no path.
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise UserError(f"not UTF-8: {word!a}", hint="give names and texts in UTF-8")
        # argparse drops this value, and leaves a list in its place.
        if word.startswith("--") and word.partition("=")[2] == "--":
            raise UserError(f"{word.partition('=')[0][2:]} is '--'", hint="say what it is")
    for name, value in vars(args).items():
        # An empty variable of a script would otherwise mean the default.
        if value == "":
            raise UserError(f"{name} is empty", hint="leave it out, or say what it is")


def _network(args: argparse.Namespace) -> AbstractContextManager[None]:
    if not getattr(args, "offline", False):
        return nullcontext()
    from replicate.corpus.fetch import no_network

    return no_network()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, and what to do next."""

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2."""
        self.exit(2, f"replicate: {' '.join(message.split())}; `{self.prog} --help` says what it takes\n")


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line of `replicate` and its subcommands, or of those only one with its arguments.

    Some commands' arguments need imports of their own, which `replicate --help` should not wait for.
    """
    parser = Parser(prog="replicate", description="Replicates a published ERNIE 3.0 table and says what of it is true.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, summary, add, run in COMMANDS:
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if only in (None, name):
            add(command)
        command.set_defaults(run=run)
    return parser


def seeds_of(text: str) -> tuple[int, ...]:
    """`1,2,3` as numbers."""
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,2,3") from None
    if len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} names a seed twice, or one that is not from 0 to {LARGEST_SEED}")
    return seeds


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="*", metavar="ROW", help="row ids (default: every row that the profile runs)")
    parser.add_argument("--profile", default="smoke", metavar="P", help="paper, small or smoke (default)")
    parser.add_argument("--seeds", type=seeds_of, metavar="1,2,3", help="instead of the profile's seeds")
    parser.add_argument("--device", metavar="DEVICE", help="cpu or gpu, instead of the profile's device")
    parser.add_argument(
        "--dataset_dir", metavar="DIR", help="your own train.txt, dev.txt and label.txt, instead of the profile's data"
    )
    parser.add_argument("--dry-run", action="store_true", help="list what would run and what is kept")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="also keep the records in measured/, as the baseline of later runs, and rewrite REPORT.md; a row that "
        "differs from its own baseline, or failed, is refused by name",
    )
    parser.add_argument(
        "--accept-changed", action="store_true", help="as --accept, rows that differ or failed included"
    )
    parser.add_argument("--offline", action="store_true", help="open no connection")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="as JSON")
    _add_visualdl(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where REPORT.md is stale")
    parser.add_argument(
        "--html", nargs="?", type=Path, const=REPORT.with_suffix(".html"), metavar="FILE", help="one HTML file instead"
    )
    parser.add_argument("--dataset_dir", metavar="DIR", help="the report on your own data, which `run` has recorded")
    parser.add_argument("--texts", action="store_true", help="embed the dev texts of your own data in its HTML file")


def _report(args: argparse.Namespace) -> int:
    from replicate.report import build as report

    if args.texts and not args.dataset_dir:
        raise UserError("--texts is for your own data", hint="name it with --dataset_dir")
    if args.check and (args.html or args.dataset_dir):
        raise UserError("--check is about REPORT.md alone")
    if args.check:
        return report.check()
    if args.dataset_dir:
        from replicate.runs.runner import Runner
        from replicate.runs.store import Store
        from replicate.tables.profile import load_profile

        # The folder of the records hangs on the data alone, not on the profile.
        runner = Runner(load_profile("smoke").changed(dataset=args.dataset_dir), Store(store_root()))
        path = report.write_own(runner.records, runner.dataset, args.html, args.texts)
        print(f"report in {path} and {args.html or path.with_name('report.html')}")
    elif args.html:
        report.write_html(args.html)
        print(f"report in {args.html}")
    else:
        report.write()
        print(f"report in {REPORT}")
    return 0


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def _completion(args: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(build_parser(), args.shell))
    return 0


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="smoke", metavar="P", help="what should be able to run (default: smoke)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _doctor(args: argparse.Namespace) -> int:
    from replicate.commands import doctor
    from replicate.tables.profile import load_profile

    if not args.json:
        return doctor.main(args.profile)
    checks = doctor.doctor(load_profile(args.profile))
    print(json.dumps([vars(check) for check in checks], ensure_ascii=False, indent=1))
    return int(not all(check.ok for check in checks))


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=("kuake-qic", "generated"), help="which data")
    parser.add_argument("folder", type=Path, help="new folder for train.txt, dev.txt, label.txt and data.txt")
    parser.add_argument("--offline", action="store_true", help="open no connection")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _data(args: argparse.Namespace) -> int:
    from replicate.corpus import load_dataset
    from replicate.corpus.formats import write_dataset

    dataset = load_dataset(args.name, args.offline)
    write_dataset(dataset, args.folder)
    parts = {name: len(getattr(dataset, name)) for name in ("train", "dev", "unlabelled", "labels")}
    if args.json:
        print(json.dumps({"folder": str(args.folder), **parts}, ensure_ascii=False, indent=1))
    else:
        print(f"{args.folder}: " + ", ".join(f"{count} {name}" for name, count in parts.items()))
    return 0


def _add_visualdl(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--visualdl", type=Path, metavar="DIR", help="write training curves there, for VisualDL")


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, required=True, metavar="FILE", help="unlabelled texts, one a line")
    parser.add_argument("--save_dir", type=Path, required=True, metavar="DIR", help="where the model is written")
    parser.add_argument(
        "--config", metavar="FILE", help="profile TOML whose [pretrain] is used (default: profiles/small.toml)"
    )
    parser.add_argument("--model_name", metavar="NAME", help="continue from a PaddleNLP name or model folder instead")
    parser.add_argument("--passes", type=float, help="times that the corpus is read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu (default) or gpu")
    _add_visualdl(parser)


def _add_finetune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset_dir", metavar="DIR", help="train.txt, dev.txt, label.txt (default: KUAKE-QIC)")
    parser.add_argument(
        "--save_dir", type=Path, default=Path("checkpoint"), metavar="DIR", help="where the best model is written"
    )
    parser.add_argument(
        "--model_name", default="ernie-3.0-base-zh", metavar="NAME", help="PaddleNLP name or model folder"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="profile TOML: a random start with its architecture and a vocabulary of the training text",
    )
    parser.add_argument("--init_from_ckpt", metavar="DIR", help="model folder to start from")
    parser.add_argument("--learning_rate", type=float, default=6e-5)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--warmup", action="store_true", help="let the learning rate rise first")
    parser.add_argument("--warmup_proportion", type=float, default=0.1, help="share of the steps in which it rises")
    parser.add_argument("--early_stop", action="store_true", help="stop when the score no longer rises")
    parser.add_argument("--early_stop_nums", type=int, default=4, help="epochs without a better score before that")
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu (default) or gpu")
    parser.add_argument("--logging_steps", type=int, default=0, help="print the loss every so many steps")
    parser.add_argument(
        "--select", choices=("accuracy", "f1"), default="accuracy", help="score that picks the best model"
    )
    parser.add_argument("--evaluations_per_epoch", type=int, default=1)
    parser.add_argument(
        "--batching", choices=("random", "length"), default="random", help="length pads less and is faster"
    )
    _add_visualdl(parser)


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params_dir", required=True, metavar="DIR", help="model folder of the fine-tuned parent")
    parser.add_argument("--width_mult", required=True, metavar="W", help="share to keep: 1/2, 2/3, 0.75")
    parser.add_argument(
        "--engine",
        choices=("paddlenlp", "paddlenlp-cleared", "native"),
        default="paddlenlp",
        help="PaddleNLP's own pruning, as in the article (default), the same without the gradients that it leaks into "
        "its first step, or this project's, which is faster",
    )
    parser.add_argument(
        "--depth_mult", default="1", metavar="D", help="share of layers to keep (native; --width_mult may then be 1)"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("prune"),
        metavar="DIR",
        help="the model is written into DIR/<width>, e.g. DIR/0.67",
    )
    parser.add_argument("--dataset_dir", metavar="DIR", help="train.txt, dev.txt, label.txt (default: KUAKE-QIC)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or gpu")
    parser.add_argument("--per_device_train_batch_size", type=int, default=32)
    parser.add_argument(
        "--per_device_eval_batch_size",
        type=int,
        default=32,
        help="taken for the article's command line; evaluation batches are of 64",
    )
    parser.add_argument("--learning_rate", type=float, default=3e-5)
    parser.add_argument("--num_train_epochs", type=int, default=5)
    parser.add_argument("--logging_steps", type=int, default=0, help="print the accuracy every so many steps")
    parser.add_argument("--save_steps", type=int, default=50, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--select", choices=("accuracy", "f1"), default="f1", help="score that picks the best state")
    parser.add_argument(
        "--batching", choices=("random", "length"), default="random", help="length pads less and is faster"
    )
    parser.add_argument(
        "--importance",
        choices=("dev", "train"),
        default="dev",
        help="examples that the importance of heads is computed on (default: dev, as in the article)",
    )
    _add_visualdl(parser)


def _add_distill(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--teacher", required=True, metavar="DIR", help="model folder of a fine-tuned classifier")
    add("--student", required=True, choices=("bow", "cnn", "bilstm", "ernie"), help="what kind of net learns from it")
    add("--output_dir", type=Path, required=True, metavar="DIR", help="where the student is written")
    add("--dataset_dir", metavar="DIR", help="train.txt, dev.txt, label.txt, data.txt (default: KUAKE-QIC)")
    add("--unlabelled", type=Path, metavar="FILE", help="more unlabelled texts, one a line, beside data.txt")
    add("--unlabelled_per_text", type=float, default=0.25, metavar="N", help="unlabelled texts a training text")
    add("--copies", type=int, default=4, metavar="N", help="augmented copies of each training text")
    add(
        "--mix",
        type=settings_of,
        metavar="S=W,…",
        help="weights of strategies (default: word_unk, word_pos, n_sampling)",
    )
    add("--shape", type=settings_of, default={}, metavar="KEY=N,…", help="of the student, such as hidden_size=64")
    add("--start", choices=("random", "teacher"), default="random", help="ernie only: begin with the teacher's layers")
    add("--alpha", type=float, default=0.9, help="weight of the soft loss; 0 learns from hard labels alone")
    add("--temperature", type=float, default=2.0, help="that logits are divided by in the soft loss")
    add("--learning_rate", type=float, default=1e-3)
    add("--batch_size", type=int, default=64)
    add("--epochs", type=int, default=6)
    add("--max_seq_length", type=int, default=128)
    add("--warmup_proportion", type=float, default=0.1, help="share of the steps in which the learning rate rises")
    add("--weight_decay", type=float, default=0.01)
    add("--early_stop_nums", type=int, default=0, help="epochs without a better score before it stops; 0 never does")
    add("--select", choices=("accuracy", "f1"), default="accuracy", help="score that picks the best state")
    add("--evaluations_per_epoch", type=int, default=1)
    add("--batching", choices=("random", "length"), default="length", help="length pads less and is faster")
    add("--logging_steps", type=int, default=0, help="print the loss every so many steps")
    add("--seed", type=int, default=3)
    add("--device", default="cpu", help="cpu (default) or gpu")
    _add_visualdl(parser)


def settings_of(text: str) -> dict[str, int | float]:
    """`a=1,b=0.5` as names and numbers."""
    found: dict[str, int | float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = int(value) if re.fullmatch(r"\s*\d+\s*", value) else float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not a name and a number such as hidden_size=64") from None
    return found


def late(module: str, name: str) -> Callable[[Any], Any]:
    """A function of a module that is imported when it is first called: no command waits for another's imports."""

    def call(argument: Any) -> Any:
        return getattr(importlib.import_module(module), name)(argument)

    return call


COMMANDS: tuple[
    tuple[str, str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]], ...
] = (
    (
        "run",
        "run rows of the table and record what they give",
        _add_run,
        late("replicate.commands.run", "run_command"),
    ),
    (
        "list",
        "list the tables' rows, published and measured",
        late("replicate.commands.listings", "add_list_arguments"),
        late("replicate.commands.listings", "list_command"),
    ),
    (
        "show",
        "show one row: where it is from, its stages, its figures",
        late("replicate.commands.listings", "add_show_arguments"),
        late("replicate.commands.listings", "show_command"),
    ),
    ("report", "write REPORT.md from expected/ and measured/", _add_report, _report),
    ("completion", "print the shell's script that completes these commands", _add_completion, _completion),
    ("doctor", "say whether a profile can run here, and what mends it", _add_doctor, _doctor),
    (
        "store",
        "check the run store, or clear it of what is left over",
        late("replicate.commands.store", "add_store_arguments"),
        late("replicate.commands.store", "store_command"),
    ),
    ("data", "write a data set in the local format", _add_data, _data),
    (
        "pretrain",
        "pretrain a net on unlabelled text",
        _add_pretrain,
        late("replicate.commands.training", "pretrain_command"),
    ),
    ("finetune", "fine-tune a classifier", _add_finetune, late("replicate.commands.training", "finetune_command")),
    (
        "augment",
        "augment a training file or a folder of them",
        late("replicate.commands.augment", "add_arguments"),
        late("replicate.commands.augment", "run"),
    ),
    (
        "vectors",
        "train word vectors on a data set's own words",
        late("replicate.commands.vectors", "add_arguments"),
        late("replicate.commands.vectors", "vectors_command"),
    ),
    (
        "prune",
        "prune a fine-tuned classifier (DynaBERT)",
        _add_prune,
        late("replicate.commands.training", "prune_command"),
    ),
    (
        "distill",
        "train a small student on what a fine-tuned classifier says of labelled, augmented and unlabelled text",
        _add_distill,
        late("replicate.commands.training", "distill_command"),
    ),
    (
        "predict",
        "label texts with a fine-tuned, pruned, distilled or exported model",
        late("replicate.commands.predict", "add_predict_arguments"),
        late("replicate.commands.predict", "predict_command"),
    ),
    (
        "export",
        "write a model for Paddle Inference or ONNX Runtime",
        late("replicate.commands.export", "add_export_arguments"),
        late("replicate.commands.export", "export_command"),
    ),
    (
        "time",
        "time models in every runtime",
        late("replicate.commands.time_arguments", "add_time_arguments"),
        late("replicate.commands.time", "time_command"),
    ),
    (
        "serve",
        "answer predictions over HTTP",
        late("replicate.commands.serve", "add_serve_arguments"),
        late("replicate.commands.serve", "serve_command"),
    ),
)
