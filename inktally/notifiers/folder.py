"""Mail into a folder: one .eml file a mail, for the demo and for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inktally.delivery import Mail
from inktally.document import sha256_of
from inktally.errors import AccessDenied, BadSettings, MailRefused
from inktally.modes import PRIVATE
from inktally.scratch import write_whole
from inktally.settings import Settings


def build(settings: Settings) -> FolderNotifier:
    return FolderNotifier(Path(settings.mail_folder), settings.mask)


@dataclass(frozen=True)
class FolderNotifier:
    """A file is named after its mail's Message-ID, so that the same mail twice is one file, the later one."""

    folder: Path
    umask: int = PRIVATE

    def send(self, mail: Mail) -> None:
        """Raises `MailRefused`, `AccessDenied` or `BadSettings`."""
        path = self.folder / f"{sha256_of(mail.message_id)[:32]}.eml"
        try:
            write_whole(path, mail.content, self.umask)
        except (FileExistsError, NotADirectoryError) as error:
            raise BadSettings(f"INKTALLY_MAIL_FOLDER names {self.folder}, which is no folder.") from error
        except PermissionError as error:
            raise AccessDenied(f"The mail folder {self.folder} may not be written to.") from error
        except OSError as error:
            raise MailRefused(f"The mail could not be written to {self.folder}: {error}.") from error
