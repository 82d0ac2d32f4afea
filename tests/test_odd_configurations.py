"""Every configuration gives settings or one sentence: no traceback, and little time, text and memory."""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tckr import plain_yaml
from tckr.config import Settings, changed, load_settings, load_sweep
from tckr.errors import UserError, shown
from tckr.sweep.grid import Grid, lay_out, parse_over, read_grids
from tests.cli.test_commands import call
from tests.odd_configurations import KINDS, VALID, Odd, odd_configurations

SECONDS, BYTES, MEGABYTES = 2, 4096, 300
PARTS, PER_PART = 3, 500


def answer(odd: Odd) -> Settings | str:
    """Return the settings, or the message that says why there are none."""
    file = Path("mine.yaml") if odd.file is not None else None
    if file:
        file.write_bytes(odd.file or b"")
    try:
        settings = load_settings(file, None, odd.overrides, sweep=True)
        for variant in lay_out(grids_of(odd.over, file))[:3]:
            changed(settings, variant.changes)
    except UserError as error:
        return str(error)
    return settings


def grids_of(over: Sequence[str], file: Path | None) -> list[Grid]:
    section = load_sweep(file) if file and not over else None
    if section is not None:
        return read_grids(section, str(file))
    return [parse_over(over)] if over else []


def check(odd: Odd) -> Settings | str:
    started, memory = time.process_time(), peak_megabytes()
    found = answer(odd)
    assert time.process_time() - started < SECONDS, odd
    assert peak_megabytes() - memory < MEGABYTES, odd
    if isinstance(found, str):
        assert 10 < len(found.encode()) <= BYTES, odd
        assert "Traceback" not in found
    return found


def different(drawn: Sequence[Odd]) -> list[Odd]:
    """Return each configuration once: of the huge ones there are few, and they take nearly all of the time."""
    return list({(odd.file, *odd.overrides, None, *odd.over): odd for odd in drawn}.values())


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("part", range(PARTS))
def test_1500_odd_configurations_are_each_settings_or_a_sentence(part):
    found = [check(odd) for odd in different(odd_configurations(PER_PART, seed=part))]
    assert 0 < sum(isinstance(one, Settings) for one in found) < len(found)


def test_the_parser_that_is_always_there_answers_as_well(monkeypatch):
    monkeypatch.setattr(plain_yaml, "LOADER", yaml.SafeLoader)
    for odd in odd_configurations(260, seed=PARTS):
        if odd.kind != "huge":  # it takes ten times as long
            check(odd)


def test_every_kind_of_odd_configuration_is_sampled_and_the_valid_one_is_valid():
    kinds = {odd.kind for odd in odd_configurations(len(KINDS))}
    assert kinds == set(KINDS)
    assert isinstance(check(Odd(kind="valid", file=VALID.encode())), Settings)


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_dry_run_of_an_odd_configuration_ends_with_status_0_or_2(monkeypatch, capsys, tmp_path, command):
    for odd in odd_configurations(65, seed=command == "run"):
        if odd.file is not None:
            Path("mine.yaml").write_bytes(odd.file)
        given = ["mine.yaml"] if odd.file is not None else ["--data", "digits"]
        over = [part for text in odd.over if command == "sweep" for part in ("--over", text)]
        status, _, err = call(monkeypatch, capsys, command, *given, *over, *odd.overrides, "--dry-run", "--name", "x")
        assert status in (0, 2), odd
        assert len(err.encode()) <= BYTES
        assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.yaml"}  # nothing was computed


