"""The tagger in threads: the same tags, and Paddle with as many threads as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.mkl import MKL, needs_mkl

THREADS = """
import ctypes, json, sys
from replicate.augment.lac import Tagger
from replicate.corpus.generated import generate
texts = generate(examples_train=300, examples_dev=0, unlabelled=0).train.texts
counts = []
def count():
    counts.append(ctypes.CDLL(sys.argv[1]).MKL_Get_Max_Threads())
from replicate.nets import upstream
upstream.quiet()
count()
many = Tagger()
count()
tags = many.tag(texts)
count()
print(json.dumps([counts, len(tags), tags == Tagger(1).tag(texts)]))
"""


@needs_mkl
def test_threads_change_no_tag_and_are_given_back() -> None:
    """Three threads find the tags of one, and Paddle has its threads again after LAC, which leaves it one."""
    output = subprocess.check_output(
        [sys.executable, "-c", THREADS, MKL], env=os.environ | {"OMP_NUM_THREADS": "3"}, text=True
    )
    counts, texts, same = json.loads(output.splitlines()[-1])
    assert set(counts) == {counts[0]}  # MKL takes no more than there are cores
    assert texts > 128
    assert same
