"""Write what conlleval prints for the files *.txt beside this one: X.txt gives X.out.

    python make_golden.py CONLLEVAL.PL

The files in the repository were made by conlleval.pl of 2004-01-26 with perl 5.36. The sentences were
written for the purpose; each line has a token, its true tag and a predicted one.
"""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("*.txt")):
        done = subprocess.run(
            ["perl", sys.argv[1]], input=path.read_bytes(), stdout=subprocess.PIPE, check=True
        )
        path.with_suffix(".out").write_bytes(done.stdout)
