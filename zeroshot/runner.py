"""One architecture through the core, and what comes back as a `ScoreResult`."""

from __future__ import annotations

__all__ = ["Job", "free_memory", "keep_workspace", "nonfinite_reason", "run_core", "take_workspace"]

import math
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot import _core
from zeroshot.config import environment
from zeroshot.graph import Graph
from zeroshot.inputs import Data, as_array, make_data
from zeroshot.network import AnyArch, build_network, count_graph, identify, network_fields
from zeroshot.options import Options, check_seed
from zeroshot.provenance import NUMERICS, Provenance, key_of
from zeroshot.results import Counts, ScoreResult, ScoreValue, Status, mean, worst_status
from zeroshot.scores import Grouping, Score, ScoreLike, make_scores
from zeroshot.sources import make_runs
from zeroshot.spaces import get_space
from zeroshot.weights import check_weights, hash_weights


def run_core(
    graph: _core.Graph,
    x: NDArray[Any],
    y: NDArray[np.int64],
    options: Options,
    scores: Sequence[Score],
    weights: dict[str, NDArray[Any]] | None,
    *,
    n_threads: int,
    seed: int | None = None,
    sink: tuple[int, int, str, bool] | None = None,
    workspace: _core.Workspace | None = None,
    measure: bool = False,
) -> _core.OutputDict:
    """`_core.run` with arguments that have been checked."""
    seed = options.seed if seed is None else seed
    runs, sources = make_runs(scores, x, y, seed)
    return _core.run(
        graph,
        x,
        y,
        sources=sources,
        runs=runs,
        sink=sink,
        weights=weights,
        init=options.init,
        seed=seed,
        dtype=options.dtype,
        # negative: at most as many; what is too small to share stays on one
        n_threads=-n_threads if options.n_threads is None else n_threads,
        kernels=options.kernels,
        algo=options.algo,
        max_bytes=min(options.max_bytes or 0, sys.maxsize),
        dead=False,
        recompute=2 if options.recompute else -1,
        workspace=workspace,
        cancel=options.cancel,
        measure=measure,
    )


CORE_SCORES = {score["name"]: score for score in _core.list_scores()}

_KEPT_BYTES = 2**30
_free: deque[_core.Workspace] = deque()


def take_workspace() -> _core.Workspace:
    """A workspace for calls one after the other; hand it back with `keep_workspace`.

    Fresh memory costs up to half of a short call, so the process keeps what earlier calls used,
    up to 1 GiB. A call inside a call (a signal handler that scores) gets another one.
    """
    try:
        return _free.pop()
    except IndexError:
        return _core.Workspace()


def keep_workspace(workspace: _core.Workspace) -> None:
    """Hand back what `take_workspace` gave."""
    if sum(w.capacity for w in tuple(_free)) + workspace.capacity <= _KEPT_BYTES:
        _free.append(workspace)


def free_memory() -> None:
    """Give back the memory that earlier calls left for later ones.

    The process keeps up to 1 GiB, since fresh memory costs up to half of a short call.

    Examples
    --------
    >>> free_memory()
    """
    _free.clear()


def nonfinite_reason(blame: tuple[str, int] | None) -> str:
    """What to tell a user about the first layer that met NaN or infinity."""
    if blame is None:
        return "the score overflows"
    layer, count = blame
    where = "x" if layer == "input" else repr(layer)
    return f"{count} value{'s'[: count > 1]} not finite, first in {where}"


