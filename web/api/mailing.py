"""Whom the API may have mailed: as on the page, nobody who has not confirmed that this client may."""

from __future__ import annotations

from dataclasses import dataclass

from inktally import plugins
from inktally.mail.links import Signer, signer
from inktally.mail.optin import Ask, OptIn
from inktally.mail.quotas import Quotas
from inktally.ports import Store
from inktally.settings import Settings


@dataclass(frozen=True)
class Mailing:
    """`url` is the site's, which confirmations lead to."""

    settings: Settings
    optin: OptIn
    quotas: Quotas
    signer: Signer
    url: str

    def recipient(self, client: str, address: str, upload_id: str) -> str:
        """The address where it is confirmed; else none: its owner is asked, and the result waits for the answer.

        Raises `RecipientRefused`, `QuotaUsedUp`.
        """
        client = self.signer.pseudonym(f"api {client}")
        ask = Ask(address=address, nonce=client)
        if self.optin.is_confirmed(ask):
            self.quotas.take("uploads-of-address", ask.person, self.settings.site_uploads_per_address)
            return address
        self.optin.hold([upload_id], ask, client, self.url)
        return ""


def of(settings: Settings, store: Store) -> Mailing:
    """Raises `BadSettings`."""
    signs = signer(settings)
    optin = OptIn(store, plugins.notifier(settings), signs, settings)
    url = settings.site_url.rstrip("/") or f"http://{settings.site_host}:{settings.site_port}"
    return Mailing(settings, optin, Quotas(store), signs, url)
