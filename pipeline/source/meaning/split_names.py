"""Which split a name means: the name of a folder, or a value of a split column, as people and tools write them.

A name means a split if one of its words does and no other word names another: `seg_train`, `val2017`, `TestImages`,
`Validation set`. Whether a name stands for a split at all is for the caller to judge, as there are classes that are
called train.
"""

import re
import unicodedata
from collections.abc import Collection

SPLITS = ("train", "validation", "test", "unlabeled")
WORDS = {
    "train": "train training trn learn fit trainval entrainement apprentissage entrenamiento addestramento treino "
    "treinamento trainieren egitim 训练 訓練 学習 훈련 학습 "
    "обучение",
    "validation": "validation valid val dev development tune tuning validierung validacion validazione validacao "
    "validatie dogrulama 验证 驗證 検証 검증 валидация",
    "test": "test testing tst holdout heldout prueba pruebas teste prova prufung pruefung 测试 測試 テスト 테스트 시험 "
    "тест",
    "unlabeled": "unlabeled unlabelled unsupervised unlabel pred predict prediction inference submission",
}
"""Words of each split, in lower case and without accents."""
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words.split()}
PAIR = {"publictest": "validation", "privatetest": "test"}
"""The leaderboards of a competition: where both appear, the public one is for validation."""
_IDEOGRAPHS = sorted((word for word in SPLIT_OF if not word.isascii()), key=len, reverse=True)


def find_split(name: str) -> str | None:
    """The split that a name means; None if it means none, or more than one."""
    splits = {SPLIT_OF[word] for word in _words(name) if word in SPLIT_OF}
    return splits.pop() if len(splits) == 1 else None


def map_splits(names: Collection[str]) -> dict[str, str | None]:
    """The split of each of the names that occur together."""
    known = {name: "".join(_words(name)) for name in names}
    pair = PAIR if PAIR.keys() <= set(known.values()) else {}
    return {name: pair.get(joined) or find_split(name) for name, joined in known.items()}


def _words(name: str) -> list[str]:
    """The words of a name in lower case: TrainingSet, hold-out and val_2017 are training, set; holdout; val."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    plain = unicodedata.normalize("NFKD", spaced.casefold())
    bare = unicodedata.normalize("NFC", "".join(c for c in plain if not unicodedata.combining(c)))
    text = re.sub(r"h(old|eld)[\W_]*out", "holdout", bare)
    text = re.sub(r"train[\W_]*(and)?[\W_]*val(idation)?\b", "trainval", text)
    words = re.findall(r"[^\W\d_]+", text)
    return [word for run in words for word in _parts(run)]


def _parts(word: str) -> list[str]:
    """A word, without a "set" or "data" at its end; words of scripts without blanks if they hold one of ours."""
    if found := next((ours for ours in _IDEOGRAPHS if ours in word), None):
        return [found]
    shorter = re.sub(r"(s?(daten|datensatz|menge|bilder)|set|sets|data|dataset|images?|imgs?|split)$", "", word)
    return [shorter if shorter in SPLIT_OF else word]
