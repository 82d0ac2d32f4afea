"""Draw odd configurations from a seed: files, `key=value` settings and grids that nobody would write on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tckr.config import setting_names

NAMES = list(setting_names())
SCALARS = (
    "0", "1", "-1", "+3", "2", "0100", "-07", "0o17", "0x10", "0b1", "1:30", "1:30:00", "1_000", "1e3", "1E5", "1e308",
    "1e999", ".5", "5.", "-.5e-3", "1.5", "3.0", ".inf", "-.INF", ".nan", "nan", "inf", "Infinity", "1e-400", "10^23",
    "1" + "0" * 23, str(2**63), str(2**64), "-" + str(2**63), "9" * 300, "9" * 5000, "0." + "3" * 5000, "1e" + "9" * 5000,
    "yes", "No", "on", "OFF", "true", "True", "TRUE", "false", "y", "n", "~", "null", "Null", "", '""', "''", "2024-01-01",
    "2001-12-14t21:59:43.10-05:00", "2024-99-99", "=", "<<", "!!set {a}", "!!binary aGk=", "!!int '7'", "!!float 3",
    "!!timestamp 2024-01-01", "!!python/name:os.system", "!local x", "!!str 5", "!!omap [a: 1]", "!!pairs [a: 1]", "&a 1",
    "*a", "&a [*a]", "{}", "[]", "[1, 2]", "[[]]", "[true]", "['1']", "[1.0]", "[1, [2, [3]]]", "{a: 1}",
    "{a: {b: {c: 1}}}", "{? [a] : b}", "{[a]: b}", "{null: 1}", "{1: 1, 1.0: 2}", "{a: 1, a: 2}", "{0: x}", "{'0': x}",
    "{<<: 3}", "{<<: [1]}", "{<<: {a: b}}", '"\\ud800"', '"\\udcff"', '"a\\0b"', '"\\x1b[31m"', '"\\u202e"',
    '"\\ud83d\\ude00"', "\u0663", "\uff11", "\u2460", "cafe\u0301", "\U0001f600", "digits", "embedded:resnet", "n: c",
    "n: d", "a: b: c", "# no", "a # b", "|", ">", "@", "`x`", "%x", "- 1", "? x", ": x", "[", "]", "{", "}", '"', "'", ",",
    "x" * 300, "x" * 100_000, "é" * 5000, "a\tb", "~root/x", "~nobody:/x", ".", "..", "/dev/null", "auto", "cpu",
    "cuda:99", "meta", "float32", "last", "lcm", "[0, 1]", "[0.2, 0.8]", "[1, 0]", "[0, 1, 2]", "[.nan, 1]", "[0, yes]",
    "[" * 1000, "{a: " * 1000, "[" * 400 + "]" * 400, "-1e18", "1e18",
)  # fmt: skip
PLAIN = ("0", "1", "2", "3", "0.5", "0.25", "1e-3", "true", "false", "null", "[]", "{}", '""', "{a: b}")
"""What some settings take."""

HARMLESS = (b"0", b"1", b"7", b" ", b"a", b"b", b"\n", b"#", b",")
SPECIAL = (
    b"\0",
    b"\xff",
    b"\xc3",
    b"[",
    b"{",
    b"*",
    b"&a ",
    b"!!",
    b"'",
    b'"',
    b"\t",
    b"\n",
    b": ",
    b"- ",
    b"#",
    b"\r",
    b"%",
    b"|",
    b"\x1b",
)


@dataclass(frozen=True, kw_only=True)
class Odd:
    """One configuration: what kind it is, the bytes of its file if it has one, its settings, its grids."""

    kind: str
    file: bytes | None = None
    overrides: Sequence[str] = field(default=())
    over: Sequence[str] = field(default=())


def odd_configurations(number: int, seed: int = 0) -> list[Odd]:
    """Return `number` configurations, every kind as often."""
    random, kinds = Random(seed), list(KINDS.items())
    return [_drawn(*kinds[index % len(kinds)], random) for index in range(number)]


def _drawn(kind: str, draw: Callable[[Random], Odd | str | bytes], random: Random) -> Odd:
    found = draw(random)
    if isinstance(found, Odd):
        return found
    return Odd(kind=kind, file=found if isinstance(found, bytes) else found.encode("utf-8", "surrogatepass"))


def _name(random: Random) -> str:
    name = random.choice(NAMES)
    return random.choice(
        (
            *[name] * 12,
            name[:-1],
            name + ".x",
            name + "." * 3,
            "." + name,
            name.upper(),
            "a." * 3000 + "b",
            "x" * 50_000,
            "é",
            " ",
        )
    )


def _value(random: Random) -> str:
    return random.choice(random.choice((SCALARS, PLAIN)))


def _settings(random: Random) -> Odd:
    texts = [f"{_name(random)}={_value(random)}" for _ in range(random.choice((1, 1, 1, 2, 5)))]
    return Odd(kind="settings", overrides=[*texts, *texts[: random.random() < 0.1]])


def _sections(random: Random) -> Odd:
    section = random.choice([name.split(".")[0] for name in NAMES if "." in name])
    inside = [name.split(".", 1)[1] for name in NAMES if name.startswith(f"{section}.")]
    pairs = ", ".join(f"{random.choice(inside)}: {_value(random)}" for _ in range(random.randint(1, 3)))
    return Odd(kind="sections", overrides=[f"{section}={{{pairs}}}", f"{section}.{random.choice(inside)}={_value(random)}"])


def _mutated_tree(random: Random) -> str:
    lines = []
    for section in random.sample(
        ["prepare", "caption", "adapt", "generate", "teach", "label", "distill", "audit", "report", "execution"], 3
    ):
        inside = [name.split(".")[-1] for name in NAMES if name.startswith(f"{section}.")]
        lines += [
            f"{section}:",
            *(f"  {random.choice(inside)}: {_value(random)}" for _ in range(random.randint(1, 3))),
        ]
    return "\n".join([*lines, f"seed: {_value(random)}"])


def _mutated_bytes(random: Random) -> bytes:
    text = bytearray(VALID.encode())
    for _ in range(random.choice((1, 1, 1, 2, 4, 12))):
        place = random.randrange(len(text))
        piece = random.choice((*HARMLESS, *SPECIAL))
        if random.random() < 0.5:
            text[place : place + random.randint(0, 5)] = piece
        else:
            del text[place : place + random.randint(1, 30)]
        text = text or bytearray(b"x")
    return bytes(text)


def _aliases(random: Random) -> str:
    width, depth, is_list = random.randint(1, 12), random.randint(2, 30), random.random() < 0.5
    levels = [f"&a0 {random.choice(('[lol]', '{b: c}', 'x', '3'))}"]
    for level in range(1, depth):
        again = ", ".join(f"*a{level - 1}" if is_list else f"k{key}: *a{level - 1}" for key in range(width))
        levels.append(f"&a{level} " + (f"[{again}]" if is_list else f"{{{again}}}"))
    place = random.choice(
        ("prepare: {}", "seed: {}", "sweep: {}", "sweep: {{seed: {}}}", "generate: {{redraw: {}}}", "preset: {}")
    )
    return place.format(f"[{', '.join(levels)}]")


def _merges(random: Random) -> str:
    depth, width = random.randint(1, 20), random.randint(1, 9)
    levels = ["&a0 {x: 1, y: 2}"]
    for level in range(1, depth):
        levels.append(f"&a{level} {{<<: [{', '.join([f'*a{level - 1}'] * width)}], z{level}: 1}}")
    last = random.choice((f"*a{depth - 1}", "3", "[1]", "*none", "[[]]", "x", "null", "[]"))
    place = random.choice(("descriptions", "rank", "<<"))
    return f"adapt: {{lora: [{', '.join(levels)}], {place}: {{<<: {last}}}}}"


def _deep(random: Random) -> str:
    number = random.choice((5, 30, 100, 1000, 3000))
    opening, closing = random.choice(
        (("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("[{a: ", "}]"), ("!!set {", "}"), ("&a [", "]"))
    )
    inside = opening * number + "1" + closing * random.choice((0, number))
    if opening == "{a: " and random.random() < 0.5:
        return "\n".join(" " * level + "a:" for level in range(min(number, 1000)))
    return random.choice(("", "seed: ", "sweep: ", "adapt: ", "prepare: {source: ")) + inside


def _itself(random: Random) -> str:
    return random.choice(
        (
         "a: &a [*a]", "&a {x: *a}", "&a [*a]", "adapt: &a {<<: *a}", "adapt: &a {descriptions: *a}", "sweep: &a [*a]",
         "sweep: &a {seed: *a}", "seed: &a [[*a]]", "x: &a {&b y: *a, z: *b}", "&a *a", "a: *a",
         "sweep: [&a {seed: [*a, *a]}]",
)
    )  # fmt: skip


def _numbers(random: Random) -> str:
    digits = random.choice((18, 19, 24, 309, 4299, 4301, 5000, 20_000))
    text = random.choice(("", "-", "0", "0.", "1e", ".", "0x", "1_", "1:")) + random.choice("123456789") * digits
    name = random.choice(("seed", "sweep", text))
    return f"{name}: {text}" if random.random() < 0.7 else f"generate: {{redraw: [{text}], cardinality: {text}}}"


def _huge(random: Random) -> str:
    return random.choice(
        (
            lambda: "seed: 1 # " + "x" * 3_000_000,
            lambda: "a" * 200_000 + ": 1",
            lambda: "\n".join(f"k{number}: {number}" for number in range(20_000)),
            lambda: "generate: {redraw: [" + "1, " * 120_000 + "1]}",
            lambda: "report: {title: '" + "x" * 900_000 + "'}",
            lambda: "prepare: {class_names: {" + ", ".join(f"n{number}: c" for number in range(5000)) + "}}",
            lambda: "sweep: [" + "{seed: [1, 2]}, " * 5000 + "]",
            lambda: "sweep: {" + ", ".join(f"a.b{number}: [1, 2, 3]" for number in range(30)) + "}",
            lambda: "sweep: {seed: [" + ", ".join(str(number) for number in range(1000)) + "]}",
            lambda: "? " + "a" * 5000 + "\n: 1",
            lambda: "teach: {" + ", ".join(f"setting_{number}: yes" for number in range(3000)) + "}",
        )
    )()


def _characters(random: Random) -> bytes:
    text = random.choice(("seed: 1", "report: {title: 'é \U0001f600'}", VALID, ""))
    return random.choice(
        (
            lambda: b"\xef\xbb\xbf" + text.encode(),
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-32"),
            lambda: text.encode("latin-1", "replace") + b"\xe9",
            lambda: text.encode() + b"\0",
            lambda: b"\0" * random.randint(1, 2000),
            lambda: random.randbytes(random.randint(1, 2000)),
            lambda: b"\xed\xa0\x80: 1",
            lambda: text.encode() + b"\n\x07: \x1b[31m",
            lambda: text.encode().replace(b"\n", b"\r"),
            lambda: b"\xff\xfe" + text.encode(),
            lambda: f"report: {{title: {_value(random)}}}".encode(),
            lambda: b'execution: {output: "a\\0b", name: "\\ud800"}',
            lambda: "\u2028\u2029\x85seed\u00a0: 1".encode(),
        )
    )()


def _documents(random: Random) -> str:
    return random.choice(
        (
         "---\nseed: 1\n---\nseed: 2", "%YAML 1.1\n---\nseed: 1", "%YAML 9.9\n---\nseed: 1",
         "%TAG ! tag:x,2000:\n---\nseed: !a 1", "...", "---", "--- !!map {seed: 1}", "--- !!set {seed}", "--- |\n seed: 1",
         "- seed: 1", "3", "x", "[]", "null", "{}", "!!python/object/apply:os.getcwd []", "!!binary |\n R0lGODlhDAAMAIQAAP",
         "seed: 1\n seed: 2", "seed:\t1", "seed: 'x", 'seed: "\\q"', "? [a, b]\n: 1", "{a: 1}: 2", "~: 1", "1: 2", "yes: 1",
         "2024-01-01: 1", "preset: paper", "preset: [paper]", "preset: {a: b}", "preset: 3", f"preset: {'x' * 9000}",
         "preset: null", ": 1", "sweep: 3", "sweep: {seed: 3}", "sweep: [3]", "sweep: {seed: [1, 1.0, true]}",
         "sweep: {seed: {a: b}}", "sweep: {}", "sweep: {seed: []}", "sweep: {1: 2}",
         "sweep: {adapt: [{rank: 2}, {rank: 3}]}", "sweep: {report.title: ['a b', 'a-b']}", "sweep: {'': [1]}",
         "sweep: [{seed: [~]}]", "prepare: !!map {source: digits}", "prepare: &x\nadapt: *x", "audit: [1]", "audit: audit",
         "execution: {name: ../x}", "execution: 3",
)
    )  # fmt: skip


def _grids(random: Random) -> Odd:
    number = random.choice((1, 1, 2, 25))
    values = [",".join(_value(random) for _ in range(random.choice((1, 2, 3, 8)))) for _ in range(number)]
    over = [f"{_name(random)}={value}" for value in values]
    if random.random() < 0.1:
        over = [f"{name}=1,2,3,4,5,6,7,8,9" for name in random.sample(NAMES, 20)]
    return Odd(kind="grids", over=over)


VALID = """# a file as people write it
preset: embedded
seed: 3
prepare: {source: digits, image_size: 32}
teach: &one
  epochs: 3
  learning_rate: 1.0e-3
distill:
  <<: *one
  labels: "soft"
adapt: {steps: null, epochs: 2.5, prompt_form: "n: c", descriptions: {"0": a zero, "1": 'a one'}}
generate: {cardinality: 0.1, redraw: [1, 2, 3]}
audit:
  num_reference_runs: 2
sweep:
- {generate.cardinality: [0.1, 1], seed: [0, 1]}
execution: {name: mine, output: runs}
"""

KINDS: dict[str, Callable[[Random], Odd | str | bytes]] = {
    "settings": _settings,
    "sections": _sections,
    "mutated tree": _mutated_tree,
    "mutated bytes": _mutated_bytes,
    "aliases": _aliases,
    "merges": _merges,
    "deep": _deep,
    "itself": _itself,
    "numbers": _numbers,
    "huge": _huge,
    "characters": _characters,
    "documents": _documents,
    "grids": _grids,
}
