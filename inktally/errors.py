"""Every error Inktally raises: what went wrong, in a sentence that says what to do.

Each takes one string, so that it survives pickling and JSON. `kind` is the class's name, `retryable` decides
retries everywhere, `exit_code` is the command line's, `http_status` the web's. A `PictureError` is the picture's
own fault: it is an outcome to tell the uploader, not a failure of the service.
"""

from __future__ import annotations

from typing import ClassVar


class InktallyError(Exception):
    """The root of all errors of Inktally."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def kind(self) -> str:
        return type(self).__name__


class PictureError(InktallyError):
    """The picture itself cannot be read; sending it again unchanged would not help."""

    http_status = 422


class EmptyPicture(PictureError):
    """The file has no bytes."""


class NotAPicture(PictureError):
    """The bytes are no picture of any format known here."""


class UnsupportedFormat(PictureError):
    """A picture, but of a format that is not read."""

    http_status = 415


class UnreadablePicture(PictureError):
    """A picture that is truncated, corrupt, or breaks its decoder."""


class TooLarge(PictureError):
    """More bytes, pixels or pages than the settings allow."""

    http_status = 413


class RecognitionTimeout(PictureError):
    """Recognition took longer than the settings allow and was stopped."""


class UnknownLanguage(PictureError):
    """The uploader asked for a language that cannot be read here."""


class UnknownOption(PictureError):
    """The uploader asked for an output, or for a way to count, that there is not."""


class BadSettings(InktallyError):
    """A setting or an option has a value that cannot work."""

    exit_code = 2


class MissingTool(InktallyError):
    """A program, a model or a package that is needed is not installed."""


class NotFound(InktallyError):
    """There is no such object or file."""

    http_status = 404


class AccessDenied(InktallyError):
    """The store or the mail service does not accept our credentials."""


class Overwritten(InktallyError):
    """The object is no longer the version we spoke of, or a conditional write lost its race."""

    http_status = 409


class UnsafeDelete(InktallyError):
    """The store cannot delete one very version, so nothing was deleted."""


class BadLink(InktallyError):
    """A link that is none, or that leads to where we do not go."""

    http_status = 422


class LinkFailed(InktallyError):
    """The server that a link names did not give a picture."""

    http_status = 422


class UnknownLink(InktallyError):
    """A link that we never made, or that somebody has changed."""

    http_status = 404


class LinkExpired(InktallyError):
    """A link of ours whose time is over."""

    http_status = 410


class BadForm(InktallyError):
    """A form that did not come from a page of ours, or from one that has grown old."""

    http_status = 403


class BadRequest(InktallyError):
    """A request that cannot be understood, or that asks for too much at once."""

    http_status = 400


class TooSlow(InktallyError):
    """What was sent came so slowly that the rest of it is not waited for."""

    http_status = 408


class QuotaUsedUp(InktallyError):
    """Somebody has asked for more today than the settings allow."""

    http_status = 429


class RecipientRefused(InktallyError):
    """The mail service will never take mail for this recipient."""

    http_status = 422


class Stopped(InktallyError):
    """We are being stopped, and so was the work; nothing is wrong with the picture."""

    exit_code = 130
    http_status = 503


class CostCapReached(InktallyError):
    """A paid engine would cost more than the settings allow."""

    http_status = 503


class BadResult(InktallyError):
    """A stored result does not have the form we write."""


class BadEvent(InktallyError):
    """A message that is no event of a bucket, and never will be."""

    http_status = 400


class UnknownSender(InktallyError):
    """A message whose sender has not shown that it may send here."""

    http_status = 403


class TransientError(InktallyError):
    """Something that may work when tried again."""

    retryable = True
    http_status = 503


class StoreDown(TransientError):
    """The store cannot be reached or answers with an error of its own."""


class EngineFailed(TransientError):
    """The recognition engine ended without a result and without blaming the picture."""


class OutputFailed(TransientError):
    """An output could not be made of what was read."""


class CountFailed(TransientError):
    """The Spark job did not give counts."""


class ScratchFull(TransientError):
    """There is no room left on the disk of the temporary folders."""


class MailRefused(TransientError):
    """The mail service did not take the mail now."""


class RunsDown(TransientError):
    """Whatever starts the runs cannot be reached, or takes no more now."""


class Busy(TransientError):
    """Another run holds the lease on this work."""

    http_status = 409


def is_retryable(error: BaseException) -> bool:
    """The one predicate that decides retries."""
    return isinstance(error, InktallyError) and error.retryable


def error_named(kind: str) -> type[InktallyError]:
    """The class of an error that was written down by its kind; the root, for one that is not known (any more)."""
    found = globals().get(kind)
    return found if isinstance(found, type) and issubclass(found, InktallyError) else InktallyError
