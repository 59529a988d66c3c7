"""NAS-Bench-301: the genotypes of DARTS again, the benchmark's networks and those of NASLib."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot import _core
from zeroshot.spaces import darts
from zeroshot.spaces import nasbench301 as nb


def pairs_of(text: str) -> list[tuple[str, int]]:
    """Of a cell as the data writes it, `op~source|op~source+...`."""
    terms = (term.split("~") for node in text.split("+") for term in node.split("|"))
    return [(op, int(source)) for op, source in terms]


def test_genotypes_are_those_of_darts() -> None:
    assert (nb.SIZE, nb.OPS) == (darts.SIZE, darts.OPS)
    texts = darts.sample(100, 3)
    assert nb.sample(100, 3) == texts
    for text in texts:
        assert nb.parse(text) == darts.parse(text)
        assert nb.to_index(text) == darts.to_index(text)
        assert nb.parse(nb.to_config(text)) == nb.parse(nb.to_compact(text)) == nb.parse(text)
    assert nb.parse("PC_DARTS") == darts.parse("PC_DARTS")


def test_parameters_of_the_data_are_those_of_naslib_networks(shared: Path) -> None:
    with gzip.open(shared / "data/nasbench301.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 363
    unsorted = 0
    for row in rows:
        normal, reduce = pairs_of(row["normal"]), pairs_of(row["reduce"])
        arch = (normal, range(2, 6), reduce, range(2, 6))
        counts = zeroshot.count(arch, space=nb.NAME, builder="naslib")
        assert counts.params == round(float(row["params"]) * 1e6)
        unsorted += nb.canonical(arch) != nb.format(nb.parse(arch))
    assert unsorted > 300  # sources do not ascend there


def test_builders_differ_in_batch_norms_alone() -> None:
    def nodes(builder: str) -> list[Any]:
        args = (4, 3, 10, (3, 16, 16))
        return _core.space_build(nb.NAME, nb.parse("DARTS_V1"), *args, builder).nodes()

    own, naslib = nodes("autodl"), nodes("naslib")
    names = {node["name"] for node in own}
    more = [node for node in naslib if node["name"] not in names]
    assert [node["name"] for node in more] == [
        f"cell{cell}.{pair}.bn"
        for cell in ("01", "02")
        for pair in ("n2a", "n2b", "n3b", "n4a", "n5b")
    ]
    plain = [n["name"] for n in naslib if n["op"] == "batch_norm" and not n["attrs"]["affine"]]
    affine = {n["name"] for n in naslib if n["op"] == "batch_norm"} - set(plain)
    assert affine == {"stem.bn", *(f"cell{i}.in{k}.bn" for i in ("00", "01", "02") for k in (0, 1))}
    assert all(n["attrs"]["affine"] for n in own if n["op"] == "batch_norm")
    assert [n["name"] for n in own] == [n["name"] for n in naslib if n["name"] in names]


def test_default_size_is_that_of_the_benchmark() -> None:
    arch = nb.sample(1, 0)[0]
    size: dict[str, Any] = {"channels": 32, "cells": 8}
    assert zeroshot.count(arch, space=nb.NAME) == zeroshot.count(arch, space="darts", **size)
    with pytest.raises(ValueError, match=r"builder: expected autodl or naslib, .*got imagenet"):
        zeroshot.count(arch, space=nb.NAME, builder="imagenet")
