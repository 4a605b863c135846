"""Pretrained ERNIEs that PaddleNLP has by name: where their files are, and a load that leaves nothing to chance.

PaddleNLP's own `from_pretrained` gives a tensor that the checkpoint lacks a random value, with a warning that a healthy
load prints too: a checkpoint of another net then trains like one, from nothing.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.common.homes import paddlenlp_home
from replicate.nets.configuration import bare
from replicate.nets.folder import HEADS, WEIGHTS
from replicate.nets.pdparams import read_pdparams
from replicate.nets.tokens import read_tokenizer

HOSTING = "https://bj.bcebos.com/paddlenlp/models/transformers"
# Below HOSTING, weights and vocabulary, as in `paddlenlp/transformers/ernie`.
_PLACES = {
    **{
        f"ernie-3.0-{size}-zh": tuple(f"ernie_3.0/ernie_3.0_{size}_zh{end}" for end in (".pdparams", "_vocab.txt"))
        for size in ("xbase", "base", "medium", "mini", "micro", "nano")
    },
    "ernie-1.0-large-zh-cw": ("ernie/ernie_1.0_large_zh_cw.pdparams", "ernie/vocab.txt"),
}
NAMES = tuple(_PLACES)
# Of the tokens that a net has room for: upstream's vocabularies fill 99 % and more, and one with fewer is half a file.
_FULL = 0.9
SHOWN = 3

_LAYER = re.compile(r"encoder\.layers\.")
# In a net these are the word embeddings under another name.
_TIED = "decoder_weight"


@dataclass(frozen=True)
class Named:
    """The files of a name, in PaddleNLP's cache and on its hosting."""

    name: str

    @property
    def folder(self) -> Path:
        """Where PaddleNLP keeps them."""
        return paddlenlp_home() / "models" / self.name

    @property
    def weights(self) -> Path:
        """The weights; PaddleNLP gives them this name, whatever they are called on its hosting."""
        return self.folder / "model_state.pdparams"

    @property
    def vocabulary(self) -> Path:
        """The vocabulary, which keeps its name."""
        return self.folder / Path(_PLACES[self.name][1]).name

    @property
    def addresses(self) -> tuple[str, str]:
        """Where the weights and the vocabulary can be fetched."""
        weights, vocabulary = _PLACES[self.name]
        return f"{HOSTING}/{weights}", f"{HOSTING}/{vocabulary}"

    @property
    def missing(self) -> tuple[Path, ...]:
        """The files that are not in the cache."""
        return tuple(path for path in (self.weights, self.vocabulary) if not path.is_file())

    @property
    def mend(self) -> str:
        """What to do with a file that is not what it should be."""
        return f"remove it, and PaddleNLP fetches it again, or copy {self.folder} from a machine that has it"

    @property
    def rename(self) -> str:
        """What to rename, where a file lies there as a browser or another hub calls it; empty where none does."""
        others = {self.weights: Path(_PLACES[self.name][0]).name, self.vocabulary: "vocab.txt"}
        found = [path for path in self.missing if (self.folder / others[path]).is_file()]
        return " and ".join(f"rename {others[path]} to {path.name}" for path in found)

    @property
    def instead(self) -> str:
        """In words, what the cache's folder holds besides: a file may lie there under another name."""
        try:
            others = sorted(path.name for path in self.folder.iterdir() if path not in (self.weights, self.vocabulary))
        except OSError:
            others = []
        return f" (it has {', '.join(others[:SHOWN])})" if others else ""


def named(source: str | Path) -> Named | None:
    """The net of that name; None where PaddleNLP has no such ERNIE, or a folder is called so."""
    return Named(str(source)) if str(source) in _PLACES and not Path(source).is_dir() else None


