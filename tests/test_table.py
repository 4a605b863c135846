"""The published tables load, and a faulty one is refused with its file and key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.findings.pairs import related_rows
from replicate.tables.file import load_table, load_tables
from replicate.tables.table import ResultsTable
from tests.synthetic import STUDY, TABLE

ARTICLE = EXPECTED / "ernie3_kuake_qic.toml"


@pytest.fixture
def article() -> ResultsTable:
    """The article's table as it is committed."""
    return load_table(ARTICLE)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the article's file with one text replaced (once) and returns its path."""

    def edit(old: str, new: str) -> Path:
        text = ARTICLE.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "edited.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit


def test_the_committed_tables_load_in_the_order_of_their_ids() -> None:
    """All tables of `expected/` are valid."""
    names = ["augmentation", "compression", "distillation", "ernie3_kuake_qic", "few_shot", "fusion"]
    assert list(load_tables()) == [*names, "paddlenlp_multi_class", "paddlenlp_multi_class_older", "wrong_labels"]


def test_the_article_has_its_four_rows_and_the_baseline(article: ResultsTable) -> None:
    """Row ids are what `pytest -k` and the run records know a row by; the baseline publishes nothing."""
    published = [row.id for row in article.rows if row.published]
    assert published == ["base", "augment", "prune-1-2", "prune-2-3"]
    assert article.row("base").full_id == "ernie3_kuake_qic/base"
    assert article.row("svm").published == {}


@pytest.mark.parametrize(
    ("row", "accuracy", "f1", "counts"),
    [
        ("base", "0.8025575447570332", "0.9198501872659175", (1569, 614, 45, 62)),
        ("augment", "0.7979539641943734", "0.9147851420247632", (1560, 628, 69, 48)),
        ("prune-1-2", "0.7984654731457801", "0.9222560975609755", (1561, 605, 31, 71)),
        ("prune-2-3", "0.8092071611253197", "0.9230769230769230", (1582, 612, 38, 64)),
    ],
)
def test_published_values_are_those_of_the_source(
    article: ResultsTable, row: str, accuracy: str, f1: str, counts: tuple[int, ...]
) -> None:
    """Printed digits survive loading, and the decoded counts stand beside them."""
    found = article.row(row)
    assert found.published["accuracy"].printed == accuracy
    assert found.published["accuracy"].value == Decimal(accuracy)
    assert found.published["f1"].printed == f1
    assert found.counts is not None
    assert (found.counts.correct, found.counts.tp, found.counts.fp, found.counts.fn) == counts


def test_a_chain_is_the_parents_chain_then_the_rows_own_steps(article: ResultsTable) -> None:
    """The pruned row runs augmentation and fine-tuning first; options come through."""
    chain = article.chain("prune-2-3")
    assert [step.stage for step in chain] == ["augment", "finetune", "prune"]
    assert chain[-1].options == {"width": "2/3", "select": "f1"}
    assert [step.stage for step in article.chain("base")] == ["finetune"]


def test_the_tables_of_paddlenlp() -> None:
    """Percentages become fractions, latencies stay milliseconds, and each row starts from the net that it names."""
    table = load_tables()["paddlenlp_multi_class"]
    base = table.row("base")
    assert (base.published["accuracy"].printed, base.published["accuracy"].value) == ("82.25", Decimal("0.8225"))
    assert base.published["latency_ms"].value == Decimal("2.07")
    assert [row.id for row in table.rows if row.model] == ["large-cw", "base", "medium", "mini", "micro", "nano"]
    assert table.model("medium-prune-1-2") == "ernie-3.0-medium-zh"
    medium = table.row("medium").counts
    assert medium is not None
    assert {name: f"{100 * value:.2f}" for name, value in medium.scores().items() if name != "average"} == {
        "accuracy": "81.79",
        "precision": "88.46",
        "recall": "94.08",
        "f1": "91.18",
    }
    older = load_tables()["paddlenlp_multi_class_older"]
    assert {row.id: row.counts and row.counts.correct for row in older.rows} == {
        "base": 1592,
        "base-prune-3-4": None,
        "base-prune-2-3": 1607,
        "base-prune-1-2": 1586,
    }
    # What is printed is of no whole number of examples.
    assert "82.53" not in {f"{100 * right / 1955:.2f}" for right in range(1956)}


