"""The grammar of genotypes again, by regular expression, and what tests of these spaces share."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from zeroshot.errors import ArchitectureError

SPACE = r"[\t-\r ]*"
TOKENS = [
    b"", b" ", b"\n", b"\t ", b"\x00", b"\xff", b"'", b'"', b"(", b")", b"[", b"]", b",", b"=",
    b"0", b"1", b"2", b"6", b"range(2, 6)", b"range", b"normal=", b"reduce_concat", b"none",
    b"sep_conv_3x3", b"skip_connect", b"Genotype", b"('sep_conv_5x5', 1)", b"w=16;", b"d=020;",
]  # fmt: skip


class Grammar(NamedTuple):
    """A space's: what a valid text becomes, None for others."""

    ops: Sequence[str]
    n_nodes: int
    all_concatenated: bool
    two_sources: bool
    header: str = ""

    def pattern(self) -> re.Pattern[bytes]:
        ops, last = "|".join(self.ops), self.n_nodes + 1

        def bracketed(text: str) -> str:
            return rf"(?:\({text}\)|\[{text}\])"

        def pair(i: int) -> str:
            source = f"[0-{1 + i // 2}]"
            op = rf"""(?:'(?:{ops})'|"(?:{ops})")"""
            return bracketed(f"{SPACE}{op}{SPACE},{SPACE}{source}{SPACE}(?:,{SPACE})?")

        pairs = f"{SPACE},{SPACE}".join(pair(i) for i in range(2 * self.n_nodes))
        cell = bracketed(f"{SPACE}{pairs}{SPACE}(?:,{SPACE})?")
        node, end = f"[2-{last}]", f"[3-{last + 1}]"
        nodes = bracketed(f"{SPACE}{node}{SPACE}(?:,{SPACE}{node}{SPACE})*(?:,{SPACE})?")
        some = rf"(?:{nodes}|range{SPACE}\({SPACE}{node}{SPACE},{SPACE}{end}{SPACE}(?:,{SPACE})?\))"
        forms = []
        for named in (True, False):
            names = [
                f"{name}{SPACE}={SPACE}" if named else ""
                for name in ("normal", "normal_concat", "reduce", "reduce_concat")
            ]
            parts = [names[0] + cell, names[1] + some, names[2] + cell, names[3] + some]
            forms.append(f"{SPACE},{SPACE}".join(f"({part})" for part in parts))
        arguments = "|".join(forms)
        text = rf"({self.header})Genotype{SPACE}\({SPACE}(?:{arguments}){SPACE}(?:,{SPACE})?\)"
        return re.compile(text.encode())

    def read(self, text: bytes, pattern: re.Pattern[bytes]) -> str | None:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        header, *parts = (part.decode() for part in match.groups() if part is not None)
        cells = [re.findall(r"['\"](\w+)['\"][\s,]*(\d)", part) for part in parts[0::2]]
        concats = []
        for part in parts[1::2]:
            numbers = [int(n) for n in re.findall(r"\d+", part)]
            concats.append(list(range(*numbers)) if "range" in part else numbers)
        for concat in concats:
            if not concat or any(a >= b for a, b in itertools.pairwise(concat)):
                return None
            if self.all_concatenated and concat != list(range(2, self.n_nodes + 2)):
                return None
        if self.two_sources and any(
            cell[i][1] == cell[i + 1][1] for cell in cells for i in range(0, len(cell), 2)
        ):
            return None
        written = [", ".join(f"('{op}', {source})" for op, source in cell) for cell in cells]
        return (
            f"{header}Genotype(normal=[{written[0]}], normal_concat={concats[0]}, "
            f"reduce=[{written[1]}], reduce_concat={concats[1]})"
        )


def spellings(text: str) -> list[str]:
    """The same architecture as other programs may write it."""
    plain = re.sub(r"(normal|reduce)(_concat)?=", "", text)
    return [
        text,
        text.replace("'", '"'),
        text.replace(" ", ""),
        text.replace(", ", " ,\n\t"),
        text.replace("[", "( ").replace("]", ", )"),
        text.replace("[2, 3, 4, 5]", "range(2, 6)").replace("[2, 3, 4, 5, 6]", "range (2,7, )"),
        re.sub(r"\(('\w+', \d)\)", r"[\1]", text),
        text.removesuffix(")") + ",\n)",
        plain,
        plain.replace("(", "( ").replace("'", '"'),
    ]


def check_random_bytes(
    grammar: Grammar, parse: Callable[[Any], Any], format: Callable[[Any], str], texts: list[str]
) -> int:
    """Texts with some bytes changed are judged as by the grammar; how many were genotypes."""
    pattern = grammar.pattern()
    rng, n_valid = random.Random(0), 0
    seeds = [spelling.encode() for text in texts for spelling in spellings(text)]
    for _ in range(20_000):
        text = rng.choice(seeds)
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(TOKENS) + text[at + rng.randrange(3) :]
        wanted = grammar.read(text, pattern)
        if wanted is not None:
            assert format(parse(text)) == wanted
            n_valid += 1
            continue
        with pytest.raises(ArchitectureError) as caught:
            parse(text)
        position = caught.value.position
        assert position is not None and 0 <= position <= len(text)
    return n_valid
