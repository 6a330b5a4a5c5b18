"""The short form of fuzz_texts.py, and whether it can find anything."""

import signal
import sys

import pytest

pytest.importorskip("resource", reason="Windows has no limits on processor time")

from robustness import cases, fuzz_texts


@pytest.mark.parametrize("n", [2_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_arbitrary_texts_break_no_rule(n, capsys):
    assert fuzz_texts.run(n, seed=1, jobs=1, quiet=True) == 0, capsys.readouterr().out


CHILD = """
import os, sys
sys.path.insert(0, {tests!r})
from robustness import cases

def check(number):
    cases.limit_seconds(0.2)
    if number == 3:
        raise cases.BrokenRule("three")
    if number == 5:
        os.abort()
    while number == 7:
        pass

first, last, state_file = sys.argv[1:]
cases.run_cases(check, int(first), int(last), state_file)
"""


def test_cases_that_break_a_rule_crash_or_hang_are_found():
    command = [sys.executable, "-c", CHILD.format(tests=str(cases.Path(cases.__file__).parents[1]))]
    findings = cases.supervised(command, 0, 10)
    assert [finding.number for finding in findings] == [3, 5, 7]
    assert [finding.message for finding in findings] == [
        "'three'",
        "crashes with SIGABRT",
        "takes longer than it may",
    ]


def test_the_rules_can_be_broken(tmp_path, monkeypatch):
    models = fuzz_texts.fitted_models(tmp_path)
    for error, said in (
        (KeyError("x"), "KeyError"),
        (ValueError("bad"), "no sentence"),
        (ValueError("two lines,\nof which one is too many"), "no sentence"),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed"), "UnicodeEncodeError"),
    ):

        def ask(models, rng, error=error):
            raise error

        monkeypatch.setattr(fuzz_texts, "ASKED", [(ask, 1, 1)])
        with pytest.raises(cases.BrokenRule, match=said):
            fuzz_texts.check_case(models, 0, 0)
    monkeypatch.setattr(
        type(models.classifier), "predict_proba", lambda self, X: fuzz_texts.np.array([[0.5, 0.6]])
    )
    monkeypatch.setattr(fuzz_texts, "ASKED", [(fuzz_texts.ask_classifier, 1, 1)])
    with pytest.raises(cases.BrokenRule, match="do not sum to 1"):
        fuzz_texts.check_case(models, 0, 0)
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)  # or it would end this process later
