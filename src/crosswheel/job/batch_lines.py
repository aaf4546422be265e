"""The lines of a batch: each requirement of a command line and of its files, on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from crosswheel.errors import UsageError
from crosswheel.job.asking import Asking, with_options, written_requirements
from crosswheel.job.batch import BatchLine
from crosswheel.job.context import BuildContext, Trees
from crosswheel.projects.addresses import project_request
from crosswheel.projects.foreign_locks import is_foreign_lock
from crosswheel.projects.requirements_file import FileLine, RequirementsContent, read_requirements
from crosswheel.resolver import Request
from crosswheel.targets import Target


def batch_lines(asking: Asking, context: BuildContext) -> tuple[list[BatchLine], BuildContext]:
    """Return the lines of what a command asks for, and the context with the options of its files.

    Lines whose marker excludes the target are left out.

    Raises:
        UsageError: nothing is asked for, or a file cannot be read, or is another tool's lock.
    """
    lines = [_line(text, Request((text,)), asking) for text in asking.request.requirements]
    for path in asking.request.files:
        content = _content(path)
        context = with_options(context, content, path)
        limits = [" ".join(_stated(line)) for line in content.lines if line.is_constraint]
        bounded = asking
        if limits:
            file = written_requirements(limits, (), "constraints.txt", context.trees)
            bounded = replace(asking, constraints=(*asking.constraints, file))
        lines += (
            _file_line(line, bounded, context.trees) for line in content.lines if not line.is_constraint
        )
    lines = [line for line in lines if _applies(line.text, context.target)]
    if not lines:
        raise UsageError(
            "--each has nothing to build",
            hint="name requirements, or a file of them with -r, one on each line.",
        )
    return lines, context


def _content(path: Path) -> RequirementsContent:
    if is_foreign_lock(path):
        raise UsageError(
            f"{path} is a lock: what is in it belongs together",
            hint="leave --each out, or name a requirements file.",
        )
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="name the file of requirements with its folder.")
    content = read_requirements(path)
    if content is None:
        raise UsageError(
            f"{path} cannot be read as a requirements file", hint="it is in pip's format, and UTF-8."
        )
    return content


def _file_line(line: FileLine, asking: Asking, trees: Trees) -> BatchLine:
    text = f"{line.text}{line.marker}"
    if not line.hashes:
        return _line(text, Request((text,)), asking)
    file = written_requirements([" ".join(_stated(line))], (), "requirements.txt", trees)
    return _line(text, Request((), (file,)), asking)


def _line(text: str, request: Request, asking: Asking) -> BatchLine:
    return BatchLine(text, replace(asking, request=request), project_request(text, Path.cwd()) is None)


def _stated(line: FileLine) -> Iterator[str]:
    yield f"{line.text}{line.marker}"
    yield from (f"--hash={value}" for value in line.hashes)


def _applies(text: str, target: Target) -> bool:
    try:
        marker = Requirement(text).marker
    except InvalidRequirement:
        return True  # it is told when it is resolved
    return marker is None or marker.evaluate({**target.marker_environment, "extra": ""})
