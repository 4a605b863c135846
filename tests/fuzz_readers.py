"""Coverage-guided fuzzing of a reader: `python -m tests.fuzz_readers READER FOLDER [options of libFuzzer]`.

`tox -e faults` installs atheris and runs this for each reader; what fails is written into FOLDER as `crash-…`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

# Before the readers are imported, or what they reach can't be seen.
with atheris.instrument_imports(include=["replicate", "json", "safetensors", "tomli", "tomllib"]):
    from replicate.common.paths import EXPECTED, MEASURED, PROFILES
    from tests.readers import READERS, try_bytes

# Larger ones would be cut, and whole ones take the fuzzer further.
LARGEST = 1 << 16


def seeds(reader: str) -> Iterator[bytes]:
    """What the fuzzer begins with: the beginning of a file, and where the project has small good ones, these."""
    yield READERS[reader][1]
    if reader == "profile":
        for path in PROFILES.glob("*.toml"):
            # A profile is called what its file is.
            yield path.read_bytes().replace(f'"{path.stem}"'.encode(), b'"fuzz"', 1)
    kept = {"table": EXPECTED.glob("*.toml"), "timing": (MEASURED / "timing").glob("*.json")}
    for path in kept.get(reader, MEASURED.glob("*/*/*/seed-1.json") if reader == "record" else ()):
        if path.stat().st_size <= LARGEST:
            yield path.read_bytes()


def main(reader: str, folder: Path, options: list[str]) -> None:
    """Fuzz until the options say to stop; ends the process, with another code than 0 where something failed."""
    corpus, files = folder / "corpus", folder / "files"
    corpus.mkdir()
    files.mkdir()
    for number, data in enumerate(seeds(reader)):
        (corpus / f"seed-{number}").write_bytes(data)
    told = [f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0", f"-max_len={LARGEST}"]
    atheris.Setup(
        [sys.argv[0], str(corpus), *told, *options],
        lambda data: try_bytes(reader, files, data),
        enable_python_coverage=True,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
