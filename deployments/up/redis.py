"""Redis for the Prefect server's events, where it is installed: what the server has accepted outlives it."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deployments.up.home import Home, write_privately
from deployments.up.supervisor import Service

OLDEST = (6, 2)  # the first with XAUTOCLAIM, by which a new server takes over what the dead one had begun

# Changes are written down as they come, so they outlive the process; the disk has them a second later.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
set-proc-title no
"""


def program() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


@dataclass(frozen=True)
class Redis:
    """One server, with its data below the home."""

    home: Home
    program: Path

    @property
    def url(self) -> str:
        return f"redis://:{self.home.secret('redis')}@127.0.0.1:{self.home.port('redis')}/0"

    def environment(self) -> dict[str, str]:
        """For the Prefect server. Its timers (docket) stay in memory: Redis would keep one that was at work when the
        server was killed from running for five minutes.
        """
        return {
            "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
            "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
            "PREFECT_REDIS_MESSAGING_URL": self.url,
        }

    def obstacle(self) -> str:
        """Why it cannot be used here; empty when it can."""
        told = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"v=(\d+)\.(\d+)", told)
        if version and (int(version[1]), int(version[2])) >= OLDEST:
            return ""
        return f"Redis is older than {'.'.join(map(str, OLDEST))}"

    def service(self) -> Service:
        return Service("redis", [self.program, self._configuration], is_up=self._is_up)

    def prepare(self) -> None:
        folder = self.home.folder / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
        text = CONFIGURATION.format(port=self.home.port("redis"), password=self.home.secret("redis"), folder=quoted)
        write_privately(self._configuration, text)

    @property
    def _configuration(self) -> Path:
        return self.home.folder / "redis.conf"

    def _is_up(self) -> bool:
        """Not while it reads its data."""
        from redis import Redis as Client
        from redis.exceptions import RedisError

        try:
            with Client.from_url(self.url) as client:
                return bool(client.ping())
        except RedisError:
            return False
