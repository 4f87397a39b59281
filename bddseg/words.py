"""Numbers followed by a noun in singular or plural."""


def count(number: int, noun: str, several: str = "") -> str:
    """Return `1 trial`, `2 trials`; `several` is the plural if it is irregular."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