def fetch_named(one: Named) -> None:
    """Have PaddleNLP fetch what its cache lacks.

    Raises:
        UserError: it can't; says what is missing, and what lies there under another name.
    """
    if not one.missing:
        return
    from replicate.nets import upstream

    upstream.quiet()
    from paddlenlp.utils.download import resolve_file_path

    for path, address in zip((one.weights, one.vocabulary), one.addresses, strict=True):
        if path.is_file():
            continue
        try:
            # Where it keeps models it knows from when it was imported, and the variable may be another one since.
            resolve_file_path(one.name, [address], cache_dir=str(one.folder.parent))
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"no {path.name}{one.instead}, and PaddleNLP could not fetch it ({type(error).__name__})",
                path=one.folder,
                hint=one.rename or f"check the network, or copy the folder from a machine that has it ({address})",
            ) from error


def load_named(kind: Any, one: Named, head: Mapping[str, Any], complete: bool = False) -> tuple[Any, Any]:
    """A network of PaddleNLP class `kind` and its tokenizer; each tensor of the encoder is the checkpoint's.

    Args:
        kind: an ERNIE's, such as `ErnieForSequenceClassification`.
        one: the net; what the cache lacks is fetched.
        head: fields of the configuration for the head, which is drawn from the current seed.
        complete: the head must be in the checkpoint too.

    Raises:
        UserError: a file is missing, damaged or another net's; names it.
    """
    fetch_named(one)
    from paddlenlp.transformers import ErnieConfig

    config = ErnieConfig(**{**ErnieConfig.pretrained_init_configuration[one.name], **head})
    tokenizer = read_tokenizer(one.vocabulary, config, one.mend)
    if (tokens := len(tokenizer.vocab)) < _FULL * config.vocab_size:
        raise UserError(f"{tokens} tokens, the net has {config.vocab_size}", path=one.vocabulary, hint=one.mend)
    found = read_pdparams(one.weights, one.mend)
    network = kind(config)
    network.set_state_dict({**network.state_dict(), **fitting(network, found, one, complete)})
    return network, tokenizer


def fitting(network: Any, found: Mapping[str, NDArray[Any]], one: Named, complete: bool) -> dict[str, NDArray[Any]]:
    """The checkpoint's arrays under the network's names.

    Raises:
        UserError: one that the network needs is missing or of another shape or type, or there are more layers.
    """
    of = {bare(name): value for name, value in found.items()}
    state = {name: value for name, value in network.state_dict().items() if not name.endswith(_TIED)}
    fits, lacking, needed = {}, [], 0
    for name, value in state.items():
        array = of.get(bare(name))
        if array is not None and array.shape == tuple(value.shape) and array.dtype.name == "float32":
            fits[name] = array
        elif complete or not name.startswith(HEADS):
            lacking.append(bare(name))
        needed += complete or not name.startswith(HEADS)
    if lacking:
        what = f"{len(lacking)} of the {needed} tensors of {one.name} are missing or of another shape or type"
        raise UserError(f"{what}: {_some(lacking)}", path=one.weights, hint=_why(of, one))
    known = {bare(name) for name in state}
    if surplus := [name for name in of if _LAYER.match(name) and name not in known]:
        what = f"{len(surplus)} tensors too many for {one.name}"
        raise UserError(f"{what}: {_some(surplus)}", path=one.weights, hint="the weights are those of another net")
    return fits


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _why(found: Mapping[str, NDArray[Any]], one: Named) -> str:
    first = next(iter(found), "")
    return f"the file begins with {first}: is it another net's? {one.mend}" if first else one.mend


def content_of(source: str | Path) -> str:
    """SHA-256 of the files that make a net, by name or in a folder; empty where one of them isn't there."""
    one = named(source)
    paths = (
        [one.weights, one.vocabulary]
        if one
        else [Path(source) / name for name in ("config.json", WEIGHTS, "vocab.txt")]
    )
    try:
        return _digest(tuple(_states(paths)))
    except OSError:
        return ""


def _states(paths: Sequence[Path]) -> Iterator[tuple[Path, int, int]]:
    for path in paths:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise OSError(f"{path} is no file")
        yield path, state.st_size, state.st_mtime_ns


@lru_cache(maxsize=16)
def _digest(states: tuple[tuple[Path, int, int], ...]) -> str:
    # The states are there for the cache: a file that changed is read again.
    digest = hashlib.sha256()
    for path, size, _ in states:
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
