"""The two kinds of fault that end a run in one line."""


class CaptureError(Exception):
    """A fault of the request or of the program, told in one line."""


class UsageError(CaptureError):
    """A fault of the request alone: a name, a device, an argument that is not there."""