@dataclass(frozen=True)
class Job:
    """A call that has been checked: data, scores and options, to run on any architecture."""

    data: Data
    scores: tuple[Score, ...]
    options: Options
    seeds: tuple[int, ...]
    groupings: tuple[Grouping, ...] = field(repr=False)

    @classmethod
    def make(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        scores: ScoreLike | Sequence[ScoreLike],
        options: Options,
        seeds: Sequence[int] | None = None,
    ) -> Job:
        data = make_data(x, y, options.dtype)
        made = make_scores(scores)
        for one in made:
            if options.canonical and one.depends_on_dead(options.builder):
                raise ValueError(
                    f"canonical: expected False with {one.label!r}, whose value depends on an "
                    "architecture's own dead operations, which other members of its class do not "
                    "have"
                )
        if seeds is None:
            checked: tuple[int, ...] = (options.seed,)
        else:
            checked = tuple(check_seed(f"seeds[{i}]", s) for i, s in enumerate(seeds))
            if not checked:
                raise ValueError("seeds: expected at least one seed, got none")
        return cls(data, made, options, checked, tuple(s.grouping(data.n_rows) for s in made))

    def part(self, indices: tuple[int, ...], seeds: tuple[int, ...]) -> Job:
        """The same with some of the scores, and other seeds."""
        scores = tuple(self.scores[i] for i in indices)
        groupings = tuple(self.groupings[i] for i in indices)
        return replace(self, scores=scores, groupings=groupings, seeds=seeds)

    def run(
        self, arch: AnyArch, *, n_threads: int, workspace: _core.Workspace | None = None
    ) -> ScoreResult:
        """Score one architecture, once per seed."""
        result = self._run(arch, n_threads=n_threads, workspace=workspace)
        return self.of_member(arch, result) if self.options.canonical else result

    def scored_as(self, arch: AnyArch) -> str | None:
        """With ``canonical`` the architecture that is scored for `arch`; None if there is none,
        which the run will say."""
        mode = self.options.canonical_mode
        if mode is None or isinstance(arch, Graph):
            return None
        try:
            return get_space(self.options.space).representative(arch, mode)
        except (TypeError, ValueError):
            return None

    def of_member(self, arch: AnyArch, result: ScoreResult) -> ScoreResult:
        """The result of the architecture that was scored for `arch`, as that of `arch`: with its
        spelling, and its own dead weights where a score counts them."""
        assert not isinstance(arch, Graph)
        space = get_space(self.options.space)
        text = space.format(space.parse(arch))
        if result.status == "failed":
            return replace(result, arch=text)
        scores = dict(result.scores)
        if any(one.counts_dead for one in self.scores):
            assert result.scored_as is not None and result.provenance is not None
            n_weights, n_dead = self._dead(text, result.scored_as)
            for i, one in enumerate(self.scores):
                if one.counts_dead:
                    scores[one.label] = self._with_dead(
                        i, scores[one.label], n_weights, n_dead, result.provenance.run
                    )
        return replace(result, arch=text, scores=scores)

    def _counts(self, arch: AnyArch) -> Counts:
        plain = replace(self.options, canonical=False)
        return count_graph(build_network(arch, plain, self.data.image_shape).graph)

    def _dead(self, text: str, scored_as: str) -> tuple[int, int]:
        """Weights of the network that was scored for `text`, and how many more are dead in its
        own; what is dead in the one scored (all of it, without a path) is counted there."""
        scored, own = self._counts(scored_as), self._counts(text)
        n_dead = (own.weights - own.live_weights) - (scored.weights - scored.live_weights)
        return scored.weights, n_dead

    def _with_dead(
        self, index: int, score: ScoreValue, n_weights: int, n_dead: int, run: Mapping[str, Any]
    ) -> ScoreValue:
        one = self.scores[index]
        values = tuple(
            one.add_dead(value, n_weights, n_dead) if math.isfinite(value) else value
            for value in score.values
        )
        return replace(
            score,
            value=values[0] if len(values) == 1 else mean(values),
            values=values,
            dead_weights=n_dead,
            keys=self._keys(index, {**run, "dead_weights": n_dead}),
        )

    def _run(
        self, arch: AnyArch, *, n_threads: int, workspace: _core.Workspace | None
    ) -> ScoreResult:
        start = time.perf_counter()
        network = build_network(arch, self.options, self.data.image_shape)
        self.data.check_fits(network.graph.input_shape, network.graph.num_classes)
        weights = check_weights(network.graph, self.options.weights)
        outputs = [
            run_core(
                network.graph, self.data.x, self.data.y, self.options, self.scores, weights,
                n_threads=n_threads, seed=seed, workspace=workspace,
            )
            for seed in self.seeds
        ]  # fmt: skip
        counted = [(i, t["name"]) for i, t in enumerate(network.graph.tensors()) if t["counted"]]
        nodes: list[str] = []
        if any(CORE_SCORES[one.name]["counts_nodes"] for one in self.scores):
            nodes = [node["name"] for node in network.graph.nodes()]
        run = self._run_fields(network.identity, hash_weights(weights))
        values = {
            one.label: self._value(
                i,
                [out["runs"][i] for out in outputs],
                counted,
                nodes,
                run,
                self._sharers(i, outputs[0]),
            )
            for i, one in enumerate(self.scores)
        }
        blame = next((out["blame"] for out in outputs if out["blame"] is not None), None)
        status = worst_status(value.status for value in values.values())
        reason = next((v.reason for v in values.values() if v.status == status), None)
        if status == "nonfinite" and (blame is not None or reason is None):
            reason = nonfinite_reason(blame)
        return ScoreResult(
            arch=network.arch,
            scores=values,
            status=status,
            reason=reason,
            seeds=self.seeds,
            seconds=time.perf_counter() - start,
            peak_bytes=max(out["peak_bytes"] for out in outputs),
            macs=outputs[0]["macs"],
            nonfinite=blame,
            scored_as=network.scored_as,
            provenance=Provenance(
                run=run,
                data=self._all_data_hashes(),
                environment={
                    **environment(),
                    "kernels": outputs[0]["kernels"],
                    "n_threads": n_threads,
                },
            ),
        )

    def _sharers(self, index: int, output: _core.OutputDict) -> tuple[str, ...]:
        passes = [r["pass_index"] for r in output["runs"]]
        return tuple(
            one.label
            for i, one in enumerate(self.scores)
            if i != index and passes[i] == passes[index] >= 0
        )

    def _algorithm(self, score: Score) -> str:
        if self.options.dtype == "float64" or score.float64:
            return "direct"
        if self.options.algo == "auto":
            return "auto:f2" if score.keeps_signs else "auto:f4"  # small layers stay direct
        return self.options.algo

    def failed(
        self, arch: AnyArch, error: BaseException | str, status: Status = "failed"
    ) -> ScoreResult:
        """The result that stands for an architecture that could not be scored."""
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        text, run, dead = self._fields(arch)
        scores = {}
        for i, (one, grouping) in enumerate(zip(self.scores, self.groupings, strict=True)):
            scores[one.label] = ScoreValue(
                one.label,
                one.name,
                math.nan,
                status,
                reason,
                values=(math.nan,) * len(self.seeds),
                parameters=one.parameters(),
                group_size=grouping.size,
                n_groups=grouping.n,
                algorithm=self._algorithm(one),
                dead_weights=dead.get("dead_weights", 0) if one.counts_dead else 0,
                keys=self._keys(i, {**run, **dead} if one.counts_dead else run),
            )
        return ScoreResult(
            arch=text,
            scores=scores,
            status=status,
            reason=reason,
            seeds=self.seeds,
            provenance=Provenance(
                run=run,
                data=self._all_data_hashes(),
                environment={**environment(), "kernels": None, "n_threads": 0},
            ),
        )

    def keys(self, arch: AnyArch) -> dict[str, tuple[str, ...]]:
        """Of each label the provenance keys that `run` will give, one per seed; nothing is run.

        What is no architecture has the keys of its text, under which it is recorded as failed.
        """
        _, run, dead = self._fields(arch)
        return {
            one.label: self._keys(i, {**run, **dead} if one.counts_dead else run)
            for i, one in enumerate(self.scores)
        }

    def _fields(self, arch: AnyArch) -> tuple[str, dict[str, Any], dict[str, int]]:
        """Text and `Provenance.run` of an architecture, and what comes to it for scores that count
        dead weights."""
        shape = self.data.image_shape
        try:
            text, scored_as, identity = identify(arch, self.options, shape)
        except (TypeError, ValueError):
            text = arch if isinstance(arch, str) else repr(arch)
            identity = {"arch": text, **network_fields(self.options, shape)}
            return text, self._run_fields(identity, None), {}
        weights = None
        if self.options.weights is not None:
            try:
                graph = build_network(arch, self.options, shape).graph
                weights = hash_weights(check_weights(graph, self.options.weights))
            except (TypeError, ValueError):
                weights = "unfit"
        dead = {}
        if scored_as is not None and any(one.counts_dead for one in self.scores):
            with suppress(ValueError):  # a size does not fit, which the run will say
                dead["dead_weights"] = self._dead(text, scored_as)[1]
        return text, self._run_fields(identity, weights), dead

    def _run_fields(self, identity: Mapping[str, Any], weights: str | None) -> dict[str, Any]:
        return {
            **identity,
            "init": self.options.init,
            "dtype": self.options.dtype,
            "weights": weights,
            "numerics": NUMERICS,
        }

    def _all_data_hashes(self) -> dict[str, dict[str, str]]:
        return {one.label: self._data_hashes(i) for i, one in enumerate(self.scores)}

    def _data_hashes(self, index: int) -> dict[str, str]:
        """Of the rows that a score reads; in place of x the name of what it reads instead."""
        one, grouping = self.scores[index], self.groupings[index]
        kind, mix = grouping.input
        if kind == "data":
            x, y = self.data.hashes(grouping.n_rows)
            return {"x": x, "y": y} if mix == 0 else {"x": x, "y": y, "mix": repr(mix)}
        name = kind if mix == 0 else f"{kind}, mix {mix!r}"
        if not one.uses_labels:
            return {"x": name}
        return {"x": name, "y": self.data.hashes(grouping.size * grouping.n)[1]}

    def _value(
        self,
        index: int,
        runs: list[_core.RunDict],
        counted: list[tuple[int, str]],
        nodes: list[str],
        run: dict[str, Any],
        shares_with: tuple[str, ...],
    ) -> ScoreValue:
        one, grouping = self.scores[index], self.groupings[index]
        statuses: list[Status] = [r["status"] for r in runs]  # type: ignore[misc]
        status = worst_status(statuses)
        # a count or a sum of signs is finite whatever it met: never hand that out as a number
        values = tuple(
            math.nan if r["status"] == "nonfinite" and math.isfinite(r["value"]) else r["value"]
            for r in runs
        )
        histogram = None
        tables = [r["counts"] for r in runs if r["counts"] is not None]
        if tables and tables[0].shape[1] > 1:
            total = np.sum(tables, axis=0)
            rows = counted
            if CORE_SCORES[one.name]["counts_nodes"]:
                rows = [(i, nodes[i]) for i in np.flatnonzero(total.any(axis=1)).tolist()]
            histogram = {name: tuple(total[i].tolist()) for i, name in rows}
        return ScoreValue(
            label=one.label,
            name=one.name,
            value=values[0] if len(values) == 1 else mean(values),
            status=status,
            reason=next(r["reason"] for r in runs if r["status"] == status),
            values=values,
            layers=self._layers(one, runs, counted),
            histogram=histogram,
            noise_share=mean(r["extra"] for r in runs) if one.name == "gradsign" else None,
            parameters=one.parameters(),
            group_size=grouping.size,
            n_groups=grouping.n,
            unused_rows=self.data.n_rows - grouping.n_rows,
            algorithm=self._algorithm(one),
            shares_with=shares_with,
            keys=self._keys(index, run),
        )

    @staticmethod
    def _layers(
        one: Score, runs: list[_core.RunDict], counted: list[tuple[int, str]]
    ) -> dict[str, float]:
        if not CORE_SCORES[one.name]["by_tensor"] or not one.has_layers:
            return {}
        return {name: mean(float(r["tensor_values"][i]) for r in runs) for i, name in counted}

    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each label all that its keys are made of but architecture and seed."""
        fields = self._run_fields(network_fields(self.options, self.data.image_shape), None)
        given = self.options.weights
        if given is not None:
            arrays = {name: np.ascontiguousarray(as_array(given[name])) for name in given}
            fields["weights"] = hash_weights(arrays)
        return {one.label: self._setting(i, fields) for i, one in enumerate(self.scores)}

    def _setting(self, index: int, run: Mapping[str, Any]) -> dict[str, Any]:
        one, grouping = self.scores[index], self.groupings[index]
        return {
            **run,
            **self._data_hashes(index),
            "score": one.name,
            "algorithm": self._algorithm(one),
            "parameters": one.parameters(),
            "group_size": grouping.size,
            "n_groups": grouping.n,
        }

    def _keys(self, index: int, run: Mapping[str, Any]) -> tuple[str, ...]:
        key = self._setting(index, run)
        return tuple(key_of({**key, "seed": seed}) for seed in self.seeds)
