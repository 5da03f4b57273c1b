"""Times in the words one would use."""


def duration_text(seconds: float) -> str:
    """Write how long something takes, or is still to take.

    Parameters
    ----------
    seconds : float
    """
    if seconds < 1.5:
        return "about a second"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
