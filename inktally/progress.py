"""What happens to each picture, told through logging: a handler of its own shows it, and Prefect's UI can too."""

import logging

logger = logging.getLogger("inktally.progress")


def tell(picture: str, stage: str) -> None:
    """Say at which stage a picture is."""
    logger.info("%s: %s", picture, stage, extra={"picture": picture, "stage": stage})