def test_the_claims_of_the_article(article: ResultsTable) -> None:
    """Augmentation lowers, width 1/2 keeps, width 2/3 raises."""
    claims = {claim.id: (claim.kind, claim.row, claim.against) for claim in article.claims}
    assert claims["augment-lowers"] == ("lowers", "augment", "base")
    assert claims["prune-1-2-keeps"] == ("keeps", "prune-1-2", "augment")
    assert claims["prune-2-3-raises"] == ("raises", "prune-2-3", "augment")


CONTROLS = {
    "augmentation": {"duplicate-1", "duplicate-4", "lines-500-duplicate", "lines-2000-duplicate"},
    "compression": {"labels-1-2", "labels-2-3", "scratch-1-2", "scratch-2-3"},
    "distillation": {"bow-hard", "cnn-hard", "cnn-hard-12", "bilstm-hard", "ernie-hard"},
    "ernie3_kuake_qic": {"scratch"},
    "few_shot": {*(f"longer-{size}" for size in (8, 16, 32, 64)), "linear-550-random", "net-550-random"},
    "paddlenlp_multi_class": {f"medium-prune-{width}-alone" for width in ("3-4", "2-3", "1-2")},
    "paddlenlp_multi_class_older": set[str](),
}

BASELINES = {
    "ernie3_kuake_qic": {"svm"},
    "few_shot": {f"linear-{lines}" for lines in (8, 16, 32, 64, "all", 500, "550-chosen")},
}


@pytest.mark.parametrize("table", sorted(CONTROLS))
def test_controls_are_marked(table: str) -> None:
    """What a report counts as a control is stated, and nothing else is; baselines are the SVM and linear models."""
    rows = load_tables()[table].rows
    assert {row.id for row in rows if row.role == "control"} == CONTROLS[table]
    assert {row.id for row in rows if row.role == "baseline"} == BASELINES.get(table, set())


def test_rows_are_compared_with_what_they_say_and_with_what_they_were_made_from() -> None:
    """Each training set with the same lines without copies; a smaller net with the one that it was made from."""
    pairs = {name: related_rows(table) for name, table in load_tables().items()}
    against = dict(pairs["augmentation"])
    for plain in ("lines-500", "lines-2000"):
        assert {row for row, other in against.items() if other == plain} == {f"{plain}-duplicate", f"{plain}-mix"}
    assert not {"plain", "lines-500", "lines-2000"} & set(against)
    assert len([row for row, other in against.items() if other == "plain"]) == 11
    for name, root in (("compression", "parent"), ("distillation", "teacher")):
        rows = [row.id for row in load_tables()[name].rows if row.id != root]
        assert {(row, root) for row in rows} <= set(pairs[name])
    assert {("augment", "base"), ("scratch", "base"), ("prune-1-2", "augment")} <= set(pairs["ernie3_kuake_qic"])


