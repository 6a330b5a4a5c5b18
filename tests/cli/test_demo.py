"""textcnn demo."""

import signal
import subprocess
import sys

import pytest

import textcnn

RUN = "import sys; from textcnn.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("arguments", [[], ["tag"]])
def test_an_interrupt_ends_it_with_one_line(arguments):
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=textcnn.__path__[0].removesuffix("textcnn"),
    ) as process:
        try:
            process.stdout.readline()  # it has begun, and training takes longer than the signal
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, b"textcnn: interrupted\n")
