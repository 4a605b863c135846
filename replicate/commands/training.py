"""The stages as commands of their own, under the article's names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import resumable_folder
from replicate.common.progress import Progress
from replicate.corpus import load_dataset
from replicate.corpus.formats import Dataset, read_lines
from replicate.scores.metrics import scores
from replicate.training.optimisation import Diverged


def _dataset(folder: str | None) -> Dataset:
    return load_dataset(folder or "kuake-qic")


def _tell(summary: dict[str, Any], folder: Path) -> int:
    found = scores(summary["evaluation"]["counts"])
    figures = ", ".join(f"{name} {found[name]:.4f}" for name in ("accuracy", "precision", "recall", "f1", "macro_f1"))
    print(f"best at step {summary['best_step']} of {summary['steps']}: {figures}")
    print(f"model in {folder}")
    return 0


def pretrain_command(args: argparse.Namespace) -> int:
    """`replicate pretrain`."""
    from replicate.nets.device import set_device
    from replicate.stages.kind import options_of
    from replicate.stages.pretrain import PretrainOptions, pretrain

    settings = options_of(PretrainOptions, {**_profile_options(args.config or "small", "pretrain"), "seed": args.seed})
    if args.passes is not None:
        settings = options_of(PretrainOptions, {**vars(settings), "passes": args.passes})
    lines = read_lines(args.corpus)
    set_device(args.device)
    with resumable_folder(args.save_dir) as folder, _divergence():
        summary = pretrain(lines, settings, folder, Progress("pretrain"), args.model_name)
    loss, accuracy = summary["heldout_loss"], summary["heldout_accuracy"]
    print(f"{summary['steps']} steps; held-out loss {loss:.4f}, accuracy {accuracy:.4f}")
    print(f"model in {args.save_dir}")
    return 0


def finetune_command(args: argparse.Namespace) -> int:
    """`replicate finetune`."""
    from replicate.nets.classifier import classifier_from_config, load_classifier
    from replicate.nets.device import seed_everything, set_device
    from replicate.nets.tokens import build_vocabulary
    from replicate.stages.finetune import FinetuneOptions, finetune

    settings = FinetuneOptions(
        learning_rate=args.learning_rate,
        batch_size=args.batch_size,
        epochs=args.epochs,
        max_seq_length=args.max_seq_length,
        warmup_proportion=args.warmup_proportion if args.warmup else 0.0,
        weight_decay=args.weight_decay,
        early_stop_nums=args.early_stop_nums if args.early_stop else 0,
        select=args.select,
        evaluations_per_epoch=args.evaluations_per_epoch,
        batching=args.batching,
    )
    dataset = _dataset(args.dataset_dir)
    set_device(args.device)
    with resumable_folder(args.save_dir) as folder, _divergence():
        seed_everything(args.seed)
        if args.config:
            architecture = _profile_options(args.config, "pretrain")["architecture"]
            classifier = classifier_from_config(
                architecture, build_vocabulary(dataset.train.texts), dataset.labels, folder
            )
        else:
            classifier = load_classifier(args.init_from_ckpt or args.model_name, dataset.labels)
        progress = Progress("finetune", every=args.logging_steps)
        summary = finetune(classifier, dataset.train, dataset.dev, settings, args.seed, folder, progress)
    return _tell(summary, args.save_dir)


def prune_command(args: argparse.Namespace) -> int:
    """`replicate prune`."""
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import seed_everything, set_device
    from replicate.stages.prune.options import PruneOptions, folder_of
    from replicate.stages.prune.prune import prune

    settings = PruneOptions(
        width=args.width_mult,
        learning_rate=args.learning_rate,
        batch_size=args.per_device_train_batch_size,
        epochs=args.num_train_epochs,
        max_seq_length=args.max_seq_length,
        save_steps=args.save_steps,
        select=args.select,
        batching=args.batching,
        importance=args.importance,
        engine=args.engine,
        depth=args.depth_mult,
    )
    dataset = _dataset(args.dataset_dir)
    target = args.output_dir / folder_of(settings)
    set_device(args.device)
    with resumable_folder(target) as folder, _divergence():
        seed_everything(args.seed)
        classifier = load_classifier(args.params_dir)
        if classifier.labels != dataset.labels:
            raise UserError("the model has other labels than the data", path=args.params_dir)
        progress = Progress("prune", every=args.logging_steps)
        summary = prune(classifier, dataset.train, dataset.dev, settings, args.seed, folder, progress)
    return _tell(summary, target)


def distill_command(args: argparse.Namespace) -> int:
    """`replicate distill`."""
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import set_device
    from replicate.stages.distill.distill import distill
    from replicate.stages.distill.options import DistillOptions

    settings = DistillOptions(
        student=args.student,
        shape=args.shape,
        start=args.start,
        alpha=args.alpha,
        temperature=args.temperature,
        copies=args.copies,
        unlabelled=args.unlabelled_per_text,
        **({"mix": args.mix} if args.mix else {}),
        learning_rate=args.learning_rate,
        batch_size=args.batch_size,
        epochs=args.epochs,
        max_seq_length=args.max_seq_length,
        warmup_proportion=args.warmup_proportion,
        weight_decay=args.weight_decay,
        early_stop_nums=args.early_stop_nums,
        select=args.select,
        evaluations_per_epoch=args.evaluations_per_epoch,
        batching=args.batching,
    )
    dataset = _dataset(args.dataset_dir)
    unlabelled = (*dataset.unlabelled, *(read_lines(args.unlabelled) if args.unlabelled else ()))
    set_device(args.device)
    with resumable_folder(args.output_dir) as folder, _divergence():
        teacher = load_classifier(args.teacher)
        if teacher.labels != dataset.labels:
            raise UserError("the teacher has other labels than the data", path=args.teacher)
        progress = Progress("distill", every=args.logging_steps)
        summary = distill(
            teacher, dataset.train, dataset.dev, lambda: unlabelled, settings, args.seed, folder, progress
        )
    found, taught = scores(summary["evaluation"]["counts"]), summary["teacher"]
    print(
        f"{args.student} of {summary['parameters']:,} parameters from {summary['examples']:,} texts "
        f"({summary['augmented']:,} augmented, {summary['unlabelled']:,} unlabelled): "
        f"accuracy {found['accuracy']:.4f} at step {summary['best_step']} of {summary['steps']}, "
        f"macro_f1 {found['macro_f1']:.4f}, teacher {taught['accuracy']:.4f}; model in {args.output_dir}"
    )
    return 0


def _profile_options(name: str, stage: str) -> dict[str, Any]:
    """A stage's settings from a profile, by its name or its file."""
    from replicate.tables.profile import load_profile

    profile = load_profile(Path(name).stem, Path(name).parent) if name.endswith(".toml") else load_profile(name)
    if stage not in profile.options:
        raise UserError(f"profile {profile.id} has no [{stage}]", path=name)
    return dict(profile.options[stage])


@contextmanager
def _divergence() -> Iterator[None]:
    try:
        yield
    except Diverged as error:
        raise UserError(f"training diverged: {error}", hint="lower --learning_rate") from error
