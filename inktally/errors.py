"""Every error Inktally raises: what went wrong, in a sentence that says what to do.

Each takes one string, so that it survives pickling and JSON; keys in it are escaped, because errors end up in logs,
on terminals and in Prefect. `kind` is the class's name, `retryable` decides
retries everywhere, `exit_code` is the command line's, `http_status` the web's. A `PictureError` is the picture's
own fault: it is an outcome to tell the uploader, not a failure of the service.
"""

from typing import ClassVar

from inktally.text import printable


class InktallyError(Exception):
    """The root of all errors of Inktally."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init_subclass__(cls, *, retryable: bool = False, exit_code: int = 0, http_status: int = 0) -> None:
        """Keywords of a class say where it differs from its base."""
        cls.retryable = retryable or cls.retryable
        cls.exit_code = exit_code or cls.exit_code
        cls.http_status = http_status or cls.http_status

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    @property
    def kind(self) -> str:
        return type(self).__name__


class PictureError(InktallyError, http_status=422):
    """The picture itself cannot be read; sending it again unchanged would not help."""


class EmptyPicture(PictureError):
    """The file has no bytes."""


class NotAPicture(PictureError):
    """The bytes are no picture of any format known here."""


class UnsupportedFormat(PictureError, http_status=415):
    """A picture, but of a format that is not read."""


class UnreadablePicture(PictureError):
    """A picture that is truncated, corrupt, or breaks its decoder."""


class TooLarge(PictureError, http_status=413):
    """More bytes, pixels or pages than the settings allow."""


class RecognitionTimeout(PictureError):
    """Recognition took longer than the settings allow and was stopped."""


class RepeatedFailure(PictureError):
    """Processing the picture has failed as often as it may; why, nobody knows."""


class UnknownLanguage(PictureError):
    """The uploader asked for a language that cannot be read here."""


class UnknownOption(PictureError):
    """The uploader asked for an output, or for a way to count, that there is not."""


class BadSettings(InktallyError, exit_code=2):
    """A setting or an option has a value that cannot work."""


class MissingTool(InktallyError):
    """A program, a model or a package that is needed is not installed."""


class NotFound(InktallyError, http_status=404):
    """There is no such object or file."""


class AccessDenied(InktallyError):
    """The store or the mail service does not accept our credentials."""


class Overwritten(InktallyError, http_status=409):
    """The object is no longer the version we spoke of, or a conditional write lost its race."""


class UnsafeDelete(InktallyError):
    """The store cannot delete one very version, so nothing was deleted."""


class BadLink(InktallyError, http_status=422):
    """A link that is none, or that leads to where we do not go."""


class LinkFailed(InktallyError, http_status=422):
    """The server that a link names did not give a picture."""


class UnknownLink(InktallyError, http_status=404):
    """A link that we never made, or that somebody has changed."""


class LinkExpired(InktallyError, http_status=410):
    """A link of ours whose time is over."""


class BadForm(InktallyError, http_status=403):
    """A form that did not come from a page of ours, or from one that has grown old."""


class BadRequest(InktallyError, http_status=400):
    """A request that cannot be understood, or that asks for too much at once."""


class TooSlow(InktallyError, http_status=408):
    """What was sent came so slowly that the rest of it is not waited for."""


class QuotaUsedUp(InktallyError, http_status=429):
    """Somebody has asked for more today than the settings allow."""


class RecipientRefused(InktallyError, http_status=422):
    """The mail service will never take mail for this recipient."""


class UnsafeMail(InktallyError):
    """A mail that would not be read as it was meant; it is not sent."""


class Stopped(InktallyError, exit_code=130, http_status=503):
    """We are being stopped, and so was the work; nothing is wrong with the picture."""


class CostCapReached(InktallyError, http_status=503):
    """A paid engine would cost more than the settings allow."""


class BadResult(InktallyError):
    """A stored result does not have the form we write."""


class BadEvent(InktallyError, http_status=400):
    """A message that is no event of a bucket, and never will be."""


class UnknownSender(InktallyError, http_status=403):
    """A message whose sender has not shown that it may send here."""


class TransientError(InktallyError, retryable=True, http_status=503):
    """Something that may work when tried again."""


class StoreDown(TransientError):
    """The store cannot be reached or answers with an error of its own."""


class EngineFailed(TransientError):
    """The recognition engine ended without a result and without blaming the picture."""


class EngineDown(EngineFailed):
    """An engine reads no picture now: it is broken, or a service of somebody else that is away or takes no more."""


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


class Busy(TransientError, http_status=409):
    """Another run holds the lease on this work."""


def is_retryable(error: BaseException) -> bool:
    """The one predicate that decides retries."""
    return isinstance(error, InktallyError) and error.retryable


def error_named(kind: str) -> type[InktallyError]:
    """The class of an error that was written down by its kind; the root, for one that is not known (any more)."""
    found = globals().get(kind)
    return found if isinstance(found, type) and issubclass(found, InktallyError) else InktallyError
