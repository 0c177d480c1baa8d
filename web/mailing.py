"""Whom the page and the API may have mailed: nobody who has not confirmed that this client may."""

from collections.abc import Sequence
from dataclasses import dataclass

from inktally import plugins
from inktally.mail.links import Signer, signer
from inktally.mail.optin import Ask, OptIn
from inktally.mail.quotas import Client, Quotas
from inktally.ports import Notifier, Store
from inktally.settings import Settings


@dataclass(frozen=True)
class Mailing:
    """`url` is the site's, which links in mails lead to."""

    settings: Settings
    notifier: Notifier
    optin: OptIn
    quotas: Quotas
    signer: Signer
    url: str

    def recipient(self, ask: Ask, client: Client, upload_ids: Sequence[str], language: str = "en") -> str:
        """The address where it is confirmed; else none: its owner is asked, and the results wait for the answer.

        Raises `RecipientRefused`, `QuotaUsedUp`.
        """
        if self.optin.is_confirmed(ask):  # a stranger who gives the address takes nothing from its owner
            limit = self.settings.site_uploads_per_address
            self.quotas.take("uploads-of-address", ask.person, limit, len(upload_ids))
            return ask.address
        self.optin.hold(upload_ids, ask, client, self.url, language)
        return ""


def of(settings: Settings, store: Store) -> Mailing:
    """Raises `BadSettings`."""
    notifier, signs = plugins.notifier(settings), signer(settings)
    optin = OptIn(store, notifier, signs, settings)
    url = settings.site_url.rstrip("/") or f"http://{settings.site_host}:{settings.site_port}"
    return Mailing(settings, notifier, optin, Quotas(store), signs, url)
