"""Settings of hypothesis: the same examples in every run, and no time limit on a busy machine.

The profile `levels` is the short form in which the kernel tests run once for each instruction-set level.

Work of a quarter of what repays a team of threads gets one here: teams are tested without large arrays.

A shell's background job ignores Ctrl-C, and so do its children: tests that send it would wait for ever.
"""

import signal

from hypothesis import HealthCheck, settings

from textcnn._kernels import _openmp

common = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("textcnn", max_examples=40, **common)
settings.register_profile("levels", max_examples=10, **common)
settings.load_profile("textcnn")

_openmp.set_operations_per_team(2_000_000)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
