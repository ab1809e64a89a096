"""Checks the values that a caller gives, and names those that are wrong."""


def require(*rules: tuple[bool, str]) -> None:
    """Raise the rules that do not hold, each with its sentence, such as `limit must be >= 1`.

    Raises:
        ValueError: there are any.
    """
    broken = [sentence for holds, sentence in rules if not holds]
    if broken:
        raise ValueError("; ".join(broken))
