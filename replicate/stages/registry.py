"""All stages by name: the one list that tables, profiles and plans read."""

from __future__ import annotations

from replicate.stages import augment, finetune, labels, pretrain, sets, svm
from replicate.stages.distill.options import DISTILL
from replicate.stages.fewshot import contrast, head, linear, prompt, pseudo, shots
from replicate.stages.fuse.options import FUSE
from replicate.stages.kind import Kind
from replicate.stages.prune.options import PRUNE

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        pretrain.KIND,
        sets.SAMPLE,
        sets.HOLDOUT,
        sets.DUPLICATE,
        shots.SHOTS,
        shots.CHOOSE,
        labels.MISLABEL,
        labels.RELABEL,
        augment.KIND,
        finetune.KIND,
        PRUNE,
        DISTILL,
        FUSE,
        svm.KIND,
        linear.KIND,
        pseudo.KIND,
        prompt.KIND,
        contrast.KIND,
        head.KIND,
    )
}
