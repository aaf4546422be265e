"""Call a build backend (PEP 517) in an environment that presents the target."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

from crosswheel.build.diagnosis import diagnose
from crosswheel.build.requirements import BuildSystem
from crosswheel.errors import BuildFailed
from crosswheel.process import Runner
from crosswheel.recipes.model import Recipe
from crosswheel.sandbox.levels import Sandbox
from crosswheel.toolchain.environment import CrossEnvironment

ConfigSettings = Mapping[str, str | list[str]]
"""The config settings of a build (PEP 517)."""

# A limit for builds that hang; OpenCV's takes hours on a machine with few processors.
_LIMIT = 6 * 3600.0


@dataclass(frozen=True)
class Backend:
    """A build backend, installed in ``venv``, for the project in ``tree``."""

    system: BuildSystem
    tree: Path
    venv: Path
    environment: CrossEnvironment
    extra: Mapping[str, str]
    runner: Runner
    sandbox: Sandbox

    @property
    def copies(self) -> Path:
        """The folder with the build's own copies of paths that its tools write to, if it needs copies."""
        return self.venv.parent / "copies"

    def requirements_for_wheel(self, config: ConfigSettings) -> Sequence[str]:
        """Return the additional requirements that the backend needs for building a wheel.

        Raises:
            BuildFailed: it is not installed, or fails.
        """
        with self._explained():
            requirements: Sequence[str] = self._caller().get_requires_for_build_wheel(self._settings(config))
        return requirements

    def prepare_metadata(self, folder: Path, config: ConfigSettings) -> bytes:
        """Return the METADATA of the future wheel; a backend that cannot prepare it builds the wheel.

        Raises:
            BuildFailed: the backend failed; the lines that it printed last are in the message.
        """
        with self._explained():
            name = self._caller().prepare_metadata_for_build_wheel(str(folder), self._settings(config))
        return (folder / name / "METADATA").read_bytes()

    def build_wheel(self, folder: Path, config: ConfigSettings) -> Path:
        """Build the wheel into ``folder``.

        Raises:
            BuildFailed: the backend failed; the lines that it printed last are in the message.
        """
        with self._explained():
            name = self._caller().build_wheel(str(folder), self._settings(config))
        return folder / name

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (BackendUnavailable, HookMissing) as error:
            reason = str(error).strip().splitlines()[0]  # a traceback follows
            raise BuildFailed(
                f"the build backend {self.system.backend} cannot be used: {reason}",
                hint="name what it needs with build_dependencies in a recipe.",
            ) from error

    def run_setup_py(self, commands: Sequence[str], folder: Path) -> Path:
        """Run ``setup.py`` with commands, as the original tools did; ``bdist_wheel`` puts the wheel into ``folder``."""
        words: list[str] = []
        for command in commands:
            words += [command, f"--dist-dir={folder}"] if command == "bdist_wheel" else [command]
        self._run([str(self.venv / "bin" / "python"), "setup.py", *words], str(self.tree), {})
        wheels = sorted(folder.glob("*.whl"))
        if not wheels:
            raise BuildFailed(
                f"setup.py {' '.join(commands)} ended well but made no wheel",
                hint="the last of setup_py_commands should be bdist_wheel.",
            )
        return wheels[0]

    def run_command(self, command: str) -> None:
        """Run a shell command of the project in its folder, with what a hook of the backend has and no more.

        Raises:
            BuildFailed: it failed; the lines that it printed last are in the message.
        """
        try:
            self._run(["sh", "-c", _in_folder(command, self.tree), "before-build"], None, {})
        except BuildFailed as error:
            raise BuildFailed(
                f"what the project runs before its build failed: {command}\n{error}",
                hint=f"{error.hint.rstrip('.')}; it has no network, and installs nothing.",
            ) from error

    def _settings(self, config: ConfigSettings) -> dict[str, str | list[str]] | None:
        """Return the config settings to pass: the recipe's, and those that describe the target to a backend."""
        settings: dict[str, str | list[str]] = {
            name: _in_folder(value, self.tree)
            if isinstance(value, str)
            else [_in_folder(item, self.tree) for item in value]
            for name, value in config.items()
        }
        if self.system.backend == "mesonpy":
            cross_file = [f"--cross-file={self.environment.variables['CROSSWHEEL_MESON_CROSS_FILE']}"]
            stated = settings.get("setup-args", "")
            settings["setup-args"] = [
                *cross_file,
                *(shlex.split(stated) if isinstance(stated, str) else stated),
            ]
        return settings or None

    def _caller(self) -> BuildBackendHookCaller:
        return BuildBackendHookCaller(
            str(self.tree),
            self.system.backend,
            list(self.system.backend_path) or None,
            runner=self._run,
            python_executable=str(self.venv / "bin" / "python"),
        )

    def _run(
        self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        env = self.environment.for_hook(self.venv, self.tree, {**self.extra, **(extra_environ or {})})
        where = Path(cwd) if cwd else self.tree
        # pyproject_hooks exchanges requests and answers through a folder, the last argument.
        exchange = [Path(word) for word in cmd[-1:] if Path(word).is_dir()]
        view = replace(self.environment.view, copies=self.copies)
        view = view.writing([self.venv.parent, self.tree, *exchange])
        result = self.sandbox.run(self.runner, cmd, view, cwd=where, env=env, timeout=_LIMIT)
        if result.returncode != 0:
            diagnosis = diagnose(result.output)
            cause = f": {diagnosis.cause}" if diagnosis.cause else ""
            raise BuildFailed(
                f"the build ended with exit code {result.returncode}{cause}\n{diagnosis.lines}",
                hint=f"{diagnosis.remedy}; the whole output is in {self.runner.log}.",
            )


def _in_folder(text: str, tree: Path) -> str:
    """Return a text of the project's settings, in which its folder has a name of its own."""
    return text.replace("{project}", str(tree)).replace("{package}", str(tree))


def extra_variables(recipe: Recipe | None, version_variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables for this package: its recipe's, and those that pass its version."""
    variables: dict[str, str] = dict(version_variables)
    if recipe is None:
        return variables
    if recipe.optimize:
        variables["CROSSWHEEL_OPTIMIZE"] = recipe.optimize
    if recipe.cargo_features:
        features = f"--features {','.join(recipe.cargo_features)}"
        variables["MATURIN_PEP517_ARGS"] = f"--compatibility linux {features}"
    variables.update(recipe.environment)
    return variables
