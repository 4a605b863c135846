"""How everything was measured."""

from __future__ import annotations

from replicate.findings.method import Environment, Method, Runs
from replicate.report.blocks import Block, Code, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.words import figure, joined, seeds


def section_method(finding: Method) -> list[Block]:
    """Machines, versions, commits, seeds, commands and durations."""
    if not finding.profiles:
        return [Text("Nothing has been measured: there is no record.")]
    blocks: list[Block] = [
        Text(
            "Every score is derived from the counts in its records: the name of a row links to the folder with them, "
            "and the seeds in the tables below to each. Seconds are those of the row's stages; those shared with other "
            "rows are counted in full."
        )
    ]
    for runs in finding.profiles:
        name = runs.profile.id
        blocks += [
            Heading(2, f"`{name}`", f"method-{name}", (name,)),
            *(Items(_facts(one)) for one in runs.environments),
            _durations(runs),
        ]
    return blocks


def _facts(one: Environment) -> tuple[Prose, ...]:
    return (
        f"rows: {', '.join(one.rows)}",
        f"seeds: {', '.join(map(str, one.seeds))}",
        ("commands: ", joined(", ", map(Code, one.commands))),
        ("commit: ", Plain(one.commit), ", with changes" if one.dirty else ""),
        ("machine: ", Plain(one.machine)),
        ("device: ", Plain(one.device)),
        ("versions: ", Plain(one.versions)),
        ("when: ", Plain(one.started), " to ", Plain(one.finished)),
    )


def _durations(runs: Runs) -> Table:
    lines = [
        Line(
            (
                one.result.row.full_id,
                figure(one.mean, ".1f"),
                f"{one.least:.1f} to {one.most:.1f}",
                seeds(one.result.records),
            ),
            (one.result.row.id,),
            (runs.profile.id,),
        )
        for one in runs.durations
    ]
    return Table(("row", "seconds a seed", "least to most", "records"), tuple(lines))
