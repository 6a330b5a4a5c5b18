"""Build of the compiled kernels; everything else about the package is in pyproject.toml.

Variables read from the environment:

TEXTCNN_NO_OPENMP=1   build without OpenMP (every kernel then runs on one thread)
TEXTCNN_DEBUG=1       check bounds and initialisation in the Cython modules, and asserts in C
TEXTCNN_BUILD_JOBS=N  translate and compile N modules at once (default: the number of processors)
TEXTCNN_SANITIZE=S    compile with -fsanitize=S ("address", "undefined" or "thread"); the tests then run as
                      tests/robustness/sanitize.py runs them

Each of these ways to build has a folder of its own for C, objects and modules: Cython and setuptools compare
times only, and would take those of another way, such as modules without the checks of TEXTCNN_DEBUG.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

if sys.byteorder != "little" or sys.maxsize < 2**63 - 1:
    sys.exit("textcnn needs a 64-bit little-endian machine, such as x86-64 or ARM64; use another one")

HERE = Path(__file__).parent
SOURCES = Path("src_pyx")
KERNELS = SOURCES / "textcnn" / "_kernels"
DEBUG = os.environ.get("TEXTCNN_DEBUG", "0") not in ("", "0")
NO_OPENMP = os.environ.get("TEXTCNN_NO_OPENMP", "0") not in ("", "0")
SANITIZE = os.environ.get("TEXTCNN_SANITIZE", "")
VARIANT = "-".join(filter(None, ("debug" * DEBUG, "no-openmp" * NO_OPENMP, SANITIZE))) or "release"
BUILD = Path("build") / VARIANT

# The instruction-set levels for which the hot loops are compiled besides the compiler's default.
X86_LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")

OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int total = 0;
    #pragma omp parallel for reduction(+:total)
    for (int i = 0; i < 4; i++) total += omp_get_num_threads() > 0;
    return total != 4;
}
"""
LEVEL_PROBE = """
int main(void) {
    return !(__builtin_cpu_supports("avx2") || 1);
}
"""


class BuildExt(build_ext):
    """Choose flags for the compiler in use and compile the hot loops once per level."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = int(os.environ.get("TEXTCNN_BUILD_JOBS", os.cpu_count() or 1))

    def build_extensions(self):
        sources = translated(self.extensions, self.parallel)
        for ext in self.extensions:
            ext.sources = sources[ext.name]
        self.msvc = self.compiler.compiler_type == "msvc"
        if self.msvc:
            self.base_flags = ["/O2"]
        else:
            # sqrt sets no errno and comparisons raise no trap, so that loops with them can be
            # vectorised; neither changes a result. No -ffast-math: NaN checks must survive.
            self.base_flags = ["-O3", "-fno-math-errno", "-fno-trapping-math"]
            # No debug information, which Python's own flags may ask for: it is most of the size.
            self.base_flags += ["-UNDEBUG", "-g", "-O1"] if DEBUG else ["-g0"]  # -O3 takes twice as long
            self.base_flags += sanitizer_flags()
        compile_openmp, link_openmp = self.openmp_flags()
        levels = self.levels()
        gil = [] if self.msvc else ["-include", str(KERNELS / "_gil.h")]
        for ext in self.extensions:
            ext.extra_compile_args = self.base_flags + compile_openmp + gil
            ext.extra_link_args = link_openmp + sanitizer_flags()
            if ext.name == "textcnn._kernels._simd":
                ext.extra_objects = self.compile_levels(levels)
                ext.define_macros += [(macro(level), "1") for level in levels]
        super().build_extensions()

    def copy_extensions_to_source(self):
        self.force = True  # modules that stand there may be newer, and built in another way
        super().copy_extensions_to_source()

    def openmp_flags(self):
        """Flags with which a probe compiles, links and runs; empty, with a warning, if none do."""
        if NO_OPENMP:
            return [], []
        if self.msvc:
            candidates = [(["/openmp"], [])]
        elif sys.platform == "darwin":
            candidates = [(["-Xpreprocessor", "-fopenmp"], ["-lomp"]), (["-fopenmp"], ["-fopenmp"])]
        else:
            candidates = [(["-fopenmp"], ["-fopenmp"])]
        for compile_flags, link_flags in candidates:
            if self.probe(OPENMP_PROBE, compile_flags, link_flags):
                return compile_flags, link_flags
        self.warn(
            "the C compiler has no working OpenMP, so textcnn is built for ONE thread; to use all cores "
            "install OpenMP (Debian: libgomp1, macOS: libomp) and build again"
        )
        return [], []

    def levels(self):
        """The x86-64 levels that this compiler can produce code for (none elsewhere)."""
        machine = platform.machine().lower()
        if self.msvc or machine not in ("x86_64", "amd64"):
            return []
        return [level for level in X86_LEVELS if self.probe(LEVEL_PROBE, [f"-march={level}"], None)]

    def probe(self, source, compile_flags, link_flags):
        """True if `source` compiles (and, unless `link_flags` is None, links) with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.c"
            path.write_text(source)
            try:
                objects = self.compiler.compile([str(path)], output_dir=folder, extra_postargs=compile_flags)
                if link_flags is not None:
                    program = Path(folder) / "probe"
                    self.compiler.link_executable(objects, str(program), extra_postargs=link_flags)
            except Exception:  # each compiler class raises errors of its own
                return False
        return True

    def compile_levels(self, levels):
        """Compile the hot loops for the compiler's default and for every level; return the objects."""
        objects = []
        for level in ("generic", *levels):
            flags = list(self.base_flags)
            if level != "generic":
                flags.append(f"-march={level}")
            if level == "x86-64-v4":
                flags.append("-mprefer-vector-width=512")
            objects += self.compiler.compile(
                [str(KERNELS / "_simd_kernels.c")],
                output_dir=str(Path(self.build_temp) / level),
                macros=[("TEXTCNN_LEVEL", level.replace("-", "_")), ("TEXTCNN_LEVEL_NAME", f'"{level}"')],
                include_dirs=[str(KERNELS)],
                extra_postargs=flags,
                depends=[str(path) for path in KERNELS.glob("*.h")],
            )
        return objects


