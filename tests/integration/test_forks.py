"""Commands that tests fork are what a cold start gives: outputs, status, signals, folder, environment."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.forks import Forks
from tests.support.waiting import eventually


def environment(folder: Path, **others: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **others}


def test_a_program_has_its_arguments_folder_variables_outputs_and_status(forks: Forks, tmp_path: Path) -> None:
    program = "import os, sys; print(sys.argv, os.getcwd(), os.environ['X']); sys.stderr.write('é'); sys.exit(3)"
    run = forks.start(["-c", program, "a b", os.fsdecode(b"\xe9")], environment(tmp_path, X="y"), tmp_path)
    assert run.communicate() == (f"['-c', 'a b', '\\udce9'] {tmp_path} y\n", "é")
    assert (run.returncode, run.wait()) == (3, 3)


def test_a_module_runs_as_python_m_does(forks: Forks, tmp_path: Path) -> None:
    run = forks.start(["-m", "flows.ocr_flow", "p", "--frobnicate"], environment(tmp_path))
    stdout, stderr = run.communicate()
    assert (run.returncode, stdout, "--frobnicate" in stderr) == (2, "", True)


def test_it_leads_a_process_group_and_ends_with_a_signal(forks: Forks, tmp_path: Path) -> None:
    run = forks.start(["-c", "import time; print('begun', flush=True); time.sleep(60)"], environment(tmp_path))
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(0.1)
    assert (os.getpgid(run.pid), run.poll()) == (run.pid, None)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait() == -signal.SIGTERM
    eventually(lambda: not psutil.pid_exists(run.pid))


def test_settings_of_prefect_are_those_of_its_own_home_and_variables(forks: Forks, tmp_path: Path) -> None:
    program = "from prefect.settings import get_current_settings as s; print(s().home, s().api.url)"
    for name in ("one", "two"):
        own = environment(tmp_path / name, PREFECT_API_URL=f"http://{name}/api")
        assert forks.run(["-c", program], own) == f"{tmp_path / name}/.prefect http://{name}/api\n"
