"""Parameters of the estimator from --set and --config. Names, types and defaults are the estimator's own.

What only some calls need is imported where it is used: every command starts with this module.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from textcnn.cli.lines import InputError

_CONSTANTS = {"none": None, "null": None, "true": True, "false": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that set parameters."""
    group = parser.add_argument_group("parameters of the network")
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_assignment,
        help="set a parameter of TextCNNClassifier, TextCNNRegressor or TextCNNTagger, such as n_filters=200 "
        "or kernel_sizes=2,3,4; repeatable",
    )
    group.add_argument(
        "--config", metavar="FILE.toml", help="a TOML file of such parameters; --set overrides it"
    )
    group.add_argument(
        "--seed", type=int, help="random_state; the same seed gives the same model (default: 0)"
    )
    group.add_argument(
        "--list-parameters",
        action=_ListParameters,
        help="print every parameter of a classifier, or with --task of another model, and stop",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option --threads."""
    parser.add_argument(
        "--threads", metavar="N", type=_thread_count, help="threads (default: what OpenMP may use here)"
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The options that tell how a column file with tags is read."""
    group = parser.add_argument_group("input of taggers, column files")
    group.add_argument(
        "--column",
        metavar="NAME",
        help="column of the tags, a number from 1, or from -1 for the last, or a name in CoNLL-U "
        "(default: -1, or upos)",
    )
    add_token_column(group)


def add_token_column(group: Any) -> None:
    """The option --token-column."""
    group.add_argument(
        "--token-column",
        metavar="NAME",
        help="column of the tokens, a number from 1, or a name in CoNLL-U (default: 1, or form)",
    )


def output_name(name: str) -> str:
    """The name of a file to write; the type of `-o` and others."""
    if not name:
        raise argparse.ArgumentTypeError("the name is empty; give the name of a file to write")
    return name


def check_unused(args: argparse.Namespace, names: Sequence[str], reason: str) -> None:
    """Raise if an option was given that has no meaning here."""
    for name in names:
        if getattr(args, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')} is {reason}; leave it out")


def sentence_estimator(args: argparse.Namespace, task: str) -> Any:
    """An unfitted classifier, or with the task "regress" a regressor, with the parameters given, checked."""
    from textcnn._sentence_estimator import check_kernel_sizes
    from textcnn.nn.ngram_linear import checked_range

    def checks(estimator: Any) -> dict[str, Callable[[], Any]]:
        def ngram_lengths(name: str) -> None:
            if getattr(estimator, name) is not None:
                checked_range(getattr(estimator, name), name)

        return {
            "kernel_sizes": lambda: check_kernel_sizes(estimator.kernel_sizes),
            "ngram_range": lambda: ngram_lengths("ngram_range"),
            "char_ngram_range": lambda: ngram_lengths("char_ngram_range"),
            "min_df": lambda: _check_min_df(estimator.min_df),
            "embedding_mode": estimator._resolved_mode,
        }

    return _estimator(_estimator_class(task), args, checks)


def tagger(args: argparse.Namespace) -> Any:
    """An unfitted TextCNNTagger with the parameters of the command line, checked."""
    from textcnn.tagger import TextCNNTagger

    return _estimator(TextCNNTagger, args, lambda estimator: {"": estimator._check_tuples})


def _estimator(
    kind: Callable[[], Any],
    args: argparse.Namespace,
    checks: Callable[[Any], dict[str, Callable[[], Any]]],
) -> Any:
    defaults = kind().get_params(deep=False)
    params: dict[str, Any] = {"random_state": 0}
    places: dict[str, str] = {}
    for name, value in _read_config(args.config):
        params[name] = _fitted_to_default(value, _default(defaults, name, f"{args.config}: "))
        places[name] = f"{args.config}: "
    for name, value in args.set:
        params[name] = _fitted_to_default(value, _default(defaults, name, f"--set {name}: "))
        places[name] = f"--set {name}: "
    if args.seed is not None:
        params["random_state"] = args.seed
        places["random_state"] = "--seed: "
    if args.threads is not None:
        params["n_jobs"] = args.threads
    estimator = kind()
    for name, value in params.items():  # one at a time, so that the message can tell where it was set
        estimator.set_params(**{name: value})
        try:
            estimator._validate_params()
        except (ValueError, TypeError) as error:
            raise InputError(f"{places.get(name, '')}{error}") from None
    _check_values(estimator, checks(estimator), places)
    return estimator


def _check_values(estimator: Any, checks: dict[str, Callable[[], Any]], places: dict[str, str]) -> None:
    """What the estimator checks only when it has the texts, which may take long to read."""
    from textcnn._threads import effective_n_threads

    checks = {
        "n_jobs": lambda: effective_n_threads(estimator.n_jobs),
        "embeddings": lambda: _check_embeddings(estimator.embeddings),
        **checks,
    }
    for name, check in checks.items():
        try:
            check()
        except (ValueError, TypeError) as error:
            # A check of several parameters begins its message with the name of the wrong one.
            place = places.get(name or str(error).split(" ", 1)[0], "")
            raise InputError(f"{place}{error}") from None


def _check_min_df(min_df: int | float) -> None:
    if isinstance(min_df, int) and min_df < 1:
        raise ValueError(f"min_df is {min_df}, but it must be 1 or more, or a share such as 0.001")


def _check_embeddings(embeddings: Any) -> None:
    if embeddings is None or isinstance(embeddings, dict):
        return
    if not isinstance(embeddings, str):
        raise ValueError(f"embeddings is {embeddings!r}, but the name of a file was expected")
    if os.path.isdir(embeddings):
        raise ValueError(f"{embeddings} is a folder, but a file was expected")
    if not os.path.exists(embeddings):
        raise ValueError(f"there is no file {embeddings}")
    if not os.access(embeddings, os.R_OK):
        raise ValueError(f"{embeddings} may not be read; change its permissions")


def _assignment(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` with the value as Python writes it; what Python cannot read is a string."""
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not (equals and name and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as n_filters=200")
    if value.lower() in _CONSTANTS:
        return name, _CONSTANTS[value.lower()]
    import ast

    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return name, value


def _read_config(path: str | None) -> list[tuple[str, Any]]:
    if path is None:
        return []
    import tomllib

    try:
        with open(path, "rb") as file:
            return list(tomllib.load(file).items())
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no TOML: it is not UTF-8 text") from None


def _default(defaults: dict[str, Any], name: str, place: str) -> Any:
    """The default of a parameter; an unknown name raises with those that it may have been."""
    if name in defaults:
        return defaults[name]
    import difflib

    close = difflib.get_close_matches(name, defaults, 1)
    hint = f'perhaps "{close[0]}" was meant; ' if close else ""
    raise InputError(f'{place}no parameter "{name}"; {hint}the parameters are {", ".join(sorted(defaults))}')


def _fitted_to_default(value: Any, default: Any) -> Any:
    """A value in the type of the default where that loses nothing: a list as a tuple, 1e3 as 1000.

    1.0 stays as it is, for it may mean "all" where 1 means "one".
    """
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, tuple) and isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if type(default) is int and isinstance(value, float) and value.is_integer() and value > 1:
        return int(value)
    return value


def _thread_count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < -1 or number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads; give 1 or more, or -1 for all")
    return number


class _ListParameters(argparse.Action):
    """Leaves FILE and MODEL out of what is needed, so that the command can print the parameters."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *args: Any) -> None:
        setattr(namespace, self.dest, True)
        for action in parser._actions:
            action.required = False


def list_parameters(task: str) -> None:
    """Print the estimator's own description of its parameters."""
    import inspect

    text = inspect.getdoc(_estimator_class(task)) or ""
    begin = text.index("Parameters\n")
    print(text[begin : text.index("Attributes\n")].rstrip())


def _estimator_class(task: str) -> Any:
    import textcnn

    others = {"tag": textcnn.TextCNNTagger, "regress": textcnn.TextCNNRegressor}
    return others.get(task, textcnn.TextCNNClassifier)