def sanitizer_flags():
    """Flags of the compiler and the linker for TEXTCNN_SANITIZE."""
    if not SANITIZE:
        return []
    # "undefined" leaves out the conversion of floats that do not fit an integer, which is undefined too.
    checks = "undefined,float-cast-overflow" if SANITIZE == "undefined" else SANITIZE
    return [f"-fsanitize={checks}", "-fno-omit-frame-pointer", "-g1", "-O1"]  # -O3 takes many minutes


def macro(level):
    """The macro that tells the dispatcher that `level` was compiled."""
    return "TEXTCNN_HAVE_" + level.replace("-", "_").upper()


def extensions():
    """One extension for each .pyx file; the source tree mirrors the package."""
    os.chdir(HERE)
    modules = []
    for path in sorted(SOURCES.rglob("*.pyx")):
        name = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        headers = [str(header) for header in path.parent.glob("*.h")]
        if name.endswith("._simd"):
            headers.append(str(KERNELS / "_simd_kernels.c"))
        modules.append(Extension(name, [str(path)], include_dirs=[str(KERNELS)], depends=headers))
    return modules


def translated(modules, n_jobs):
    """The C source of each module by its name; Cython makes what is older than what it is made from."""
    made = cythonize(
        modules,
        nthreads=n_jobs if n_jobs > 1 else 0,
        build_dir=str(BUILD / "c"),
        include_path=[str(SOURCES)],
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": not DEBUG,
            "initializedcheck": DEBUG,
            "embedsignature": True,
            "freethreading_compatible": True,
        },
    )
    return {module.name: module.sources for module in made}


if __name__ == "__main__":  # where processes are not forked, those of Cython read this file too
    setup(
        packages=[
            "textcnn",
            "textcnn._kernels",
            "textcnn._reference",
            "textcnn.cli",
            "textcnn.data",
            "textcnn.inspection",
            "textcnn.nn",
            "textcnn.ops",
            "textcnn.text",
        ],
        ext_modules=extensions(),
        options={"build": {"build_base": str(BUILD)}},
        cmdclass={"build_ext": BuildExt},
    )
