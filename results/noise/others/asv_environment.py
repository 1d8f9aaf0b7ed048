"""An environment of asv that is the present Python, for commits that differ in planted time alone.

asv interleaves the rounds of two commits only where it can install each; its `existing` environment
cannot. Here a commit is installed as soon as it is checked out: `share.txt` is all that it holds.
"""

import os
import sys
from pathlib import Path

from asv import environment, util

from others.asv_names import ENVIRONMENT, SHARE_FILE
from others.work import SHARE_VARIABLE


class Present(environment.Environment):
    """The Python that runs asv, with the share of the commit that is checked out."""

    tool_name = ENVIRONMENT
    matches_python_fallback = False

    def __init__(self, conf, python, requirements, tagged_env_vars) -> None:
        self._requirements = requirements  # asv reads them while it initialises
        super().__init__(conf, python, requirements, tagged_env_vars)

    def _setup(self) -> None:
        Path(self._path).mkdir(parents=True)

    def run(self, args, **kwargs):
        variables = dict(kwargs.pop("env", os.environ))
        share = Path(self._build_root, SHARE_FILE)
        if share.is_file():
            variables[SHARE_VARIABLE] = share.read_text(encoding="utf-8")
        return util.check_output([sys.executable, *args], env=variables, **kwargs)
