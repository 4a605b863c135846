"""A masked language model becomes a cloze, whose classifier starts from what it knows of the labels' words.

Sources: Schick and Schütze, "Exploiting Cloze Questions for Few-Shot Text Classification" (2021), for the cloze;
Hambardzumyan et al., "WARP: Word-level Adversarial ReProgramming" (2021), for a verbalizer whose rows are learnt, as
those of PaddleNLP's `SoftVerbalizer`, here started from the words themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.nets import upstream
from replicate.nets.classifier import Classifier, load_pretrained
from replicate.nets.cloze_net import cloze_class
from replicate.nets.configuration import PROMPT
from replicate.nets.folder import weights_of
from replicate.nets.single import network_of

# What parts [MASK] from the text; the first that the vocabulary has, or nothing.
COLONS = ("：", ":")
_HEAD = "cls.predictions."
_PLACES = "ernie.embeddings.position_embeddings.weight"


def load_masked(source: str | Path) -> tuple[Any, Any]:
    """A masked language model and its tokenizer, by PaddleNLP name or from a model folder.

    Raises:
        UserError: there is no such model, or it has no such head.
    """
    upstream.quiet()
    from paddlenlp.transformers import ErnieForMaskedLM

    return load_pretrained(ErnieForMaskedLM, source, complete=True)


def build_cloze(network: Any, tokenizer: Any, labels: Sequence[str]) -> Classifier:
    """The cloze of a masked language model for these labels; it gives a label what the model gives its characters.

    The logit of a label is the mean of those that the masked language model gives its characters at [MASK], so labels
    of any length stand beside each other, and in any order. It reads texts as long as the model does: behind the last
    position stand copies of that, one for each token of the prompt.

    Args:
        network: `ErnieForMaskedLM`; it stays as it is.
        tokenizer: its own.
        labels: their names.
    """
    config = copy.deepcopy(network.config)
    setattr(config, PROMPT, prompt_of(tokenizer))
    config.id2label, config.label2id = dict(enumerate(labels)), {name: at for at, name in enumerate(labels)}
    cloze = network_of(cloze_class(), config)
    weights = _weights(weights_of(network), _words(tokenizer, labels), len(config.prompt))
    cloze.set_state_dict({**cloze.state_dict(), **weights})
    return Classifier(cloze, tokenizer, tuple(labels))


def prompt_of(tokenizer: Any) -> list[int]:
    """Token ids of `[MASK]：`."""
    known = tokenizer.vocab.token_to_idx
    colon = next((known[one] for one in COLONS if one in known), None)
    return [int(tokenizer.mask_token_id), *([] if colon is None else [int(colon)])]


def _words(tokenizer: Any, labels: Sequence[str]) -> list[list[int]]:
    """Of each label the ids of its characters that the vocabulary has, or of [UNK] where it has none."""
    found = []
    for label in labels:
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(label))
        found.append([one for one in ids if one != tokenizer.unk_token_id] or [int(tokenizer.unk_token_id)])
    return found


def _weights(masked: dict[str, NDArray[Any]], words: Sequence[Sequence[int]], more: int) -> dict[str, NDArray[Any]]:
    """The cloze's arrays from those of the masked language model, with so many more positions.

    Those of the classifier are from the words of its labels.
    """
    embeddings, bias = masked["ernie.embeddings.word_embeddings.weight"], masked[f"{_HEAD}decoder.bias"]
    own = {name: value for name, value in masked.items() if not name.startswith((_HEAD, "ernie.pooler."))}
    places = own[_PLACES]
    own[_PLACES] = np.concatenate([places, np.repeat(places[-1:], more, axis=0)])
    for part in ("weight", "bias"):
        own[f"ernie.pooler.dense.{part}"] = masked[f"{_HEAD}transform.{part}"]
        own[f"ernie.pooler.layer_norm.{part}"] = masked[f"{_HEAD}layer_norm.{part}"]
    own["classifier.weight"] = np.stack([embeddings[ids].mean(axis=0) for ids in words], axis=1)
    own["classifier.bias"] = np.asarray([bias[ids].mean() for ids in words], dtype=np.float32)
    return own
