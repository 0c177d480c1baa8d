"""What adapters to Amazon's services share: how a client is made, and the vendor's errors as ours.

boto3 is imported when it is wanted: only who uses such a service pays for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from inktally.errors import AccessDenied, BadSettings, InktallyError


def client(service: str, region: str, endpoint: str, *, seconds: float, attempts: int) -> Any:
    """An empty `region` or `endpoint` is as boto3 finds it; each attempt connects and answers in so many `seconds`."""
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    config = Config(connect_timeout=seconds, read_timeout=seconds, retries=retries)
    opened: Any = boto3.session.Session().client  # its overloads want a literal name
    return opened(service, region_name=region or None, endpoint_url=endpoint or None, config=config)


@contextmanager
def errors(
    name: str, purpose: str, refused: Callable[[str, str], InktallyError], unreachable: type[InktallyError]
) -> Iterator[None]:
    """`refused` makes our error of the service's code and message; `purpose` says what credentials are wanted for."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        raise refused(error.response["Error"]["Code"], error.response["Error"].get("Message", "")) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccessDenied(f"There are no AWS credentials to {purpose} with: {error}.") from error
    except NoRegionError as error:
        raise BadSettings(f"{name} needs a region; set INKTALLY_{name.upper()}_REGION.") from error
    except BotoCoreError as error:
        raise unreachable(f"{name} could not be spoken to: {error}") from error
