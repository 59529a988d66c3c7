"""Which files of a folder are taken, and which accuracy of them."""

from __future__ import annotations

import pytest

from zeroshot.benchmarks import Target
from zeroshot.reproduce import sources
from zeroshot.reproduce.making import accuracy_of
from zeroshot.reproduce.numbers import PublishedRow
from zeroshot.reproduce.sources import Missing, Sources


def row(paper: str, space: str, dataset: str, metric: str) -> PublishedRow:
    return PublishedRow(paper, "1", "", "m", space, dataset, metric, 0.5, None, "s", "")


@pytest.mark.parametrize(
    ("paper", "space", "dataset", "metric", "wanted"),
    [
        ("xi-gsnr", "nasbench201", "cifar10", "spearman", ("cifar10", "test", "mean")),
        ("gradsign", "nasbench201", "cifar10", "spearman", ("cifar10-valid", "test", "mean")),
        ("gradsign", "nasbench201", "cifar10", "test_acc", ("cifar10", "test", "mean")),
        ("gradsign", "nasbench201", "cifar100", "kendall", ("cifar100", "test", "mean")),
        ("sweetimator", "nasbench201", "cifar10", "val_acc", ("cifar10-valid", "valid", "mean")),
        ("sweetimator", "nasbench201", "cifar100", "val_acc", ("cifar100", "valid", "mean")),
        ("xi-gsnr", "nasbench101", "cifar10", "kendall", ("cifar10", "test", "max")),
        ("gradsign", "nasbench101", "cifar10", "spearman", ("cifar10", "test", "first")),
        ("xi-gsnr", "nds_darts", "cifar10", "spearman", ("cifar10", "test", "mean")),
    ],
)
def test_rows_are_compared_with_the_accuracy_of_their_paper(paper, space, dataset, metric, wanted):
    assert accuracy_of(row(paper, space, dataset, metric)) == wanted


def test_the_longest_training_and_the_rule_that_is_asked_for_are_taken():
    targets = tuple(
        Target("ImageNet16-120", split, epochs, trials)
        for split in ("valid", "test")
        for epochs in (12, 200)
        for trials in ("first", "mean", "max", 777)
    )
    chosen = sources._choose(targets, "ImageNet16-120", "test", "max")
    assert chosen == Target("ImageNet16-120", "test", 200, "max")
    assert sources._choose(targets, "ImageNet16-120", "test", "mean").trials == "mean"
    assert sources._choose(targets, "cifar10", "test", "mean") is None


def test_what_is_missing_is_named_with_where_to_get_it(bench):
    found = Sources(bench, {})
    with pytest.raises(Missing, match=r"nasbench101 on cifar10; bring nasbench_only108.tfrecord"):
        found.accuracies("nasbench101", "cifar10", "test", "max")
    with pytest.raises(Missing, match="no images of ImageNet16-120; bring the folder ImageNet16"):
        found.images("ImageNet16-120")
    with pytest.raises(Missing, match="nasbench_nlp is not in the package"):
        found.accuracies("nasbench_nlp", "", "test", "mean")


def test_a_damaged_file_is_told_and_another_one_is_taken(bench, tmp_path):
    (tmp_path / "a_nasbench201.csv").write_text("arch_str,cifar10_test\nnonsense,1\n")
    (tmp_path / "b_nasbench201.csv").write_bytes((bench / "nasbench201.csv").read_bytes())
    found = Sources(tmp_path, {})
    taken = found.accuracies("nasbench201", "cifar10", "test", "mean")
    assert (taken.source, len(taken.archs)) == ("b_nasbench201.csv", 60)
    assert [path.name for path in found.refused] == ["a_nasbench201.csv"]


def test_a_single_file_and_images_elsewhere_will_do(bench):
    found = Sources(bench / "nasbench201.csv", {"cifar10": bench / "cifar10.npz"})
    assert len(found.accuracies("nasbench201", "cifar10", "test", "mean").archs) == 60
    assert len(found.images("cifar10")) == 600


def test_validation_accuracy_stands_in_on_nasbench101_and_says_so(shared):
    data = shared / "data"
    if not (data / "nasbench101.csv.gz").exists():
        pytest.skip(f"no reference data: {data} has no nasbench101.csv.gz")
    found = Sources(data, {}).accuracies("nasbench101", "cifar10", "test", "max")
    assert found.note == "valid accuracy in place of test accuracy"
