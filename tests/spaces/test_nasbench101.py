"""NAS-Bench-101: notations, hash, enumeration, steps, and the network that is built."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core, _testing
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import nasbench101 as nb

from .common import is_taken_or_refused

CHAIN = "adj=0101/0010/0001/0000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,output"
INCEPTION = (
    "adj=0111010/0000001/0000001/0000100/0000001/0000001/0000000;"
    "ops=input,conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output"
)
SMALLEST = (
    "adj=010000/001111/000001/000001/000001/000000;"
    "ops=input,maxpool3x3,maxpool3x3,maxpool3x3,maxpool3x3,output"
)
LARGEST = (
    "adj=0111100/0010000/0001000/0000100/0000010/0000001/0000000;"
    f"ops=input{',conv3x3-bn-relu' * 5},output"
)
CONV_3X3, CONV_1X1, POOL = nb.OPS
numbers = st.integers(0, nb.SIZE - 1)


def build(
    arch: Any, channels: int = 16, cells: int = 3, num_classes: int = 10, size: int = 32
) -> _core.Graph:
    args = (channels, cells, num_classes, (3, size, size))
    return _core.space_build(nb.NAME, nb.parse(arch), *args)


def renumbered(arch: str, seed: int) -> str:
    """The same module with its inner vertices in another order that edges allow."""
    rng = random.Random(seed)
    matrix, ops = nb.to_matrix(arch)
    n = len(ops)
    order: list[int] = []
    while len(order) < n:  # any vertex all of whose sources have their places
        free = [
            v for v in range(n)
            if v not in order and all(u in order for u in range(n) if matrix[u][v])
        ]  # fmt: skip
        order.append(rng.choice(free))
    rows = [[matrix[x][y] for y in order] for x in order]
    return nb.format(nb.parse((rows, [ops[v] for v in order])))


# --- notations -------------------------------------------------------------------------------


@given(numbers)
def test_every_notation_is_read(number: int) -> None:
    text = nb.from_index(number)
    genes = nb.parse(text)
    assert nb.format(genes) == text and nb.parse(genes) == genes
    assert nb.parse(list(genes)) == nb.parse(np.array(genes)) == genes
    assert nb.parse(number) == nb.parse(np.int64(number)) == genes
    matrix, ops = nb.to_matrix(text)
    n = len(ops)
    codes = [-1, *(nb.OPS.index(op) for op in ops[1:-1]), -2]
    flat = nb.to_naslib(text)
    forms: list[Any] = [
        text.encode(),
        (matrix, ops),
        [np.array(matrix), list(ops)],
        [np.array(matrix, bool), np.array(codes)],
        (matrix, codes),
        json.dumps([matrix, codes]),
        json.dumps([matrix, ops]).encode(),
        flat,
        np.array(flat),
    ]
    for form in forms:
        assert nb.parse(form) == genes, form
    assert flat[: n * n] == tuple(itertools.chain(*matrix))
    naslib = ("input", "output", POOL, CONV_1X1, CONV_3X3)
    assert tuple(naslib[op] for op in flat[n * n :]) == ops


def test_vertices_on_no_path_are_removed_and_the_others_keep_their_order() -> None:
    loose = (  # 1 and 2 reach no output, 4 is not reached
        "adj=010101/001000/000000/000001/000001/000000;"
        "ops=input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,maxpool3x3,output"
    )
    assert nb.format(nb.parse(loose)) == "adj=011/001/000;ops=input,conv1x1-bn-relu,output"
    n = 32  # limits hold for what is left
    matrix = np.zeros((n, n), int)
    matrix[0, 1:] = 1
    matrix[5, n - 1] = 1
    ops = ["input", *[CONV_3X3] * 4, POOL, *[CONV_3X3] * (n - 7), "output"]
    assert nb.format(nb.parse((matrix, ops))) == "adj=011/001/000;ops=input,maxpool3x3,output"


SHORT = "adj=011/001/000;ops=input,maxpool3x3,output"
MALFORMED = [
    ("", 0, "'adj=' and the rows of a matrix, got the end of the text"),
    ("28cfc7874f6d200472e1a9dcd8650aa0", 0, "'adj=' and the rows of a matrix"),
    ("adj", 3, "'adj=' and the rows of a matrix, got the end of the text"),
    ("adj=", 4, "0 or 1, at least two in a row, got the end of the text"),
    ("adj=0", 5, "0 or 1, at least two in a row, got the end of the text"),
    ("adj=0;", 5, "0 or 1, at least two in a row, got ';'"),
    ("adj=" + "0" * 33, 4, "a matrix of at most 32 columns, got '000000000000000000000000...'"),
    ("adj=01", 6, "'/' and row 1 of 2, got the end of the text"),
    ("adj=012/", 6, "'/' and row 1 of 2, got '2'"),
    ("adj=01/0;ops=input,output", 8, "0 or 1 in row 1 of a matrix of 2 columns, got ';'"),
    ("adj=01/000;ops=input,output", 9, "';ops=' after 2 rows, got '0'"),
    ("adj=01/00/00;ops=input,output", 9, "';ops=' after 2 rows, got '/'"),
    ("adj=11/00;ops=input,output", 4, "0 on and below the diagonal (row 0, column 0), got '11'"),
    ("adj=01/10;ops=input,output", 7, "0 on and below the diagonal (row 1, column 0), got '10'"),
    ("adj=01/00", 9, "';ops=' after 2 rows, got the end of the text"),
    ("adj=01/00;ops=", 14, "'input' as vertex 0 of 2, got the end of the text"),
    ("adj=01/00;ops=output,input", 14, "'input' as vertex 0 of 2, got 'output'"),
    ("adj=01/00;ops=input", 19, "',' and the operation of vertex 1 of 2, got the end of the text"),
    ("adj=01/00;ops=input,maxpool3x3", 20, "'output' as vertex 1 of 2, got 'maxpool3x3'"),
    ("adj=01/00;ops=input,output,", 26, "the end of the text, got ','"),
    ("adj=01/00;ops=input,output\n", 26, "the end of the text, got byte 0x0a"),
    (SHORT.replace("maxpool3x3", "conv5x5"), 26, "an operation (conv3x3-bn-relu, conv1x1-bn-relu"),
    (SHORT.replace("maxpool3x3", "conv3x3"), 33, "'-bn-relu' after a convolution, got ','"),
    (SHORT.replace("maxpool3x3", "conv3x3-bn"), 36, "'-bn-relu' after a convolution, got ','"),
    (SHORT.replace("maxpool3x3", "input"), 26, "an operation (conv3x3-bn-relu"),
    ("adj=00/00;ops=input,output", 4, "a path from vertex 0 to vertex 1, got none"),
    (SHORT.replace("011/001", "010/000"), 4, "a path from vertex 0 to vertex 2, got none"),
    (
        "adj=" + "/".join("0" * (x + 1) + "1" + "0" * (6 - x) for x in range(7)) + "/00000000;"
        f"ops=input{',maxpool3x3' * 6},output",
        4,
        "at most 7 vertices on paths from input to output, got 8",
    ),
    (
        "adj=01111/00111/00011/00001/00000;ops=input,maxpool3x3,maxpool3x3,maxpool3x3,output",
        4,
        "at most 9 edges on paths from input to output, got 10",
    ),
    ("[[[0, 1], [0, 0]], [-1, -2]", 27, "arch: expected JSON, Expecting ',' delimiter"),
    ("[" * 100_000, 0, "arch: expected JSON [matrix, operations]"),
    ("[" + "9" * 5_000 + "]", 0, "arch: expected JSON [matrix, operations]"),
    ("[[[0, 1], [0, 0]]]", 0, "arch: expected JSON [matrix, operations], got 1 items"),
    (b"[\xff]", 1, "arch: expected JSON in UTF-8"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        nb.parse(text)
    assert caught.value.position == position


TWO = [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([], r"a pair \(matrix, operations\) or the n \* n \+ n numbers .*got 0 items"),
        ([0] * 7, "got 7 items"),
        ((TWO, [-1]), r"arch\[1\]: expected 2 operations, as there are 2 rows, got 1"),
        ((TWO, 3), r"arch\[1\]: expected 2 operations, got 3"),
        ((3, [-1, -2]), r"arch\[0\]: expected a matrix, got 3"),
        (([[0]], [-1]), r"arch\[0\]: expected 2 to 32 rows, got 1"),
        (([[0] * 33] * 33, [-1] * 33), r"arch\[0\]: expected 2 to 32 rows, got 33"),
        (([[0, 1], [0]], [-1, -2]), r"arch\[0\]\[1\]: expected 2 entries, .*got 1"),
        (([[0, 1], "00"], [-1, -2]), r"arch\[0\]\[1\]: expected a row of 2 entries, got '00'"),
        (([[0, 2], [0, 0]], [-1, -2]), r"arch\[0\]\[0\]\[1\]: expected 0 or 1, got 2"),
        (([[0, 1.0], [0, 0]], [-1, -2]), r"arch\[0\]\[0\]\[1\]: expected 0 or 1, got 1.0"),
        (([[0, 1], [1, 0]], [-1, -2]), r"arch: .*below the diagonal \(row 1, column 0\)"),
        (([[0, 0], [0, 0]], [-1, -2]), "arch: expected a path from vertex 0 to vertex 1, got none"),
        ((TWO, [-2, -1]), r"arch\[1\]\[0\]: expected input \(-1\), got -2"),
        ((TWO, ["input", "input"]), r"arch\[1\]\[1\]: expected output \(-2\), got 'input'"),
        ((TWO, ["input", None]), r"arch\[1\]\[1\]: expected output \(-2\), got None"),
        (
            (([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), [-1, 3, -2]),
            r"arch\[1\]\[1\]: expected conv3x3-bn-relu \(0\), .*maxpool3x3 \(2\), got 3",
        ),
        ((0, 1, 0, 0, 0, 4), r"arch\[5\]: expected output \(1\), got 4"),
        ((0, 1, 0, 5, 0, 1), r"arch\[3\]: expected 0 or 1, got 5"),
        ([2, *[0] * 26], "edges: expected every vertex on a path from input to output"),
        ([2, 1, *[0] * 4, 1, *[0] * 20], "operation of vertex 1 of 2: expected 0 to 0, got 1"),
        ([2, *[0] * 5, 1, 1, *[0] * 19], "edge 1 of 2 vertices: expected 0 to 0, got 1"),
        ([8, *[0] * 26], "vertices: expected 2 to 7, got 8"),
        ([2, *[0] * 5, "1", *[0] * 20], r"arch\[6\]: expected an integer, got '1'"),
        (nb.SIZE, "index: expected 0 to 423623, got 423624"),
        (-1, "index: expected 0 to 423623, got -1"),
    ],
)
def test_malformed_sequences_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as caught:
        nb.parse(arch)
    assert caught.value.position is None


@pytest.mark.parametrize("arch", [None, 3.5, True, {"matrix": TWO}])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        nb.parse(arch)


def reference_parse(text: bytes) -> str | None:
    """The grammar and the pruning again, by regular expression and sets of paths."""
    op = rb"(?:conv3x3-bn-relu|conv1x1-bn-relu|maxpool3x3)"
    match = re.fullmatch(rb"adj=([01/]+);ops=input((?:," + op + rb")*),output", text)
    if match is None:
        return None
    rows = match[1].split(b"/")
    n = len(rows)
    ops = ["input", *match[2].decode().split(",")[1:], "output"]
    if not 2 <= n <= 32 or len(ops) != n or any(len(row) != n for row in rows):
        return None
    edges = {(x, y) for x in range(n) for y in range(n) if rows[x][y] == ord("1")}
    if any(x >= y for x, y in edges):
        return None
    after, before = {0}, {n - 1}
    for _ in range(n):
        after |= {y for x, y in edges if x in after}
        before |= {x for x, y in edges if y in before}
    kept = sorted(after & before)
    left = {(kept.index(x), kept.index(y)) for x, y in edges if {x, y} <= set(kept)}
    if not left or len(kept) > 7 or len(left) > 9:
        return None
    size = range(len(kept))
    matrix = "/".join("".join("01"[(x, y) in left] for y in size) for x in size)
    return f"adj={matrix};ops={','.join(ops[v] for v in kept)}"


def check_against_reference(text: bytes) -> bool:
    wanted = reference_parse(text)
    if wanted is not None:
        assert nb.format(nb.parse(text)) == wanted
        return True
    with pytest.raises(ArchitectureError) as caught:
        nb.parse(text)
    assert caught.value.position is not None
    assert 0 <= caught.value.position <= len(text)
    return False


def test_random_bytes_are_judged_as_by_the_grammar() -> None:
    rng = random.Random(0)
    seeds = [text.encode() for text in (CHAIN, INCEPTION, SMALLEST, LARGEST, SHORT)]
    words = b"0 1 / ;ops= , input output maxpool3x3 conv3x3-bn-relu conv1x1 -bn-relu adj= 000 1/"
    tokens = [*words.split(), b"", b" ", b"\x00", b"\xff"]
    n_modules = 0
    for _ in range(20_000):
        text = rng.choice(seeds)
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(tokens) + text[at + rng.randrange(2) :]
        n_modules += check_against_reference(text)
    assert 5_000 < n_modules < 15_000


def test_every_one_byte_change_is_judged_as_by_the_grammar() -> None:
    text = CHAIN.encode()
    for at in range(len(text)):
        check_against_reference(text[:at])
        check_against_reference(text[:at] + text[at + 1 :])
        for byte in range(256):
            check_against_reference(text[:at] + bytes([byte]) + text[at + 1 :])


@given(st.integers(2, 9), st.data())
def test_random_matrices_are_judged_as_by_the_grammar(n: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))
    ops = data.draw(st.lists(st.sampled_from(nb.OPS), min_size=n - 2, max_size=n - 2))
    rows = ["".join("01"[bits[x * n + y] and x < y] for y in range(n)) for x in range(n)]
    check_against_reference(
        f"adj={'/'.join(rows)};ops={','.join(['input', *ops, 'output'])}".encode()
    )


@given(st.text() | st.binary())
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(nb, text)


# --- the hash --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("adj=01/00;ops=input,output", "043721b9c7fe8c5fad811d47d83132ec"),
        (CHAIN.replace("1x1", "3x3"), "b5fb4f6193360330b6ff6a52cbf0cad7"),
        (INCEPTION, "28cfc7874f6d200472e1a9dcd8650aa0"),
        (SMALLEST, "7f2863c47ff14c903849cf2057842782"),
        (LARGEST, "99e297f5fada30d669294070ed1df4a9"),
    ],
)
def test_published_hashes(text: str, digest: str) -> None:
    assert nb.module_hash(text) == digest


def test_hashes_of_the_data(shared: Path) -> None:
    with gzip.open(shared / "data/nasbench101.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 406
    for row in rows:
        arch = f"adj={row['matrix']};ops={row['ops'].replace('|', ',')}"
        assert nb.module_hash(arch) == row["module_hash"]
        assert nb.format(nb.parse(arch)) == arch
        assert (nb.parse(arch)[0], sum(nb.parse(arch)[6:])) == (
            int(row["vertices"]),
            int(row["edges"]),
        )


@given(numbers, st.integers(0, 2**32 - 1))
def test_numbering_changes_neither_hash_nor_canonical_form(number: int, seed: int) -> None:
    text = nb.from_index(number)
    other = renumbered(text, seed)
    assert nb.module_hash(other) == nb.module_hash(text)
    assert nb.canonical(other) == nb.canonical(text) == text
    assert nb.to_index(other) == number


# --- the whole space -------------------------------------------------------------------------


def test_enumeration_has_every_module_once_and_in_its_order() -> None:
    found = list(nb.enumerate_all())
    assert len(set(found)) == len(found) == nb.SIZE
    by_vertices = Counter(text.index("/") - 4 for text in found)
    assert by_vertices == {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
    keys = []
    for text in found[::997]:
        genes = nb.parse(text)
        edges = sum(bit << i for i, bit in enumerate(genes[6:]))
        keys.append((genes[0], edges, genes[1:6]))
        assert nb.canonical(text) == text
    assert keys == sorted(keys)
    for number in range(0, nb.SIZE, 4_999):
        assert nb.from_index(number) == found[number]
        assert nb.to_index(found[number]) == number


def test_enumeration_of_few_vertices_is_that_of_brute_force() -> None:
    """All matrices and operations of up to five vertices, told apart by the hash."""
    hashes = set()
    for n in range(2, 6):
        pairs = [(x, y) for y in range(n) for x in range(y)]
        for bits in itertools.product((0, 1), repeat=len(pairs)):
            matrix = np.zeros((n, n), int)
            matrix[tuple(np.array(pairs).T)] = bits
            after = np.linalg.matrix_power(np.eye(n, dtype=int) + matrix, n)
            if not (after[0] * after[:, n - 1]).all() or sum(bits) > 9:
                continue
            for ops in itertools.product(nb.OPS, repeat=n - 2):
                hashes.add(nb.module_hash((matrix, ["input", *ops, "output"])))
    few = list(itertools.islice(nb.enumerate_all(), 1 + 6 + 84 + 2_441))
    assert hashes == set(map(nb.module_hash, few)) and len(hashes) == len(few)


def test_enumeration_is_lazy() -> None:
    assert next(iter(nb.enumerate_all())) == "adj=01/00;ops=input,output"


def test_sample_depends_on_the_seed_alone() -> None:
    assert nb.sample(50, 7) == nb.sample(50, np.random.default_rng(7)) != nb.sample(50, 8)
    assert len(set(nb.sample(5_000, 0))) == 5_000
    with pytest.raises(ValueError, match=r"n: expected 0 to 423624 .*got 423625"):
        nb.sample(nb.SIZE + 1, 0)


@given(numbers, st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_steps_stay_in_the_space_and_can_be_taken_back(number: int, seed: int) -> None:
    text = renumbered(nb.from_index(number), seed)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        near = nb.neighbours(text)
        assert len(set(near)) == len(near) > 0 and text not in near
        child = nb.mutate(text, rng)
        assert child in near and nb.format(nb.parse(child)) == child
        assert text in nb.neighbours(child)
        text = child


def test_steps_reach_every_module_of_few_vertices() -> None:
    few = set(itertools.islice(nb.enumerate_all(), 1 + 6 + 84 + 2_441))
    reached, front = set(), {"adj=01/00;ops=input,output"}
    while front:
        reached |= front
        near = {nb.canonical(child) for text in front for child in nb.neighbours(text)}
        front = (near & few) - reached
    assert reached == few


# --- which modules are the same --------------------------------------------------------------


@given(numbers, st.integers(0, 2**32 - 1))
def test_representatives_stand_for_themselves_and_keep_the_channels(number: int, seed: int) -> None:
    text = renumbered(nb.from_index(number), seed)
    form, network = nb.representative(text), nb.representative(text, "network")
    assert nb.representative(form) == nb.representative(network) == form == nb.from_index(number)
    assert nb.representative(network, "network") == network
    own, other = (_core.graph_count(build(t, channels=16, cells=1)) for t in (text, network))
    assert own == other


def test_order_of_vertices_that_feed_the_output_decides_on_channels() -> None:
    wide_3x3, wide_pool = (
        f"adj=01110/00001/00001/00001/00000;ops=input,{','.join(ops)},output"
        for ops in ((CONV_3X3, POOL, POOL), (POOL, POOL, CONV_3X3))
    )
    assert nb.canonical(wide_3x3) == nb.canonical(wide_pool)
    assert nb.representative(wide_pool, "network") == wide_pool
    params = [zeroshot.count(t, space=nb.NAME).params for t in (wide_3x3, wide_pool)]
    assert params[0] > params[1]
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        nb.representative(CHAIN, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"] == "nb101"]
    assert len(rows) == 13
    for row in rows:
        stem, arch = row["architecture"].split(";", 1)
        size, classes = int(row["input_size"]), int(row["classes"])
        if arch.startswith("adj=0111001/0000101/"):  # no module of the benchmark
            arch = f"edges=12;{arch}"
        counts = zeroshot.count(
            arch, space=nb.NAME, channels=int(stem[5:]), input_size=size, num_classes=classes
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


WIDE = (
    "adj=0111001/0000101/0000011/0000011/0000001/0000001/0000000;"
    "ops=input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,conv3x3-bn-relu,conv1x1-bn-relu,output"
)


def test_modules_of_more_edges_than_the_benchmarks_say_so() -> None:
    with pytest.raises(ArchitectureError, match=r"at most 9 edges .*got 12; edges=12; before"):
        nb.parse(WIDE)
    text = f"edges=12;{WIDE}"
    assert nb.format(nb.parse(text)) == text
    assert zeroshot.convert(text, "text", space=nb.NAME) == text
    with pytest.raises(ArchitectureError, match=r"expected 11 edges .* as stated, got 12"):
        nb.parse(f"edges=11;{WIDE}")
    for number in ("9", "22", "012", ""):
        with pytest.raises(ArchitectureError, match="more than 9 edges, at most 21"):
            nb.parse(f"edges={number};{WIDE}")
    with pytest.raises(ArchitectureError, match="of at most 9 edges, got 12"):
        nb.to_index(text)
    assert nb.neighbours(text) == []
    with pytest.raises(ArchitectureError, match="one step away"):
        nb.mutate(text, np.random.default_rng(0))
    complete = "edges=21;adj=0111111/0011111/0001111/0000111/0000011/0000001/0000000;ops=input"
    complete += ",maxpool3x3" * 5 + ",output"
    assert len(nb.module_hash(complete)) == 32 and nb.canonical(complete) == complete


def test_default_size_and_that_of_the_benchmark() -> None:
    assert zeroshot.count(INCEPTION, space=nb.NAME).params == 44_250
    assert zeroshot.count(INCEPTION, space=nb.NAME, channels=128).params == 2_694_282


def test_names_and_order_of_weights() -> None:
    """Operations of a module are drawn before its projections, though they run after them."""
    text = "adj=0111/0010/0001/0000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,output"
    graph = build(text, channels=4, cells=1)
    drawn = [t["name"].removesuffix(".weight") for t in graph.tensors() if t["counted"]]
    parts = [[f"cell0{i}.{part}.conv" for part in ("v1", "v2", "p1", "p2", "p3")] for i in range(3)]
    assert drawn == ["stem.conv", *itertools.chain(*parts), "head.fc"]
    assert list(zeroshot.weight_names(text, space=nb.NAME, cells=1))[3:6] == [
        "cell00.v1.conv.weight", "cell00.v1.bn.gamma", "cell00.v1.bn.beta",
    ]  # fmt: skip
    names = [node["name"] for node in graph.nodes() if node["name"].startswith("cell00.")]
    assert names == [
        "cell00.p1.conv", "cell00.p1.bn", "cell00.p1.relu",
        "cell00.v1.conv", "cell00.v1.bn", "cell00.v1.relu",
        "cell00.p2.conv", "cell00.p2.bn", "cell00.p2.relu", "cell00.v2.sum",
        "cell00.v2.conv", "cell00.v2.bn", "cell00.v2.relu",
        "cell00.p3.conv", "cell00.p3.bn", "cell00.p3.relu", "cell00.sum",
    ]  # fmt: skip


def test_channels_are_dealt_out_and_cut() -> None:
    """Of 16 three vertices get 6, 5 and 5; the second reads the first five of the first's six."""
    rows = "01000/00101/00011/00001/00000"
    graph = build(f"adj={rows};ops=input,{CONV_3X3},{CONV_1X1},{POOL},output", cells=1)
    shapes = {node["name"]: node["shape"][0] for node in graph.nodes()}
    widths = [shapes[f"cell00.{v}"] for v in ("v1.relu", "v2.relu", "v3.pool")]
    assert widths == [6, 5, 5]
    assert shapes["cell00.e12.first"] == 5
    assert "cell00.e23.first" not in shapes
    assert shapes["cell00.concat"] == 16 and shapes["cell01.concat"] == 32


