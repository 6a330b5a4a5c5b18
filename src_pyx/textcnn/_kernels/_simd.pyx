"""Choice of the instruction-set level at import: the highest that this processor runs.

The environment variable ``TEXTCNN_ISA`` names another one (for tests, and to get the same bits on
different machines).
"""

import os

cdef extern from "_simd_dispatch.h" nogil:
    const simd_table *const *textcnn_simd_tables()

cdef const simd_table *_table = NULL


cdef const simd_table* active_table() noexcept nogil:
    return _table


def available_levels():
    """Names of the levels that were compiled and that this processor runs, lowest first."""
    cdef const simd_table *const *tables = textcnn_simd_tables()
    levels = []
    while tables[len(levels)] != NULL:
        levels.append(tables[len(levels)].level.decode())
    return levels


def active_level():
    """Name of the level in use."""
    return _table.level.decode()


def _choose():
    global _table
    levels = available_levels()
    wanted = os.environ.get("TEXTCNN_ISA") or max(levels, key=levels.index)
    if wanted not in levels:
        raise ImportError(
            f"TEXTCNN_ISA is {wanted!r}, but this build on this processor has {', '.join(levels)}; "
            "set it to one of these or unset it"
        )
    _table = textcnn_simd_tables()[levels.index(wanted)]


_choose()
