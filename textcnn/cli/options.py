"""Parameters of the estimator from --set and --config. Names, types and defaults are the estimator's own.

What only some calls need is imported where it is used: every command starts with this module.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

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
        help="set a parameter of TextCNNClassifier, such as n_filters=200 or kernel_sizes=2,3,4; repeatable",
    )
    group.add_argument(
        "--config", metavar="FILE.toml", help="a TOML file of such parameters; --set overrides it"
    )
    group.add_argument(
        "--seed", type=int, help="random_state; the same seed gives the same model (default: 0)"
    )
    group.add_argument(
        "--list-parameters", action=_ListParameters, help="print every parameter with its default, and stop"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option --threads."""
    parser.add_argument(
        "--threads", metavar="N", type=_thread_count, help="threads (default: what OpenMP may use here)"
    )


def classifier(args: argparse.Namespace) -> Any:
    """An unfitted TextCNNClassifier with the parameters of the command line, checked."""
    from textcnn.classifier import TextCNNClassifier

    defaults = TextCNNClassifier().get_params(deep=False)
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
    estimator = TextCNNClassifier()
    for name, value in params.items():  # one at a time, so that the message can tell where it was set
        estimator.set_params(**{name: value})
        try:
            estimator._validate_params()
        except (ValueError, TypeError) as error:
            raise InputError(f"{places.get(name, '')}{error}") from None
    return estimator


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
    hint = f'did you mean "{close[0]}"? ' if close else ""
    raise InputError(f'{place}no parameter "{name}"; {hint}The parameters are {", ".join(sorted(defaults))}')


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
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads; give 1 or more, or -1 for all")
    return number


class _ListParameters(argparse.Action):
    """Prints the estimator's own description of its parameters."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> NoReturn:
        import inspect

        from textcnn.classifier import TextCNNClassifier

        text = inspect.getdoc(TextCNNClassifier) or ""
        begin = text.index("Parameters\n")
        print(text[begin : text.index("Attributes\n")].rstrip())
        parser.exit()
