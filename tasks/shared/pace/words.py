"""How long something takes, in words."""


def about(seconds: float) -> str:
    """A time that is known roughly: `40 s`, `12 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    minutes = round(minutes / 10) * 10
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
