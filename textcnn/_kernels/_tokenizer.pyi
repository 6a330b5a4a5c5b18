import re
from collections.abc import Callable

def cut_words(
    string: str, search: Callable[[str, int], re.Match[str] | None]
) -> tuple[list[str], list[int], list[int]]: ...
