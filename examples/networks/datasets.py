"""What the scripts of this folder learn from: data that ships with textcnn, or files of ``--data DIR``."""

import argparse
import gzip
from pathlib import Path

from sklearn.model_selection import train_test_split
from textcnn.data import load_entities, load_messages


def data_folder(description):
    """The folder that ``--data`` names; None for the data that ships."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", metavar="DIR", type=Path, help="a folder with sentences/ and tagging/")
    return parser.parse_args().data


def texts(folder, train, test):
    """Training and test texts with their labels: X_train, X_test, y_train, y_test.

    Parameters
    ----------
    folder : Path or None
        Without one, the messages that ship, a quarter of them held out.
    train, test : str
        Files under ``sentences/`` with lines ``label<TAB>text``, plain or gzipped.
    """
    if folder is None:
        X, y = load_messages()
        return train_test_split(X, y, stratify=y, random_state=0)
    X_train, y_train = _labelled(folder / "sentences" / train)
    X_test, y_test = _labelled(folder / "sentences" / test)
    return X_train, X_test, y_train, y_test


def sentences(folder, train, test):
    """Training and test sentences with their tags: X_train, X_test, y_train, y_test.

    Parameters
    ----------
    folder : Path or None
        Without one, the sentences that ship.
    train, test : str
        Column files under ``tagging/``: the token first, the tag last, an empty line between sentences.
    """
    parts = ["train", "test"] if folder is None else [folder / "tagging" / name for name in (train, test)]
    (X_train, y_train), (X_test, y_test) = map(load_entities if folder is None else _tagged, parts)
    return X_train, X_test, y_train, y_test


def _checked(path):
    if not path.is_file():
        raise SystemExit(f"{path} is missing, but --data needs a folder in which it is")
    return path


def _labelled(path):
    opened = gzip.open if _checked(path).suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as lines:
        labels, found = zip(*(line.rstrip("\n").split("\t", 1) for line in lines), strict=True)
    return list(found), list(labels)


def _tagged(path):
    X, y = [], []
    for block in _checked(path).read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split() for line in block.split("\n") if line.strip()]
        if rows and rows[0][0] != "-DOCSTART-":
            X.append([row[0] for row in rows])
            y.append([row[-1] for row in rows])
    return X, y
