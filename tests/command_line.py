"""A command called as a test wants it: what it refuses is raised, where `main` would print it."""

from __future__ import annotations

import argparse
from types import ModuleType


def parsed(module: ModuleType, *words: object) -> argparse.Namespace:
    """The arguments of a command, from words as a shell would give them."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def ran(module: ModuleType, *words: object) -> int:
    """The exit code of a command."""
    code: int = module.run(parsed(module, *words))
    return code
