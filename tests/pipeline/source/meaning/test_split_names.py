"""Which split a name means, as people write it."""

import pytest

from pipeline.source.meaning.split_names import find_split, map_splits


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train TRAIN Training seg_train training_set train_images trainset TrainingSet train2017 train-val"),
        (
            "train",
            "Train_Data 00_train Entraînement entrenamiento treino 训练集 훈련 Trainingsdaten trainval "
            "train+validation",
        ),
        (
            "validation",
            "val Val valid val_set validation_set dev val2017 Validación 验证集 2_validation validatie 검증 "
            "ValidationSet",
        ),
        (
            "test",
            "test TEST Testing seg_test test_images hold-out holdout held_out Testdaten テスト 시험 test1 testset "
            "Prüfung Pruefung",
        ),
        ("unlabeled", "unlabeled unlabelled seg_pred Unlabelled_images"),
    ],
)
def test_names_that_mean_a_split(split: str, names: str) -> None:
    assert {name: find_split(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    "name", ["cat", "restraint", "protest", "contest", "invalid", "2023", "", "valley", "fold 1", "Testament", "Daten"]
)
def test_names_that_mean_none(name: str) -> None:
    assert find_split(name) is None


@pytest.mark.parametrize("name", ["train_test", "test/val"])
def test_names_of_two_splits_mean_none(name: str) -> None:
    assert find_split(name) is None


def test_public_and_private_leaderboards_are_validation_and_test() -> None:
    both = map_splits(["Training", "PublicTest", "PrivateTest"])
    assert both == {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    assert map_splits(["Training", "PublicTest"]) == {"Training": "train", "PublicTest": "test"}