def test_an_unknown_row_is_answered_with_the_rows_there_are(article: ResultsTable) -> None:
    """A user who mistypes a row reads which ones there are."""
    with pytest.raises(UserError, match="no row 'bas'.*base, augment"):
        article.row("bas")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 2", "schema: this version reads 1"),
        ('language = "Chinese"\n', "", "provenance.language: missing"),
        ('language = "Chinese"', 'langauge = "Chinese"', "provenance.langauge: unknown key"),
        ('language = "Chinese"', 'language = " "', "provenance.language: empty"),
        ('log = "evaluation after epoch 3, global step 1302"\n', "", "rows.base.provenance.log: missing"),
        ('id = "augment"', 'id = "base"', "rows.base.id: duplicate id"),
        ('id = "augment"', 'id = "Aug ment"', "rows.Aug ment.id: not an identifier"),
        ('id = "prune-1-2-keeps"', 'id = "augment-lowers"', "claims.augment-lowers.id: duplicate id"),
        ('parent = "augment"', 'parent = "augmented"', "rows.prune-1-2.parent: no row 'augmented'"),
        (
            'row = "augment"\nagainst = "base"',
            'row = "augment"\nagainst = "bass"',
            "claims.augment-lowers.against: 'bass'",
        ),
        ('against = "base"', 'against = "bass"', "rows.augment.against: no row 'bass'"),
        ('against = "base"', 'against = "augment"', "rows.augment.against: the same row"),
        ('against = "base"', 'against = ""', "rows.augment.against: empty"),
        (
            'parent = "augment"',
            'parent = "augment"\nagainst = "augment"',
            "rows.prune-1-2.against: 'augment' is its parent",
        ),
        ('role = "control"', 'role = "controls"', "rows.scratch.role: 'controls' is none of control, baseline"),
        ('role = "control"', 'roll = "control"', "rows.scratch.roll: unknown key"),
        ('kind = "lowers"', 'kind = "sinks"', "claims.augment-lowers.kind: 'sinks' is none of"),
        ("correct = 1569", "correct = 1568", "rows.base.published.accuracy: printed 0.8025575447570332"),
        ("fp = 45", "fp = 46", "rows.base.published.precision: printed"),
        ("fn = 62", "fn = 63", "rows.base.counts.fn: tp \\+ fn is 677, not the 676"),
        ('"0.9198501872659175"', '"0.9198501872669175"', "rows.base.published.f1: printed"),
        ('"0.9198501872659175"', "0.9198501872659175", "rows.base.published.f1: not a text"),
        ('"0.9198501872659175"', '"91.98"', "rows.base.published.f1: a score outside 0 to 1"),
        ("examples = 1955\ncorrect = 1569", "examples = 1954\ncorrect = 1569", "rows.base.counts.examples: 1954"),
        ('stage = "finetune"', 'stage = "finetun"', "rows.base.recipe.1.stage: 'finetun' is none of"),
        ('recipe = [{ stage = "svm" }]', "recipe = []", "rows.svm.not_run: missing"),
        ('recipe = [{ stage = "svm" }]', "", "rows.svm.not_run: missing"),
        ('recipe = [{ stage = "svm" }]', 'not_run = "no"\nparent = "svm"', "rows.svm.parent: a cycle"),
        ('value = "0.05"', 'value = "1.5"', "statistics.alpha.value: not below 1"),
        ('value = "3"', 'value = "2.5"', "statistics.minimum_seeds.value: not a whole number"),
        ('value = "0.018"', 'value = "nan"', "tolerances.accuracy.value: not a finite number"),
        ("[tolerances]", "[tolerances]\nrecal = {}", "tolerances.recal: unknown key"),
    ],
)
def test_a_fault_names_file_and_key(edited: Callable[[str, str], Path], old: str, new: str, complaint: str) -> None:
    """Each kind of mistake in a table is one line with the file and the key."""
    path = edited(old, new)
    with pytest.raises(UserError, match=complaint) as error:
        load_table(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_longer_cycle_is_refused(edited: Callable[[str, str], Path]) -> None:
    """Two rows that descend from each other would run forever."""
    path = edited('id = "augment"\n', 'id = "augment"\nparent = "prune-1-2"\n')
    with pytest.raises(UserError, match="a cycle"):
        load_table(path)


def test_a_row_that_runs_can_not_descend_from_one_that_does_not(edited: Callable[[str, str], Path]) -> None:
    """A recipe needs the whole chain before it."""
    path = edited('recipe = [{ stage = "augment" }', 'not_run = "no" # ')
    with pytest.raises(UserError, match="rows.prune-1-2.recipe: descends from 'augment', which is not run"):
        load_table(path)


OVERRIDE = '\n[[overrides]]\nrow = "{row}"\nmetric = "{metric}"\nvalue = "0.03"\nreason = "a reason"\n'


def test_an_override_changes_one_rows_tolerance(edited: Callable[[str, str], Path]) -> None:
    """Only the named row and metric get the other tolerance."""
    table = load_table(edited("\n[[claims]]", OVERRIDE.format(row="base", metric="f1") + "\n[[claims]]"))
    assert table.tolerance("base", "f1").value == Decimal("0.03")
    assert table.tolerance("augment", "f1").value == Decimal("0.015")


@pytest.mark.parametrize(("row", "metric", "key"), [("bass", "f1", "row"), ("base", "macro_f1", "metric")])
def test_an_override_that_matches_nothing_is_refused(
    edited: Callable[[str, str], Path], row: str, metric: str, key: str
) -> None:
    """A waiver for a row that isn't there would otherwise rot unseen."""
    with pytest.raises(UserError, match=f"overrides.1.{key}: "):
        load_table(edited("\n[[claims]]", OVERRIDE.format(row=row, metric=metric) + "\n[[claims]]"))


def test_two_tables_of_one_id_are_refused(tmp_path: Path) -> None:
    """Records are filed by table id."""
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(ARTICLE.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match="b.toml: id: another table"):
        load_tables(tmp_path)


def test_broken_toml_and_a_missing_file_are_one_line(tmp_path: Path) -> None:
    """Not even a syntax error shows a traceback."""
    broken = tmp_path / "broken.toml"
    broken.write_text("schema = ", encoding="utf-8")
    with pytest.raises(UserError, match="not valid TOML"):
        load_table(broken)
    with pytest.raises(UserError, match="can't be read"):
        load_table(tmp_path / "none.toml")


def test_a_row_is_added_with_toml_alone(edited: Callable[[str, str], Path]) -> None:
    """A new pruned width is three lines and no code."""
    row = '[[rows]]\nid = "prune-1-3"\ntitle = "1/3"\nparent = "augment"\n' + (
        'recipe = [{ stage = "prune", width = "1/3", select = "f1" }]\n\n[[claims]]'
    )
    table = load_table(edited("[[claims]]", row))
    assert table.chain("prune-1-3")[-1].options["width"] == "1/3"


def test_a_table_of_measured_rows_is_no_published_one() -> None:
    """The report and the verdicts tell the two apart by whether a row states a published value."""
    tables = load_tables()
    assert not tables["augmentation"].is_published
    assert tables["ernie3_kuake_qic"].is_published


@pytest.mark.parametrize(
    ("clause", "complaint"),
    [
        ('rows = ["none"]\nagainst = "plain"\nexpects = ["above"]', "'none' is none of plain"),
        ('rows = ["unk"]\nagainst = "none"\nexpects = ["above"]', "'none' is none of plain"),
        ('rows = ["unk"]\nagainst = "plain"\nexpects = ["helps"]', "'helps' is none of above"),
    ],
)
def test_a_conclusion_about_unknown_rows_or_effects_is_refused(tmp_path: Path, clause: str, complaint: str) -> None:
    """A misspelt row would never be tested."""
    text = (EXPECTED / "augmentation.toml").read_text(encoding="utf-8")
    path = tmp_path / "augmentation.toml"
    path.write_text(f'{text}\n[[conclusions]]\ntext = "x"\n{clause}', encoding="utf-8")
    (tmp_path / ARTICLE.name).write_bytes(ARTICLE.read_bytes())
    with pytest.raises(UserError, match=complaint):
        load_tables(tmp_path)


def test_claims_are_those_of_rows_that_a_profile_runs() -> None:
    """A claim on a row that is kept for another profile is left out; the published ones are asked everywhere."""
    table = load_tables()["distillation"]
    assert {one.id for one in table.claims} - {one.id for one in table.claims_under("exploratory")} == {"cnn-gains-12"}
    assert [one.id for one in table.claims_under("auto")] == ["cnn-gains-12"]
    assert table.claims_under("smoke") == ()
    article = load_tables()["ernie3_kuake_qic"]
    assert article.claims_under("smoke") == article.claims


def test_what_a_source_tells_of_latency_stands_apart(article: ResultsTable, edited: Callable[[str, str], Path]) -> None:
    """The report shows it beside published milliseconds; most sources print none."""
    assert (article.provenance.latency_known, article.provenance.latency_unknown) == ((), ())
    timed = load_tables()["paddlenlp_multi_class"].provenance
    assert not {*timed.latency_known, *timed.latency_unknown} & {*timed.protocol_known, *timed.protocol_unknown}
    assert [len(timed.latency_known), len(timed.latency_unknown)] == [1, 1]
    with pytest.raises(UserError, match="latency_known: not a list of texts"):
        load_table(edited("[provenance]", '[provenance]\nlatency_known = "at batch 32"'))


OF, NEXT = 'study_of = "article"', "[tolerances]"


def with_study(folder: Path, *changes: tuple[str, str], name: str = "study") -> Path:
    """A folder with the article's table and a study of it, whose text is changed."""
    (folder / "article.toml").write_text(TABLE, encoding="utf-8")
    head, _, tail = STUDY.partition("[dataset]")
    text = head.replace('id = "study"', f'id = "{name}"\nstudy_of = "article"') + tail[tail.index("[tolerances]") :]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_has_the_data_and_statistics_of_its_table(tmp_path: Path) -> None:
    """They are stated once, with the table that the study is of; so in `expected/`, where one table is the main one."""
    with_study(tmp_path)
    for tables, of in ((load_tables(tmp_path), "article"), (load_tables(EXPECTED), "ernie3_kuake_qic")):
        studies = [table for table in tables.values() if table.study_of]
        assert studies
        assert [table.id for table in tables.values() if table.main] == [of]
        for study in studies:
            assert study.study_of == of
            assert (study.dataset, study.statistics) == (tables[of].dataset, tables[of].statistics)
            assert not study.is_published


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((OF, 'study_of = "nothing"'), "study_of: no such table beside this one: 'nothing'; there are: article"),
        ((NEXT, f"[dataset]\n{NEXT}"), "dataset: a study has that of the table that it is of"),
        ((NEXT, f"[statistics]\n{NEXT}"), "statistics: a study has that of the table that it is of"),
        ((OF, f"{OF}\nmain = 1"), "main: not true or false: 1"),
        ((OF, f"{OF}\nmain = true"), "study_of: a study is not the main table"),
    ],
)
def test_a_study_that_is_none(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """The message names the file and the key."""
    path = with_study(tmp_path, change)
    with pytest.raises(UserError) as caught:
        load_tables(tmp_path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_one_main_table_a_folder(tmp_path: Path) -> None:
    """A second one is refused, and so is a study of a study."""
    with_study(tmp_path)
    second = tmp_path / "second.toml"
    second.write_text(TABLE.replace('id = "article"', 'id = "second"'), encoding="utf-8")
    with pytest.raises(UserError, match="second.toml: main: another table of this folder is the main one"):
        load_tables(tmp_path)
    second.unlink()
    with_study(tmp_path, ('study_of = "article"', 'study_of = "study"'), name="third")
    with pytest.raises(UserError, match="third.toml: study_of: no such table beside this one: 'study'"):
        load_tables(tmp_path)


def test_who_is_a_witness() -> None:
    """Nets that learnt from all labels as given; an ensemble repeats its members, and its student does not."""
    tables = load_tables()
    heard = {row.full_id for table in tables.values() for row in table.rows if table.is_witness(row)}
    assert {"ernie3_kuake_qic/base", "fusion/prune-2-3-student"} <= heard
    assert not heard & {"fusion/base-mean", "fusion/base-soup", "few_shot/linear-16", "wrong_labels/dirty"}
