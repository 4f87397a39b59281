"""Numbers with their nouns."""


def count(number: int, noun: str, several: str = "") -> str:
    """Return `1 trial`, `2 trials`; `several` is the plural where it is another word or more than one."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