def bomb(width: int, depth: int, last: str) -> str:
    levels = [f"&a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, depth)]
    return last.format(f"[&a0 [lol], {', '.join(levels)}]")


LARGE = {
    "aliases of 468 bytes": bomb(10, 9, "prepare: {}"),
    "aliases in a sweep": bomb(9, 8, "sweep: {}"),
    "aliases in a text": bomb(10, 8, "adapt: {{descriptions: {{a: {} }} }}"),
    "merges": "adapt: {lora: [&a {x: 1}"
    + "".join(f", &b{n} {{<<: [{', '.join(['*a'] * 2000)}]}}" for n in range(40))
    + "]}",
    "a thousand brackets": "prepare: " + "[" * 1000,
    "a thousand braces": "{a: " * 1000,
    "a thousand dashes": "- " * 1000,
    "a thousand levels of aliases": "seed: [&a0 [x]" + "".join(f", &a{n} [*a{n - 1}]" for n in range(1, 1000)) + "]",
    "an anchor in itself": "prepare: &a [*a]",
    "a mapping in itself": "prepare: &a {source: *a}",
    "a merge of itself": "prepare: &a {<<: *a}",
    "5,000 digits": "seed: " + "7" * 5000,
    "5,000 digits behind a point": "generate: {cardinality: 0." + "7" * 5000 + "}",
    "5,000 digits of an exponent": "generate: {cardinality: 1e" + "7" * 5000 + "}",
    "a large file": "seed: 1 #" + "x" * 10_000_000,
    "a long text": "report: {title: '" + "x" * 900_000 + "'}",
    "a long key": "'" + "x" * 900_000 + "': 1",
    "many keys": "prepare: {" + ", ".join(f"k{n}: 1" for n in range(20_000)) + "}",
    "many variants": "sweep: {" + ", ".join(f"a.b{n}: [1, 2, 3]" for n in range(30)) + "}",
}


@pytest.mark.parametrize("name", LARGE)
def test_what_grows_when_it_is_read_is_refused_in_a_sentence(name):
    tracemalloc.start()
    found = check(Odd(kind=name, file=LARGE[name].encode()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, str)
    assert found.count("\n") == 0
    assert len(found) < 600
    assert peak < 60e6


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("seed: !!int '7'", "tags such as"),
        ("seed: !!python/name:os.system", "tags such as"),
        ("prepare: !!set {source}", "tags such as"),
        ("report: {title: !!binary aGk=}", "tags such as"),
        ("report: {title: *x}", "anchor|alias"),
        ("report: {title: 'a', title: 'b'}", "'title' is given twice"),
        ("? [a]\n: b", "a key must be a text"),
        ("a: 1\n---\nb: 2", "second document"),
        ("prepare: {<<: 3}", r"a merge key \(<<\) takes a mapping"),
        ('execution: {output: "a\\0b"}', "NUL"),
        ("seed: 1\0", r"U\+0000"),
        (b"\xff\xfes\0e\0e\0d\0", "byte 0 is not UTF-8; save the file as UTF-8"),
        ("generate.cardinality: 5", r"generate: \{cardinality: \.\.\.\}"),
        ("seed: 2024-01-01", "found '2024-01-01'; expected an integer"),
    ],
)
def test_the_sentence_says_what_is_wrong(text, why):
    Path("mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=why):
        load_settings(Path("mine.yaml"))


def test_a_byte_order_mark_is_no_part_of_the_text():
    Path("mine.yaml").write_bytes(b"\xef\xbb\xbfseed: 3")
    assert load_settings(Path("mine.yaml")).seed == 3


def test_only_a_few_problems_of_many_are_listed():
    wrong = ", ".join(
        f"{name}: x" for name in ("epochs", "batch_size", "learning_rate", "weight_decay", "ema_decay", "patience")
    )
    with pytest.raises(UserError, match=r"(?s)teach\.epochs.*and 1 more$"):
        load_settings(overrides=[f"teach={{{wrong}}}"])


def test_a_message_shows_any_value_in_few_characters():
    for value in ("x" * 10**6, 10**5000, ["y" * 999] * 999, {"k" * 999: {"z": [10**5000]}}, Path("p" * 4000)):
        assert 10 < len(shown(value)) <= 200


def test_a_message_shows_what_a_terminal_would_obey_as_an_escape():
    assert shown("a\x1b[31m\n\u202e\ud800") == r"'a\x1b[31m\n\u202e\ud800'"
    assert shown(Path("a\x1bb")) == r"a\x1bb"


def test_a_message_of_any_length_is_cut_in_its_middle():
    message = str(UserError("found " + "é" * 10**6 + "; do this"))
    assert len(message.encode()) <= BYTES
    assert message.startswith("found é")
    assert message.endswith("é; do this")
