"""The errors a user can meet: each names what is wrong, where, and the remedy, in one line."""


class AlbaError(Exception):
    """Base of every error that the command line prints without a traceback.

    Parameters
    ----------
    problem : str
        What is wrong, naming the file where there is one.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}: {remedy}")

    def __reduce__(self) -> tuple[type["AlbaError"], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


class ConfigError(AlbaError):
    """A setting is unknown or out of range."""


class DatasetError(AlbaError):
    """A frame, annotation or list of a data set is missing or damaged."""


class StoreError(AlbaError):
    """A Zarr store is missing, incomplete or of another schema."""


class BackendError(AlbaError):
    """A proposal or flow backend is unknown, not installed or lacks its weights."""


class TrainingError(AlbaError):
    """Training cannot start or go on."""


class CheckpointError(AlbaError):
    """A checkpoint is missing, damaged or belongs to other settings."""


class EvaluationError(AlbaError):
    """Predictions cannot be scored, or results not read or written."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, short enough for one line."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".")[:160] if lines else type(error).__name__
