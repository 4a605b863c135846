"""`ernie_replace`: words are masked and filled in again by an ERNIE masked language model."""

from __future__ import annotations

from random import Random

from replicate.augment.draws import place
from replicate.augment.masked_model import Choices, Ids
from replicate.augment.strategy import RATE, Context, Line, Lookup, Strategy
from replicate.common.errors import UserError


def build(context: Context) -> Strategy:
    """Mask 15 % of the words, all of a line at once, and draw each masked character from the model's likeliest five.

    A word of n characters becomes n masks and then n characters, each drawn on its own with the model's probabilities;
    they may be the word itself again. White space stays, and so do words beyond what the net reads of a line. The net
    is run over all masked lines together.

    Raises:
        UserError: there is no model.
    """
    model = context.model
    if model is None:
        raise UserError("ernie_replace needs a masked language model", hint="give a model folder or name with --model")
    choices: Lookup[Ids, tuple[Choices, ...]] = Lookup(model.fill)

    def ernie_replace(line: Line, random: Random) -> str | Lookup[Ids, tuple[Choices, ...]]:
        ids: list[int] = []
        masked = []
        full = False
        for word, _ in line.words:
            chosen = random.random() < RATE
            pieces = (model.mask,) * len("".join(word.split())) if chosen else model.pieces(word)
            full = full or len(ids) + len(pieces) > model.room
            ids += () if full else pieces
            masked.append(chosen and not full)
        masks = ids.count(model.mask)
        if not masks:
            return line.text
        found = choices.get(tuple(ids))
        draws = [random.random() for _ in range(masks)]
        if found is None:
            return choices
        characters = (
            likeliest[place(shares, number)] for (likeliest, shares), number in zip(found, draws, strict=True)
        )
        return "".join(
            "".join(char if char.isspace() else next(characters) for char in word) if hidden else word
            for (word, _), hidden in zip(line.words, masked, strict=True)
        )

    return ernie_replace