# tensor number in the order of construction: first two weights, sum of absolute values
SAMPLES = {
    0: (0.0746620, -0.1591882, 39.842116),  # stem
    1: (0.0206449, 0.0008927, 223.992879),  # module 0, vertex 1 (3x3)
    2: (-0.4784725, 0.1687840, 73.198056),  # vertex 2 (1x1)
    3: (-0.0311762, 0.1622514, 72.387472),  # projection to vertex 1
    4: (-0.2254365, -0.0387165, 69.459994),  # projection to the output
    -1: (0.0242248, 0.0009421, 5.229196),  # classifier 10x64
}


def test_network_starts_from_the_published_weights() -> None:
    tensors: list[tuple[str, tuple[int, ...], int]] = []
    for t in build(CHAIN).tensors():
        shape = t["shape"]
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else tensors[-1][2] if tensors else 1
        tensors.append((t["role"], shape, fan_in))
    drawn = _testing.init_all(tensors, "nasbench101", 0)
    weights = [w for w, t in zip(drawn, tensors, strict=True) if t[0] == "weight"]
    for number, (first, second, total) in SAMPLES.items():
        w = weights[number].reshape(-1).astype(np.float64)
        assert w[:2] == pytest.approx([first, second], abs=0.6e-7)
        assert abs(w).sum() == pytest.approx(total, abs=0.6e-6 + 2**-23 * total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels: expected 4 to 262144, as 4 vertices share the output, got 2"),
        ({"channels": 2**18 + 1}, "channels: expected 4 to 262144, .*got 262145"),
        ({"cells": 65_536}, "cells: expected 1 to|more than 65536 nodes"),
        ({"builder": "zerocost"}, "builder: expected autodl, .*nasbench101, got zerocost"),
        ({"input_size": 3}, r"input size: expected at least 4 x 4 .*got 3 x 3"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(INCEPTION, space=nb.NAME, **options)


def test_binding_names_the_argument_of_a_wrong_type() -> None:
    with pytest.raises(ValueError, match="vertices: expected 2 to 7, got 8"):
        _core.nasbench101_enumerate(8)
    with pytest.raises(TypeError, match="vertices: expected an integer, got str"):
        _core.nasbench101_enumerate("7")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="vertices: expected 2 to 7, got 0"):
        _core.nasbench101_canonical([0] * 27, False)
    with pytest.raises(TypeError, match="space: expected str, got int"):
        _core.space_defaults(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="space: expected one of"):
        _core.space_defaults("nasbench")
