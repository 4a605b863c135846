"""A tiny net, and how the tests train and prune it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.progress import Progress
from replicate.corpus.formats import Dataset
from replicate.nets import upstream
from replicate.nets.classifier import build_config, load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model
from replicate.nets.tokens import build_tokenizer, build_vocabulary
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.stages.prune.options import PruneOptions
from replicate.stages.prune.prune import prune

QUIET = Progress(quiet=True)
# Six heads, of which 1/2 and 2/3 are whole, and large first weights, in a net that learns something in two seconds.
ARCHITECTURE = {
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
# A profile of one's own, with a net that is made in a second.
PROFILE = """
schema = 1
id = "tiny"
question = "Does it run?"
comparable = false
reason = "a test"
device = "cpu"
dataset = "generated"
seeds = [1]
tables = ["ernie3_kuake_qic"]
unlabelled = "generated"

[pretrain]
architecture = { hidden_size = 24, num_hidden_layers = 1, num_attention_heads = 6, intermediate_size = 24 }
passes = 50
max_seq_length = 48
"""
# A student of each kind, tiny too.
STUDENT_SHAPES: dict[str, dict[str, Any]] = {
    "bow": {"embedding_size": 24, "hidden_size": 24},
    "cnn": {"embedding_size": 24, "hidden_size": 24, "filters": 12},
    "bilstm": {"embedding_size": 24, "hidden_size": 24, "lstm_size": 16, "num_layers": 2},
    "ernie": {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 24},
}


@dataclass(frozen=True)
class Made:
    """A model folder and the summary of the stage that wrote it."""

    folder: Path
    summary: dict[str, Any]


def run_finetune(dataset: Dataset, start: Path, folder: Path, seed: int, **options: Any) -> Made:
    """Fine-tune for two epochs of 13 steps; `options` overrides."""
    settings = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 2, "max_seq_length": 48, **options}
    seed_everything(seed)
    classifier = load_classifier(start, dataset.labels)
    summary = finetune(classifier, dataset.train, dataset.dev, FinetuneOptions(**settings), seed, folder, QUIET)
    return Made(folder, summary)


def run_prune(dataset: Dataset, parent: Path, folder: Path, options: PruneOptions, seed: int = 3) -> Made:
    """Prune a fine-tuned folder."""
    seed_everything(seed)
    classifier = load_classifier(parent, dataset.labels)
    return Made(folder, prune(classifier, dataset.train, dataset.dev, options, seed, folder, QUIET))


def write_masked_model(folder: Path, texts: Sequence[str], **shape: Any) -> None:
    """A masked language model of the texts' characters, with random weights, in a folder such as `pretrain` writes."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieForMaskedLM

    seed_everything(1)
    vocabulary = build_vocabulary(texts, 1)
    network = ErnieForMaskedLM(build_config({**ARCHITECTURE, **shape}, len(vocabulary)))
    save_model(network, build_tokenizer(vocabulary, folder), folder)
